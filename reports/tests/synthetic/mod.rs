//! A synthetic run: rows with plausible numbers from a seeded generator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

pub mod real;
pub mod study;

use std::collections::BTreeMap;
use std::path::Path;

use mobilenas_record::run::*;

/// What the run has.
pub struct SyntheticRun {
    pub seed: u64,
    pub trials: u64,
    pub variants: &'static [&'static str],
    pub retrained: usize,
    pub done: bool,
}

impl Default for SyntheticRun {
    fn default() -> SyntheticRun {
        let variants = &["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"];
        SyntheticRun { seed: 1, trials: 60, variants, retrained: 3, done: true }
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn pick(&mut self, choices: &[i64]) -> i64 {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}

pub fn header() -> RunHeader {
    RunHeader {
        metric: "top1".to_owned(),
        format: FORMAT,
        name: "mobilevit_v1_quick".to_owned(),
        program: "0.1.0".to_owned(),
        started_unix: 1_738_332_300,
        config_digest: "5f0c9d3e1b7a42d8c6e00f13a9b47c25d1e8f6a0b3c7d9e2f4a6b8c0d2e4f608".to_owned(),
        seed: 17,
        family: "mobilevit_v1".to_owned(),
        strategy: "evolution".to_owned(),
        space_size: 1.1943936e9,
        params_range: [612_000, 6_410_000],
        macs_range: [48_000_000, 1_230_000_000],
        spaces: Vec::new(),
        dataset: Dataset {
            name: "cifar10".to_owned(),
            train: 45_000,
            search_val: 5_000,
            test: 10_000,
            classes: 10,
            scored_on: None,
        },
        host: Host {
            cpu: "Example CPU @ 2.60GHz".to_owned(),
            cores: 8,
            memory: 33_285_996_544,
            os: "Linux 6.1.0".to_owned(),
        },
        engine: Engine {
            name: "libtorch".to_owned(),
            version: "2.11.0".to_owned(),
            precision: "float32".to_owned(),
            threads: 1,
            batch: 1,
            protocol: "10 warm-up passes, then 50 samples or 2 s, whichever is later.".to_owned(),
            table: None,
        },
        mes: Mes::default(),
    }
}

pub fn unit() -> JournalRow {
    let latency = Latency { median_ms: 11.84, p10_ms: 11.71, p90_ms: 12.2, samples: 50 };
    JournalRow::Unit(Unit { model: "mobilenet_v2_100".to_owned(), resolution: 224, latency, host: None })
}

/// Trial `id`; the metrics follow from the genome, with a little noise.
pub fn trial(id: u64, variant: Option<&str>, r: &mut Random) -> Trial {
    let mut genome = BTreeMap::from([("resolution".to_owned(), r.pick(&[160, 192, 224, 256]))]);
    for stage in 1..=4 {
        genome.insert(format!("stages.{stage}.depth"), r.pick(&[1, 2, 3, 4]));
        genome.insert(format!("stages.{stage}.width"), 16 * stage * r.pick(&[1, 2, 3]));
        genome.insert(format!("stages.{stage}.expansion"), r.pick(&[2, 3, 4]));
    }
    genome.insert("stages.3.patch".to_owned(), r.pick(&[2, 4]));
    let of = |k: &str| genome[k] as f64;
    let size: f64 =
        (1..=4).map(|s| of(&format!("stages.{s}.depth")) * (of(&format!("stages.{s}.width")) / 64.0).powi(2)).sum();
    let expansion: f64 = (1..=4).map(|s| of(&format!("stages.{s}.expansion"))).sum::<f64>() / 12.0;
    let params = (4e5 + 9.3e4 * size * expansion).round();
    let macs = (3e7 + 1.6e7 * size * expansion * (of("resolution") / 224.0).powi(2) * (0.7 + 0.6 * r.unit())).round();
    let median_ms = 4.0 + macs / 2.4e7 * (0.75 + 0.5 * r.unit());
    let latency = Latency { median_ms, p10_ms: median_ms * 0.985, p90_ms: median_ms * 1.04, samples: 50 };
    let top1 = 66.0 + 5.2 * (macs / 4e7).ln() + 2.5 * (r.unit() - 0.5);
    let metrics = BTreeMap::from([("params".to_owned(), params), ("macs".to_owned(), macs)]);
    let outcome = match id % 12 {
        7 if variant.is_none() => TrialOutcome::Infeasible { why: "params at most 4000000".to_owned(), metrics },
        11 if variant.is_none() => TrialOutcome::Failed { why: "the loss is not finite".to_owned() },
        _ => {
            let mut all = metrics;
            all.insert("latency_ms".to_owned(), latency.median_ms);
            all.insert("top1".to_owned(), (top1 * 50.0).round() / 50.0);
            TrialOutcome::Scored(all)
        }
    };
    let latency = matches!(outcome, TrialOutcome::Scored(_)).then_some(latency);
    let origin = variant.map_or(Origin::Search, |v| Origin::Variant(v.to_owned()));
    Trial {
        id,
        space: None,
        origin,
        genome,
        digest: format!("{:016x}", r.next()),
        outcome,
        latency,
        cached: Vec::new(),
        seconds: 2.5 + r.unit(),
    }
}

/// All rows of a run.
pub fn rows(run: &SyntheticRun) -> Vec<JournalRow> {
    let mut r = Random(run.seed);
    let mut rows = vec![
        JournalRow::Run(Box::new(header())),
        unit(),
        JournalRow::Supernet(Supernet { space: None, epochs: 12.0, steps: 4212, loss: 0.8123, seconds: 6210.0 }),
        JournalRow::Caveat(Caveat { text: "The processor's clock could not be pinned.".to_owned() }),
    ];
    let mut scored: Vec<Trial> = Vec::new();
    for id in 0..run.trials {
        let trial = trial(id, run.variants.get(id as usize).copied(), &mut r);
        if matches!(trial.outcome, TrialOutcome::Scored(_)) {
            scored.push(trial.clone());
        }
        rows.push(JournalRow::Trial(trial));
    }
    scored.sort_by(|a, b| b.score("top1").unwrap().total_cmp(&a.score("top1").unwrap()));
    // Two found by the search, then the published variant with the best top-1, and so on.
    let (published, found): (Vec<&Trial>, Vec<&Trial>) = scored.iter().partition(|t| t.origin != Origin::Search);
    let mut winners: Vec<&Trial> = found.into_iter().step_by(4).take(run.retrained.saturating_sub(1)).collect();
    winners.extend(published.into_iter().take(run.retrained.min(1)));
    for t in winners {
        let metrics = BTreeMap::from([("test_top1".to_owned(), t.score("top1").unwrap() + 6.0 + r.unit())]);
        let (digest, seed) = (t.digest.clone(), 17);
        rows.push(JournalRow::Retrained(Retrained {
            trial: t.id,
            digest,
            seed,
            epochs: 30.0,
            metrics,
            seconds: 1834.0,
            inherited: false,
        }));
    }
    if run.done {
        let seconds = [("supernet", 6210.0), ("search", 214.0), ("retrain", 5502.0)].map(|(k, v)| (k.to_owned(), v));
        rows.push(JournalRow::Done(Done { seconds: BTreeMap::from(seconds) }));
    }
    rows
}

/// Rows as the journal's text.
pub fn text(rows: &[JournalRow]) -> String {
    rows.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect()
}

/// Writes a journal into a run's folder.
pub fn write(dir: &Path, journal: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(mobilenas_reports::JOURNAL), journal).unwrap();
}

/// Every file below a folder with its bytes, by name.
pub fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.push((path.strip_prefix(dir).unwrap().display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    out.sort();
    out
}

/// Copies a folder below the one that `REPORTS_LOOK` names, if it names one, to look at it.
pub fn keep(dir: &Path, name: &str) {
    let Some(look) = std::env::var_os("REPORTS_LOOK") else { return };
    for (file, bytes) in files(dir) {
        let path = Path::new(&look).join(name).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
