//! An analytic problem with two objectives in conflict, for benchmarks and tests.

use mobilenas_record::Goal;
use mobilenas_record::pareto;
use mobilenas_space::{Domain, Genome};
use rand::Rng;

use crate::{Capabilities, Knob, Observation, SpaceInfo, StrategyConfig};

/// Reference point of the hypervolume.
const REFERENCE: [f64; 2] = [1.1, 1.1];

/// Knobs of the problem that benchmarks use.
pub const KNOBS: usize = 20;

/// Choices of each knob.
const CHOICES: u8 = 8;

/// The search space with so many knobs.
pub fn space(knobs: usize) -> SpaceInfo {
    let knob = |i: usize| Knob { name: i.to_string(), kind: "width" };
    let (domain, objectives) = (Domain::new(vec![CHOICES; knobs]), Vec::new());
    SpaceInfo { domain, knobs: (0..knobs).map(knob).collect(), objectives }
}

/// Cost and loss, both to be minimised and within about 0 to 1: `sum(x) / 7n` and
/// `sum((7 - x_i)^2 (1 + i mod 3)) / 98n + 0.1 |x_1 - x_2| / 7` for `n` knobs `x_0, x_1, ...`.
pub fn values(genome: &Genome) -> [f64; 2] {
    let x = genome.choices();
    let (mut sum, mut squares) = (0u32, 0u32);
    for (i, &c) in x.iter().enumerate() {
        let left = 7 - u32::from(c);
        sum += u32::from(c);
        squares += left * left * (1 + i as u32 % 3);
    }
    let n = x.len() as f64;
    [f64::from(sum) / (7.0 * n), f64::from(squares) / (98.0 * n) + 0.1 * f64::from(x[1].abs_diff(x[2])) / 7.0]
}

/// The result of a genome: loss and cost negated, or their negated sum for a strategy that supports one objective only.
pub fn observe(genome: Genome, capabilities: &Capabilities) -> Observation {
    let [cost, loss] = values(&genome);
    let two = capabilities.objectives.contains(&2);
    Observation { genome, scores: Some(if two { vec![-loss, -cost] } else { vec![-loss - cost] }), violation: 0.0 }
}

/// Searches the problem until `n` genomes were observed or the strategy proposes no more: the genomes.
// Here and not with its caller, so that the loop is compiled like the strategies that it measures.
pub fn search(config: &StrategyConfig, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
    let (kind, space) = (config.kind(), space(KNOBS));
    let mut strategy = config.build(&space);
    let mut genomes: Vec<Genome> = Vec::with_capacity(n);
    while genomes.len() < n {
        let asked = strategy.ask(&space.domain, kind.benchmark.batch.min(n - genomes.len()), rng);
        if asked.is_empty() {
            break;
        }
        genomes.extend(asked.iter().cloned());
        let observed: Vec<_> = asked.into_iter().map(|genome| observe(genome, &kind.capabilities)).collect();
        strategy.tell(&observed);
    }
    genomes
}

/// Hypervolume of points `[cost, loss]`.
pub fn hypervolume(points: &[Vec<f64>]) -> f64 {
    pareto::hypervolume(points, &REFERENCE, &[Goal::Minimize, Goal::Minimize])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let domain = space(KNOBS).domain;
        let check = |choices: Vec<u8>, expected: [f64; 2]| {
            let found = values(&domain.genome(choices).unwrap());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
        };
        check(vec![7; 20], [1.0, 0.0]);
        // 49 times seven ones, seven twos and six threes.
        check(vec![0; 20], [0.0, 49.0 * 39.0 / 1960.0]);
        let mut one = vec![7; 20];
        one[1] = 4;
        check(one, [137.0 / 140.0, 18.0 / 1960.0 + 0.3 / 7.0]);
    }
}
