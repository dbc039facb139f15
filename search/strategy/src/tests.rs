//! What holds for every strategy in the registry.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mobilenas_record::{Goal, pareto};
use mobilenas_space::{Domain, Genome};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use serde_json::{Value as Json, json};

use super::*;

/// A generator for a step of a search.
pub(crate) fn rng(seed: u64, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, 5, step]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A strategy as a config names it, in JSON.
pub(crate) fn config(json: &str) -> StrategyConfig {
    serde_json::from_str(json).unwrap()
}

/// Every strategy by its defaults, and settings that take other paths.
fn all() -> Vec<StrategyConfig> {
    let more = [
        r#"{"regularized_evolution": {"population": 10}}"#,
        r#"{"nsga2": {"population": 10, "crossover": 0.5, "mutation": 0.2}}"#,
        r#"{"mes_slimming": {"beam": 2, "target": 0}}"#,
        r#"{"mes_slimming": {"actions_per_step": 2}}"#,
        r#"{"predictor": {"initial_random": 8, "exploration": 0.3}}"#,
    ];
    STRATEGIES.iter().map(StrategyKind::config).chain(more.map(config)).collect()
}

fn schema() -> Json {
    Json::from(
        schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<StrategyConfig>(),
    )
}

#[test]
fn every_entry_has_a_name_help_and_a_schema_whose_settings_have_descriptions_and_defaults() {
    let (schema, mut names) = (schema(), BTreeSet::new());
    for kind in STRATEGIES {
        let name = kind.name;
        assert!(names.insert(name), "{name} occurs twice");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        assert!(!kind.help.is_empty() && !kind.help.contains('\n') && !kind.help.ends_with('.'), "{name}");
        let property = &schema["properties"][name];
        assert_eq!(property["description"], kind.help, "{name}");
        let settings = &schema["$defs"][property["$ref"].as_str().unwrap().rsplit('/').next().unwrap()];
        assert_eq!(settings["additionalProperties"], false, "{name}: unknown keys must be mistakes");
        assert!(settings["required"].is_null(), "{name}: every setting needs a default");
        let known = settings["properties"].as_object().cloned().unwrap_or_default();
        assert!(known.values().all(|p| p["description"].is_string()), "{name}: every setting needs a description");
        // What a config leaves out is what the defaults say, and reads back as itself.
        let whole = serde_json::to_value(kind.config()).unwrap();
        assert!(whole[name].as_object().unwrap().keys().all(|key| known.contains_key(key)), "{name}");
        assert_eq!(config(&json!({ name: {} }).to_string()), kind.config(), "{name}");
        assert_eq!(config(&whole.to_string()), kind.config(), "{name}");
        assert!(kind.benchmark_config().is_ok(), "{name}");
    }
    assert_eq!(schema["properties"].as_object().unwrap().len(), STRATEGIES.len());
    assert_eq!(STRATEGIES[0].name, "random");
}

#[test]
fn every_entry_is_in_the_docs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/search.md");
    let text = fs::read_to_string(file).unwrap();
    for StrategyKind { name, help, .. } in STRATEGIES {
        let row = |line: &str| line.starts_with(&format!("| `{name}: {{")) && line.ends_with(&format!("| {help} |"));
        assert!(text.lines().any(row), "docs/search.md needs the row | `{name}: {{...}}` | {help} |");
    }
}

