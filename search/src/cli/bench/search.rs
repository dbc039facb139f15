//! `mobilenas bench search`: how many candidates a second a strategy proposes and learns from, and how good they are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mobilenas_bench::Host;
use mobilenas_host::outln;
use mobilenas_host::{Clock, WallClock};
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_space::{CostCache, Domain, Genome, Space};
use mobilenas_strategy::{Observation, STRATEGIES, Strategy, StrategyConfig, StrategyKind, analytic, strategy};
use rayon::prelude::*;
use serde_json::json;

use mobilenas_bench::latency_table::{LatencyCoster, Table};
use mobilenas_pipeline::config::{self, LatencySource};
use mobilenas_pipeline::strategy::space_info;

/// Seeds of random search are other than those of the strategy that it is compared with, so that nothing is shared.
const RANDOM_SEEDS: u64 = 1000;

/// Arguments of `bench search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A config whose space is searched too, by params, MACs and, with a table, latency [default: only the analytic problem]
    config: Option<PathBuf>,
    /// Name of one of its spaces, where it has several
    #[arg(long, value_name = "NAME", requires = "config")]
    space: Option<String>,
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

/// Asks for `batch` candidates, scores and tells, until there are `n` or no more: how many there were, and the seconds.
fn search(
    strategy: &mut dyn Strategy,
    domain: &Domain,
    (n, batch): (usize, usize),
    seed: u64,
    mut score: impl FnMut(Vec<Genome>) -> Result<Vec<Observation>>,
) -> Result<(usize, f64)> {
    let clock = WallClock::new();
    let begin = clock.now();
    let mut rng = rng(seed, Purpose::Ask, 0, 1);
    let mut count = 0;
    while count < n {
        let asked = strategy.ask(domain, batch.min(n - count), &mut rng);
        if asked.is_empty() {
            break;
        }
        count += asked.len();
        strategy.tell(&score(asked)?);
    }
    Ok((count, (clock.now() - begin).as_secs_f64()))
}

/// One strategy's figures: medians over the seeds.
struct Figures {
    strategy: StrategyConfig,
    candidates: usize,
    rate: f64,
    hypervolume: f64,
    /// That of random search after as many candidates.
    random_hypervolume: f64,
}

/// One search of the analytic problem: candidates, seconds, hypervolume.
fn analytic_search(config: &StrategyConfig, candidates: usize, seed: u64) -> (usize, f64, f64) {
    let n = candidates.min(config.kind().benchmark.max_candidates);
    let clock = WallClock::new();
    let begin = clock.now();
    let genomes = analytic::search(config, n, &mut rng(seed, Purpose::Ask, 0, 1));
    let seconds = (clock.now() - begin).as_secs_f64();
    let points: Vec<Vec<f64>> = genomes.iter().map(|genome| analytic::values(genome).to_vec()).collect();
    (genomes.len(), seconds, analytic::hypervolume(&points))
}

fn on_the_analytic_problem(kind: &'static StrategyKind, args: &Args) -> Result<Figures> {
    let (own, random) = (kind.benchmark_config()?, STRATEGIES[0].config());
    let (mut counts, mut rates, mut volumes, mut randoms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for seed in 0..args.seeds.max(1) {
        let (count, seconds, volume) = analytic_search(&own, args.evaluations, seed);
        counts.push(count as f64);
        rates.push(count as f64 / seconds);
        volumes.push(volume);
        randoms.push(analytic_search(&random, count, seed + RANDOM_SEEDS).2);
    }
    Ok(Figures {
        strategy: own,
        candidates: median(counts) as usize,
        rate: median(rates),
        hypervolume: median(volumes),
        random_hypervolume: median(randoms),
    })
}

/// The settings of a strategy, defaults filled in.
fn settings(config: &StrategyConfig) -> serde_json::Value {
    serde_json::to_value(config).map(|mut all| all[config.kind().name].take()).unwrap_or_default()
}

/// NSGA-II, which also searches the config's space.
fn nsga2() -> Result<StrategyConfig> {
    Ok(strategy("nsga2").context("there is no strategy nsga2")?.benchmark_config()?)
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
    let nsga2 = nsga2()?;
    let (size, mut strategy) = ((args.candidates, nsga2.kind().benchmark.batch), nsga2.build(&space_info(space, &[])));
    let (count, seconds) = pool.install(|| search(strategy.as_mut(), space.domain(), size, seed, score))?;
    Ok((count as f64 / seconds, threads))
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
            let entry = loaded.entry(args.space.as_deref())?;
            let table = table(args, &loaded.config.of_entry(&entry))?;
            // A table knows the number of classes of its networks.
            let classes = table.as_ref().map_or(10, |t| t.header.classes);
            let space = loaded.space(&entry, classes)?;
            table.as_ref().map(|t| t.is_of(&space)).transpose()?;
            Some((space, table, loaded.config.seed))
        }
        None => None,
    };
    let figures: Vec<Figures> =
        STRATEGIES.iter().map(|kind| on_the_analytic_problem(kind, args)).collect::<Result<_>>()?;
    let step = space.as_ref().map(|(space, table, seed)| on_a_space(space, table.as_ref(), args, *seed)).transpose()?;
    let names: &[&str] = match &space {
        Some((_, Some(_), _)) => &["params", "macs", "latency_ms"],
        _ => &["params", "macs"],
    };
    if args.json {
        let figures = figures.iter().map(|f| {
            let name = f.strategy.kind().name;
            let of = json!({
                "settings": settings(&f.strategy), "candidates": f.candidates, "candidates_per_second": f.rate,
                "hypervolume": f.hypervolume, "random_hypervolume": f.random_hypervolume,
            });
            (name.to_string(), of)
        });
        let step = step.map(|(rate, threads)| {
            json!({"config": args.config, "scores": names, "candidates": args.candidates, "threads": threads,
                   "candidates_per_second": rate})
        });
        let all = json!({
            "bench": "search", "evaluations": args.evaluations, "seeds": args.seeds,
            "analytic": figures.collect::<serde_json::Map<_, _>>(), "space": step, "host": Host::read(),
        });
        outln!("{all}")?;
        return Ok(0);
    }
    outln!("analytic problem, {} evaluations, median of {} seeds", args.evaluations, args.seeds)?;
    outln!(
        "{:<24}{:>12}{:>16}{:>14}{:>14}  settings",
        "strategy",
        "candidates",
        "candidates/s",
        "hypervolume",
        "random's"
    )?;
    for f in &figures {
        let (name, settings) = (f.strategy.kind().name, settings(&f.strategy));
        let (candidates, random) = (f.candidates, f.random_hypervolume);
        outln!("{name:<24}{candidates:>12}{:>16.0}{:>14.5}{random:>14.5}  {settings}", f.rate, f.hypervolume)?;
    }
    if let (Some((rate, threads)), Some(path)) = (step, &args.config) {
        outln!("nsga2 on {}, {}: {rate:.0} candidates/s on {threads} threads", path.display(), names.join(", "))?;
    }
    Ok(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_benchmarked() {
        let args = Args {
            config: None,
            space: None,
            table: None,
            evaluations: 60,
            seeds: 2,
            candidates: 1,
            threads: None,
            json: false,
        };
        for kind in STRATEGIES {
            let f = on_the_analytic_problem(kind, &args).unwrap();
            assert!(
                (1..=60).contains(&f.candidates) && f.hypervolume > 0.0 && f.random_hypervolume > 0.0,
                "{}",
                kind.name
            );
        }
    }
}
