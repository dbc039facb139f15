//! `mobilenas bench search`: how many candidates a second a strategy proposes and learns from, and how good they are.

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_bench::Host;
use mobilenas_host::outln;
use mobilenas_host::{Clock, WallClock};
use mobilenas_record::{Goal, pareto};
use mobilenas_space::{CostCache, Domain, Genome, Space};
use rayon::prelude::*;
use serde_json::json;

use crate::config::{self, LatencySource};
use crate::strategy::{MesSlimming, Nsga2, Observation, Predictor, Random, RegularizedEvolution, Strategy};
use mobilenas_bench::latency_table::{LatencyCoster, Table};
use mobilenas_space::seed::{Purpose, rng};

/// Candidates asked for at a time, and alive in NSGA-II: the population of the programs it is compared with.
const POPULATION: usize = 100;

/// Share of NSGA-II's children that have two parents: the config's default, and that of the programs it is compared with.
const CROSSOVER: f64 = 0.9;

/// Arguments of `bench search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A config whose space is searched too, by params, MACs and, with a table, latency [default: only the analytic problem]
    config: Option<PathBuf>,
    /// A latency table of the config's space [default: the config's, if it names one]
    #[arg(long, requires = "config")]
    table: Option<PathBuf>,
    /// Candidates a search sees on the analytic problem
    #[arg(long, default_value_t = 10_000)]
    evaluations: usize,
    /// Searches of each strategy; medians are printed
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Candidates a search sees on the config's space
    #[arg(long, default_value_t = 1_000_000)]
    candidates: usize,
    /// Threads of a search on the config's space [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The analytic problem: 20 knobs of 8 choices, two sums in conflict to be minimised, both within about 0 to 1.
mod analytic {
    use super::{Domain, Genome, Goal, pareto};

    /// Hypervolume is taken against this point.
    const REFERENCE: [f64; 2] = [1.1, 1.1];

    pub fn domain() -> Domain {
        Domain::new([8; 20])
    }

    /// `sum(x) / 140` and `sum((7 - x_i)^2 (1 + i mod 3)) / 1960 + 0.1 |x_1 - x_2| / 7`, `i` from 0.
    pub fn values(genome: &Genome) -> [f64; 2] {
        let x = genome.choices();
        let (mut sum, mut squares) = (0u32, 0u32);
        for (i, &c) in x.iter().enumerate() {
            let left = 7 - u32::from(c);
            sum += u32::from(c);
            squares += left * left * (1 + i as u32 % 3);
        }
        [f64::from(sum) / 140.0, f64::from(squares) / 1960.0 + 0.1 * f64::from(x[1].abs_diff(x[2])) / 7.0]
    }

    pub fn hypervolume(points: &[Vec<f64>]) -> f64 {
        pareto::hypervolume(points, &REFERENCE, &[Goal::Minimize, Goal::Minimize])
    }
}

/// Candidates of the predictor, at most: it is made for scores that take minutes, and fits its models again and again.
const FEW: usize = 400;

/// A strategy for a search of `n` candidates, how many of them it sees, and how many at a time.
fn strategies(n: usize) -> Vec<(Box<dyn Strategy>, usize, usize)> {
    let knobs = 0..analytic::domain().counts().len();
    vec![
        (Box::new(Random), n, POPULATION),
        (Box::new(RegularizedEvolution::new(POPULATION, POPULATION / 4, 0.1)), n, POPULATION),
        (Box::new(Nsga2::new(POPULATION, CROSSOVER, None)), n, POPULATION),
        (Box::new(MesSlimming::new(2, None, knobs)), n, n),
        (Box::new(Predictor::new(40, 0.1)), n.min(FEW), 20),
    ]
}

/// Asks for `at_once` candidates, scores and tells until `n` were seen or there are no more: how many were, and the
/// seconds it took.
fn search(
    strategy: &mut dyn Strategy,
    domain: &Domain,
    (n, at_once): (usize, usize),
    seed: u64,
    mut score: impl FnMut(Vec<Genome>) -> Result<Vec<Observation>>,
    mut see: impl FnMut(&[Observation]),
) -> Result<(usize, f64)> {
    let clock = WallClock::new();
    let begin = clock.now();
    let mut rng = rng(seed, Purpose::Ask, 0, 1);
    let mut seen = 0;
    while seen < n {
        let asked = strategy.ask(domain, at_once.min(n - seen), &mut rng);
        if asked.is_empty() {
            break;
        }
        seen += asked.len();
        let told = score(asked)?;
        see(&told);
        strategy.tell(&told);
    }
    Ok((seen, (clock.now() - begin).as_secs_f64()))
}