#[test]
fn a_config_names_one_known_strategy_and_its_settings_only() {
    for wrong in ["{}", r#"{"random": {}, "nsga2": {}}"#, r#"{"nsga3": {}}"#, r#"{"nsga2": {"size": 3}}"#] {
        assert!(serde_json::from_str::<StrategyConfig>(wrong).is_err(), "{wrong}");
    }
    // Settings keep their order: the digest of a config depends on it.
    let text = serde_json::to_string(&config(r#"{"nsga2": {"mutation": 0.5}}"#)).unwrap();
    assert_eq!(text, r#"{"nsga2":{"population":20,"crossover":0.9,"mutation":0.5}}"#);
}

#[test]
fn objectives_are_checked_against_capabilities() {
    let (slimming, nsga2) = (strategy("mes_slimming").unwrap(), strategy("nsga2").unwrap());
    assert_eq!(slimming.check_number(2), Ok(()));
    assert_eq!(slimming.check_number(1).unwrap_err(), "found a list of 1, expected 2 for mes_slimming");
    assert_eq!(slimming.check_number(3).unwrap_err(), "found a list of 3, expected 2 for mes_slimming");
    assert_eq!(slimming.config().check_second(&["top1", "mes"]), Ok(()));
    let message = "found \"macs\", expected mes: the second objective of mes_slimming";
    assert_eq!(slimming.config().check_second(&["top1", "macs"]).unwrap_err(), message);
    assert!((1..5).all(|n| nsga2.check_number(n).is_ok()) && nsga2.config().check_second(&["top1", "macs"]).is_ok());
}

/// Two objectives in conflict, with some interaction: larger networks are better, with less and less to gain; smaller ones
/// are cheaper.
fn scores(domain: &Domain, genome: &Genome) -> Vec<f64> {
    let share = |i: usize| f64::from(genome.choices()[i]) / f64::from(domain.counts()[i] - 1);
    let (mut good, mut cost) = (0.0, 0.0);
    for (k, &i) in domain.free().iter().enumerate() {
        good += (1.0 + k as f64 % 3.0) * share(i).sqrt();
        cost += (1.0 + (k as f64 + 1.0) % 3.0) * share(i);
    }
    vec![good - 0.5 * (share(0) - share(1)).abs(), 100.0 / (1.0 + cost)]
}

/// Hypervolume after so many different genomes, asked for four at a time.
fn volume(config: &StrategyConfig, seed: u64, trials: usize) -> f64 {
    let domain = Domain::new([4, 3, 1, 5, 2, 4, 3, 4]);
    let knob = |i: usize| Knob { name: i.to_string(), kind: "width" };
    let knobs = (0..domain.counts().len()).map(knob).collect();
    let space = SpaceInfo { knobs, domain: domain.clone(), objectives: Vec::new() };
    let (mut strategy, mut seen) = (config.build(&space), BTreeMap::new());
    for step in 0..10_000 {
        let asked = strategy.ask(&domain, 4, &mut rng(seed, step));
        if seen.len() >= trials || asked.is_empty() {
            break;
        }
        let observe = |genome: Genome| Observation { scores: Some(scores(&domain, &genome)), genome, violation: 0.0 };
        let observations: Vec<_> = asked.into_iter().map(observe).collect();
        strategy.tell(&observations);
        let left = trials - seen.len();
        seen.extend(observations.into_iter().take(left).map(|o| (o.genome, o.scores.unwrap())));
    }
    let points: Vec<Vec<f64>> = seen.into_values().collect();
    pareto::hypervolume(&points, &[0.0, 0.0], &[Goal::Maximize, Goal::Maximize])
}

#[test]
fn every_strategy_beats_random_search_in_the_median() {
    let small = [
        r#"{"regularized_evolution": {"population": 10, "sample": 4, "mutation": 0.1}}"#,
        r#"{"nsga2": {"population": 10}}"#,
        r#"{"mes_slimming": {"beam": 2}}"#,
        r#"{"mes_slimming": {"actions_per_step": 2}}"#,
        r#"{"predictor": {"initial_random": 8}}"#,
    ]
    .map(config);
    // Of the others the defaults.
    let others = STRATEGIES[1..].iter().filter(|kind| small.iter().all(|c| c.kind().name != kind.name));
    let all: Vec<StrategyConfig> = small.iter().cloned().chain(others.map(StrategyKind::config)).collect();
    let median = |config: &StrategyConfig| {
        let mut all: Vec<f64> = (0..9).map(|seed| volume(config, seed, 120)).collect();
        all.sort_by(f64::total_cmp);
        all[4]
    };
    let random = median(&STRATEGIES[0].config());
    for config in &all {
        let own = median(config);
        assert!(own > random, "{config:?}: {own} against {random}");
    }
}

/// A whole search of `steps` steps that is told what `journal` knows already.
fn search(config: &StrategyConfig, seed: u64, steps: u64, journal: &[Observation]) -> Vec<Observation> {
    let (space, mut strategy, mut all) = (analytic::space(7), config.build(&analytic::space(7)), Vec::new());
    for step in 0..steps {
        let asked = strategy.ask(&space.domain, 2, &mut rng(seed, step));
        let observe = |(k, genome): (usize, Genome)| match journal.get(all.len() + k) {
            Some(known) => known.clone(),
            None if step % 5 == 4 => Observation { genome, scores: None, violation: 0.0 },
            None => analytic::observe(genome, &config.kind().capabilities),
        };
        let observations: Vec<Observation> = asked.into_iter().enumerate().map(observe).collect();
        strategy.tell(&observations);
        all.extend(observations);
    }
    all
}

#[test]
fn the_same_seed_asks_for_the_same_genomes_also_when_resumed_from_a_journal() {
    for config in all() {
        let whole = search(&config, 1, 40, &[]);
        assert_eq!(search(&config, 1, 40, &[]), whole, "{config:?}");
        for killed_at in [1, 7, 13, 29] {
            let journal = search(&config, 1, killed_at, &[]);
            assert_eq!(search(&config, 1, 40, &journal), whole, "{config:?} killed at {killed_at}");
        }
    }
}

#[test]
fn genomes_belong_to_the_domain_whatever_is_told() {
    for counts in [vec![4, 3, 1, 5, 2, 4, 3, 4], vec![1, 1], vec![2], vec![7; 30]] {
        let knob = |i: usize| Knob { name: i.to_string(), kind: "width" };
        let knobs = (0..counts.len()).map(knob).collect();
        let space = SpaceInfo { knobs, domain: Domain::new(counts), objectives: Vec::new() };
        for config in all() {
            let mut strategy = config.build(&space);
            for step in 0..60 {
                let asked = strategy.ask(&space.domain, 3, &mut rng(2, step));
                assert!(asked.len() <= 3);
                let observe = |(k, genome): (usize, Genome)| {
                    assert_eq!(space.domain.genome(genome.choices().iter().copied()).as_ref(), Some(&genome));
                    let scores = (k != 1).then(|| vec![1.0, if step % 2 == 0 { 1.0 } else { -1e300 }]);
                    Observation { genome, scores, violation: if k == 2 { 0.5 } else { 0.0 } }
                };
                strategy.tell(&asked.into_iter().enumerate().map(observe).collect::<Vec<_>>());
            }
        }
    }
}
