//! Simulated binary crossover and polynomial mutation (Deb and Agrawal, 1995; Deb and Goyal, 1996) on the indices of
//! choices, rounded. A knob's choices are ordered by size of the network, so a child's choice lies near its parents'.

use mobilenas_space::Domain;
use rand::{Rng, RngExt};

/// Crosses a parent's choices with another's: each knob they differ in gets, with probability 1/2, a choice near one of
/// the two.
pub fn crossover(own: &mut [u8], other: &[u8], domain: &Domain, rng: &mut impl Rng) {
    for &i in domain.free() {
        if own[i] != other[i] && rng.random_bool(0.5) {
            own[i] = crossed(own[i], other[i], domain.counts()[i], rng);
        }
    }
}

/// Mutates each free knob with this probability.
pub fn mutate(choices: &mut [u8], domain: &Domain, probability: f64, rng: &mut impl Rng) {
    for &i in domain.free() {
        if rng.random_bool(probability) {
            choices[i] = mutated(choices[i], domain.counts()[i], rng);
        }
    }
}

/// With a distribution index of 3, both distributions are fourth powers.
fn fourth_root(x: f64) -> f64 {
    x.sqrt().sqrt()
}

fn fourth_power(x: f64) -> f64 {
    let square = x * x;
    square * square
}

/// Simulated binary crossover of two different choices of a knob with `count` choices.
fn crossed(a: u8, b: u8, count: u8, rng: &mut impl Rng) -> u8 {
    let (low, high, last) = (f64::from(a.min(b)), f64::from(a.max(b)), f64::from(count - 1));
    let (span, upper, u) = (high - low, rng.random_bool(0.5), rng.random::<f64>());
    // The distribution is truncated at the knob's last choice.
    let room = if upper { last - high } else { low };
    let alpha = 2.0 - 1.0 / fourth_power(1.0 + 2.0 * room / span);
    let spread = if u * alpha <= 1.0 { fourth_root(u * alpha) } else { fourth_root(1.0 / (2.0 - u * alpha)) };
    let side = if upper { spread } else { -spread };
    (0.5 * (low + high + side * span)).round().clamp(0.0, last) as u8
}

/// Polynomial mutation: another choice, most often the next one. A step that would round to 0 is one choice long.
fn mutated(choice: u8, count: u8, rng: &mut impl Rng) -> u8 {
    let (x, last) = (f64::from(choice), f64::from(count - 1));
    let (u, up) = (rng.random::<f64>(), choice == 0 || (choice + 1 < count && rng.random_bool(0.5)));
    let most = if up { last - x } else { x };
    let share = 1.0 - fourth_root(1.0 - u * (1.0 - fourth_power(1.0 - most / last)));
    let step = (share * last).round().clamp(1.0, most) as u8;
    if up { choice + step } else { choice - step }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tests::rng;

    /// How often each choice comes of many draws.
    fn counts(n: usize, mut draw: impl FnMut(&mut rand::rngs::ChaCha8Rng) -> u8) -> Vec<usize> {
        let (mut all, mut rng) = (vec![0; n], rng(1, 0));
        (0..40_000).for_each(|_| all[usize::from(draw(&mut rng))] += 1);
        all
    }

    #[test]
    fn of_two_choices_a_child_has_one_of_them_evenly() {
        let all = counts(2, |rng| crossed(0, 1, 2, rng));
        assert!(all[0].abs_diff(20_000) < 600, "{all:?}");
    }

    #[test]
    fn a_child_lies_near_its_parents_and_on_either_side() {
        let all = counts(8, |rng| crossed(6, 2, 8, rng));
        // The distribution is symmetric about the middle of the parents but for the ends of the knob.
        assert!(all[2] > all[4] && all[6] > all[4] && all[2] > all[1] && all[6] > all[7], "{all:?}");
        assert!(all[1] > 400 && all[7] > 400 && all[3] > 2_000 && all[5] > 2_000, "{all:?}");
        let mean = all.iter().enumerate().map(|(c, n)| c * n).sum::<usize>() as f64 / 40_000.0;
        assert!((mean - 4.0).abs() < 0.1, "{mean}");
    }

    #[test]
    fn a_mutation_is_always_another_choice_and_most_often_the_next() {
        for (choice, n) in [(0, 2), (1, 2), (0, 8), (3, 8), (7, 8), (199, 200)] {
            let all = counts(usize::from(n), |rng| mutated(choice, n, rng));
            let at = usize::from(choice);
            assert_eq!(all[at], 0);
            let next = all[at.saturating_sub(1)] + all.get(at + 1).copied().unwrap_or_default();
            assert!(n > 100 || next > 20_000, "{choice} of {n}: {all:?}");
            // Every choice is reached, but for the farthest, of which there is one in 40,000.
            assert!(n > 8 || all.iter().filter(|v| **v > 0).count() + 2 >= usize::from(n), "{choice} of {n}: {all:?}");
        }
    }

    #[test]
    fn knobs_that_parents_agree_on_stay_and_others_cross_half_the_time() {
        let domain = Domain::new([4; 40]);
        let (a, mut b) = (vec![1u8; 40], vec![1u8; 40]);
        b[20..].fill(3);
        let (mut moved, mut rng) = (0, rng(2, 0));
        for _ in 0..500 {
            let mut child = a.clone();
            crossover(&mut child, &b, &domain, &mut rng);
            assert_eq!(child[..20], a[..20]);
            moved += child[20..].iter().filter(|c| **c != 1).count();
        }
        // Half are crossed, and half of these end nearer to the other parent.
        assert!((2_000..4_500).contains(&moved), "{moved} of 10000");
    }
}