/// One strategy's figures: medians over the seeds.
struct Figures {
    strategy: &'static str,
    candidates: usize,
    rate: f64,
    hypervolume: f64,
    /// That of random search after as many candidates.
    chance: f64,
}

/// One search of the analytic problem: candidates seen, seconds, hypervolume.
fn once(strategy: &mut dyn Strategy, size: (usize, usize), seed: u64) -> Result<(usize, f64, f64)> {
    let mut points = Vec::with_capacity(size.0);
    let score = |asked: Vec<Genome>| {
        let scored = asked.into_iter().map(|genome| {
            let [cost, loss] = analytic::values(&genome);
            // What slimming may lose comes first, what it is to gain second; to the others the order is the same.
            Observation { genome, scores: Some(vec![-loss, -cost]), violation: 0.0 }
        });
        Ok(scored.collect())
    };
    let see = |told: &[Observation]| {
        points.extend(told.iter().filter_map(|t| t.scores.as_ref()).map(|s| vec![-s[1], -s[0]]));
    };
    let (seen, seconds) = search(strategy, &analytic::domain(), size, seed, score, see)?;
    Ok((seen, seconds, analytic::hypervolume(&points)))
}

fn on_the_analytic_problem(args: &Args) -> Result<Vec<Figures>> {
    (0..strategies(1).len())
        .map(|i| {
            let (mut seen, mut rates, mut volumes, mut chances) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for seed in 0..args.seeds.max(1) {
                let (mut strategy, n, at_once) = strategies(args.evaluations).swap_remove(i);
                let (candidates, seconds, volume) = once(strategy.as_mut(), (n, at_once), seed)?;
                seen.push(candidates as f64);
                rates.push(candidates as f64 / seconds);
                volumes.push(volume);
                // With other seeds than the strategy's, so that nothing is shared.
                chances.push(once(&mut Random, (candidates, POPULATION), seed + 1000)?.2);
            }
            let strategy = strategies(1).swap_remove(i).0.name();
            let candidates = median(seen) as usize;
            Ok(Figures {
                strategy,
                candidates,
                rate: median(rates),
                hypervolume: median(volumes),
                chance: median(chances),
            })
        })
        .collect()
}

/// What a thread remembers of the blocks of a space.
enum Counter<'t> {
    Costs(CostCache),
    Prices(LatencyCoster<'t>),
}

impl Counter<'_> {
    /// Large networks, few MACs, little latency: in conflict, so that there is a front and not one best.
    fn score(&mut self, space: &Space, genome: &Genome) -> Result<Vec<f64>> {
        let plan = space.plan(genome)?;
        match self {
            Counter::Costs(coster) => {
                let cost = coster.cost(&plan)?;
                Ok(vec![cost.params as f64, -(cost.macs as f64)])
            }
            Counter::Prices(pricer) => {
                let priced = pricer.price(&plan)?;
                Ok(vec![priced.cost.params as f64, -(priced.cost.macs as f64), -priced.latency_ms])
            }
        }
    }
}

/// Candidates per second of NSGA-II on a space, each lowered to its blocks and looked up; and the threads.
fn on_a_space(space: &Space, table: Option<&Table>, args: &Args, seed: u64) -> Result<(f64, usize)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or(0)).build()?;
    let threads = pool.current_num_threads();
    let counter =
        |_| table.map_or_else(|| Counter::Costs(CostCache::new()), |t| Counter::Prices(LatencyCoster::new(t)));
    let mut counters: Vec<Counter<'_>> = (0..threads).map(counter).collect();
    let score = |asked: Vec<Genome>| {
        let (share, n) = (asked.len().div_ceil(threads).max(1), asked.len());
        let mut told: Vec<Option<Observation>> = Vec::new();
        told.resize_with(n, || None);
        let parts = asked.par_chunks(share).zip(told.par_chunks_mut(share)).zip(counters.par_iter_mut());
        parts.try_for_each(|((genomes, places), counter)| -> Result<()> {
            for (genome, place) in genomes.iter().zip(places) {
                let scores = Some(counter.score(space, genome)?);
                *place = Some(Observation { genome: genome.clone(), scores, violation: 0.0 });
            }
            Ok(())
        })?;
        Ok(told.into_iter().flatten().collect())
    };
    let size = (args.candidates, POPULATION);
    let mut strategy = Nsga2::new(POPULATION, CROSSOVER, None);
    let (seen, seconds) = pool.install(|| search(&mut strategy, space.domain(), size, seed, score, |_| {}))?;
    Ok((seen as f64 / seconds, threads))
}

/// The table whose latencies a search on a config's space takes, if any.
fn table(args: &Args, config: &config::Config) -> Result<Option<Table>> {
    let own = config.latency.table.as_ref().filter(|_| config.latency.source != LatencySource::Measured);
    Ok(args.table.as_ref().or(own).map(|path| Table::load(path)).transpose()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs the benchmark.
///
/// # Errors
/// When the config is wrong.
pub fn run(args: &Args) -> Result<i32> {
    let space = match &args.config {
        Some(path) => {
            let loaded = config::load(path)?;
            let table = table(args, &loaded.config)?;
            // A table knows the number of classes of its networks.
            let classes = table.as_ref().map_or(10, |t| t.header.classes);
            let space = loaded.space(classes)?;
            table.as_ref().map(|t| t.is_of(&space)).transpose()?;
            Some((space, table, loaded.config.seed))
        }
        None => None,
    };
    let figures = on_the_analytic_problem(args)?;
    let step = space.as_ref().map(|(space, table, seed)| on_a_space(space, table.as_ref(), args, *seed)).transpose()?;
    let names: &[&str] = match &space {
        Some((_, Some(_), _)) => &["params", "macs", "latency_ms"],
        _ => &["params", "macs"],
    };
    if args.json {
        let strategies: serde_json::Map<String, serde_json::Value> = figures
            .iter()
            .map(|f| {
                let of = json!({
                    "candidates": f.candidates, "candidates_per_second": f.rate, "hypervolume": f.hypervolume,
                    "random_hypervolume": f.chance,
                });
                (f.strategy.into(), of)
            })
            .collect();
        let step = step.map(|(rate, threads)| {
            json!({"config": args.config, "scores": names, "candidates": args.candidates, "threads": threads,
                   "candidates_per_second": rate})
        });
        outln!(
            "{}",
            json!({
                "bench": "search", "nsga2": {"population": POPULATION, "crossover": CROSSOVER}, "evaluations": args.evaluations, "seeds": args.seeds, "analytic": strategies,
                "space": step, "host": Host::read(),
            })
        )?;
        return Ok(0);
    }
    outln!(
        "analytic problem, {} evaluations, median of {} seeds; nsga2 with population {POPULATION}, crossover {CROSSOVER}",
        args.evaluations,
        args.seeds
    )?;
    outln!("{:<24}{:>12}{:>16}{:>14}{:>14}", "strategy", "candidates", "candidates/s", "hypervolume", "random's")?;
    for f in &figures {
        let (strategy, seen) = (f.strategy, f.candidates);
        outln!("{strategy:<24}{seen:>12}{:>16.0}{:>14.5}{:>14.5}", f.rate, f.hypervolume, f.chance)?;
    }
    if let (Some((rate, threads)), Some(path)) = (step, &args.config) {
        outln!("nsga2 on {}, {}: {rate:.0} candidates/s on {threads} threads", path.display(), names.join(", "))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn the_analytic_problem_by_hand() {
        let domain = analytic::domain();
        let is = |choices: Vec<u8>, expected: [f64; 2]| {
            let found = analytic::values(&domain.genome(choices).unwrap());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
        };
        is(vec![7; 20], [1.0, 0.0]);
        // 49 times seven ones, seven twos and six threes.
        is(vec![0; 20], [0.0, 49.0 * 39.0 / 1960.0]);
        let mut one = vec![7; 20];
        one[1] = 4;
        is(one, [137.0 / 140.0, 18.0 / 1960.0 + 0.3 / 7.0]);
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn every_strategy_beats_chance_there() {
        // Slimming needs some 5,000 to get from the largest to the smallest.
        let args =
            Args { config: None, table: None, evaluations: 6_000, seeds: 3, candidates: 1, threads: None, json: false };
        for f in on_the_analytic_problem(&args).unwrap().into_iter().skip(1) {
            assert!(f.hypervolume > f.chance, "{}: {} against {}", f.strategy, f.hypervolume, f.chance);
        }
    }
}
