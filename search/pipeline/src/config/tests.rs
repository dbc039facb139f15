//! Every message a config can give rise to, and that a config written back reads as itself.
#![allow(clippy::unwrap_used)]

mod recipes;
mod spaces;
mod workers;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mobilenas_strategy::STRATEGIES;

use super::{Config, load, load_genome, schema, to_yaml};

const GOOD: &str = "space: {family: mobilevit_v1}\nsearch: {strategy: {random: {}}, trials: 3}\n";

fn read(text: impl AsRef<[u8]>) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    fs::write(&file, text).unwrap();
    load(&file).map(|l| l.config).map_err(|e| {
        let said = e.to_string().replace(&format!("{}/", dir.path().display()), "");
        said.replace(&strategy_names(), "STRATEGIES")
    })
}

/// The names of all strategies, as messages list them.
fn strategy_names() -> String {
    let names: BTreeSet<&str> = STRATEGIES.iter().map(|k| k.name).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// What is said about a config.
fn said(text: impl AsRef<[u8]>) -> String {
    read(text).unwrap_err()
}

/// What is said about a good config with more lines behind it.
fn more(lines: &str) -> String {
    said(format!("{GOOD}{lines}\n"))
}

/// What is said about a good config with other settings of the search.
fn search(settings: &str) -> String {
    said(GOOD.replace("trials: 3", &format!("trials: 3, {settings}")))
}

#[test]
fn keys() {
    insta::assert_snapshot!(more("suprnet: {}"), @r"
    c.yaml: 1 mistake
      line 3, suprnet: unknown key, did you mean supernet? (keys here: checkpoint_seconds, data, device, head, latency, mes, name, retrain, scoring, search, seed, space, spaces, supernet, task, threads, workers)
    ");
    insta::assert_snapshot!(more("supernet: {epoch: 3}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.epoch: unknown key, did you mean epochs? (keys here: augment, batch, batch_norms, clip, cooldown, decay_all, distill, distill_subnets, drop_path, dropout, ema, epochs, grad_accum_steps, head_dropout, init, label_smoothing, lr, lr_base_size, lr_schedule, max_nonfinite_steps, min_lr, optimizer, precision, progressive_order, random_subnets, recipe, rule, sampler, schedule_interval, sync_batch_norms, warmup, warmup_lr, warmup_steps, weight_decay)
    ");
    insta::assert_snapshot!(more("1.5: 3\n~: 3\n[1, 2]: 3"), @r"
    c.yaml: 3 mistakes
      line 3, 1.5: unknown key (keys here: checkpoint_seconds, data, device, head, latency, mes, name, retrain, scoring, search, seed, space, spaces, supernet, task, threads, workers)
      line 4, null: unknown key (keys here: checkpoint_seconds, data, device, head, latency, mes, name, retrain, scoring, search, seed, space, spaces, supernet, task, threads, workers)
      line 5, a list of 2: unknown key (keys here: checkpoint_seconds, data, device, head, latency, mes, name, retrain, scoring, search, seed, space, spaces, supernet, task, threads, workers)
    ");
    insta::assert_snapshot!(more("supernet:\n  lr: 1\n  lr: 2\n  lr: 99"), @r"
    c.yaml: 3 mistakes
      line 5, supernet.lr: occurs twice, first on line 4
      line 6, supernet.lr: occurs twice, first on line 4
      line 6, supernet.lr: found 99, expected a number above 0, at most 10
    ");
    insta::assert_snapshot!(said("seed: 1\n"), @r"
    c.yaml: 2 mistakes
      line 1: missing key search, expected a map
      line 1: missing key space, expected a map, or spaces, a list of them
    ");
    insta::assert_snapshot!(said("seed: 1\nspace:\nsearch:\n"), @r"
    c.yaml: 3 mistakes
      line 2, space: missing key family, expected text
      line 3, search: missing key strategy, expected a map
      line 3, search: missing key trials, expected a whole number of 1 to 1000000
    ");
}

#[test]
fn types() {
    insta::assert_snapshot!(more("seed: ten"), @r#"
    c.yaml: 1 mistake
      line 3, seed: found "ten", expected a whole number of at least 0
    "#);
    insta::assert_snapshot!(more("seed: \"5\""), @r#"
    c.yaml: 1 mistake
      line 3, seed: found "5", expected a whole number of at least 0
    "#);
    insta::assert_snapshot!(more("seed: 1.5"), @r"
    c.yaml: 1 mistake
      line 3, seed: found 1.5, expected a whole number of at least 0
    ");
    insta::assert_snapshot!(more("seed:\nthreads: 1"), @r"
    c.yaml: 1 mistake
      line 3, seed: found nothing, expected a whole number of at least 0
    ");
    insta::assert_snapshot!(more("name: 7"), @r"
    c.yaml: 1 mistake
      line 3, name: found 7, expected text
    ");
    insta::assert_snapshot!(more("data: {flip: 1}"), @r"
    c.yaml: 1 mistake
      line 3, data.flip: found 1, expected true or false
    ");
    insta::assert_snapshot!(more("data: [1, 2]"), @r"
    c.yaml: 1 mistake
      line 3, data: found a list of 2, expected a map
    ");
    insta::assert_snapshot!(said(GOOD.replace("_v1}", "_v1, knobs: {stem.width: 3, head.width: [1.5, x]}}")), @r#"
    c.yaml: 3 mistakes
      line 1, space.knobs.stem.width: found 3, expected a list
      line 1, space.knobs.head.width.0: found 1.5, expected a whole number
      line 1, space.knobs.head.width.1: found "x", expected a whole number
    "#);
    insta::assert_snapshot!(more(&format!("seed: {}", "y".repeat(200))), @r#"
    c.yaml: 1 mistake
      line 3, seed: found "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"..., expected a whole number of at least 0
    "#);
}

#[test]
fn ranges() {
    insta::assert_snapshot!(more("threads: 0"), @r"
    c.yaml: 1 mistake
      line 3, threads: found 0, expected a whole number of 1 to 256
    ");
    insta::assert_snapshot!(more("supernet: {lr: 0}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.lr: found 0, expected a number above 0, at most 10
    ");
    insta::assert_snapshot!(more("supernet: {label_smoothing: 1}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.label_smoothing: found 1, expected a number of 0 to 0.9
    ");
    insta::assert_snapshot!(more("seed: -1"), @r"
    c.yaml: 1 mistake
      line 3, seed: found -1, expected a whole number of at least 0
    ");
    insta::assert_snapshot!(more("seed: 1e300"), @r"
    c.yaml: 1 mistake
      line 3, seed: found 1e300, expected a whole number of at least 0
    ");
    insta::assert_snapshot!(more("checkpoint_seconds: .nan\nsupernet: {lr: .inf}"), @r"
    c.yaml: 2 mistakes
      line 3, checkpoint_seconds: found NaN, expected a number of 0 to 86400
      line 4, supernet.lr: found inf, expected a number above 0, at most 10
    ");
    insta::assert_snapshot!(said(GOOD.replace("_v1}", "_v1, knobs: {head.width: [18446744073709551615]}}")), @r"
    c.yaml: 1 mistake
      line 1, space.knobs.head.width.0: found 18446744073709551615, expected a whole number of at most 9223372036854775807
    ");
    insta::assert_snapshot!(search("objectives: []"), @r"
    c.yaml: 1 mistake
      line 2, search.objectives: found a list of 0, expected a list of at least 1
    ");
}

#[test]
fn names_that_are_no_folder() {
    for name in ["''", "..", "../esc", "a/b", "/tmp/a", r#""a\0b\e[31m""#] {
        let message = more(&format!("name: {name}"));
        assert!(message.starts_with("c.yaml: 1 mistake\n  line 3, name: found "), "{message}");
    }
    insta::assert_snapshot!(more("name: ../esc"), @r#"
    c.yaml: 1 mistake
      line 3, name: found "../esc", expected the name of one folder, without slashes and control characters
    "#);
}

#[test]
fn old_names_of_keys() {
    insta::assert_snapshot!(more("supernet:\n  open: [depth]\n  skip: 3\nlatency: {race: 0}\nretrain: {distill: {lessons: soft}}"), @r"
    c.yaml: 4 mistakes
      line 4, supernet.open: renamed to progressive_order
      line 5, supernet.skip: renamed to max_nonfinite_steps
      line 6, latency.race: renamed to remeasure_processes
      line 7, retrain.distill.lessons: renamed to type
    ");
    insta::assert_snapshot!(said(GOOD.replace("{random: {}}", "{predictor: {warm: 9}}, until_still: {trials: 3}")), @r"
    c.yaml: 2 mistakes
      line 2, search.strategy.predictor.warm: renamed to initial_random
      line 2, search.until_still: renamed to early_stopping
    ");
}

#[test]
fn choices() {
    insta::assert_snapshot!(more("data: {name: fashion_mnist}"), @r#"
    c.yaml: 1 mistake
      line 3, data.name: found "fashion_mnist", expected one of fashion-mnist, cifar-10, cifar-100, folder, coco, voc, ade20k, masks; did you mean fashion-mnist?
    "#);
    insta::assert_snapshot!(search("objectives: [{metric: top1, goal: maximise}]"), @r#"
    c.yaml: 1 mistake
      line 2, search.objectives.0.goal: found "maximise", expected one of maximize, minimize; did you mean maximize?
    "#);
    insta::assert_snapshot!(said(GOOD.replace("random", "regularised_evolution")), @r#"
    c.yaml: 1 mistake
      line 2, search.strategy.regularised_evolution: unknown key, did you mean regularized_evolution? (keys here: STRATEGIES)
    "#);
    insta::assert_snapshot!(said(GOOD.replace("{random: {}}", "random")), @r#"
    c.yaml: 1 mistake
      line 2, search.strategy: found "random", expected a map
    "#);
}

#[test]
fn values_that_contradict_each_other() {
    insta::assert_snapshot!(said(GOOD.replace("{random: {}}", "{}")), @r#"
    c.yaml: 1 mistake
      line 2, search.strategy: found 0 keys, expected one of STRATEGIES
    "#);
    insta::assert_snapshot!(search("objectives: [{metric: mes, goal: maximize}, {metric: mes, goal: minimize}]"), @r#"
    c.yaml: 1 mistake
      line 2, search.objectives.1.metric: found "mes" twice, expected distinct metrics
    "#);
    insta::assert_snapshot!(search("objectives: [{metric: latency, goal: minimize}]"), @r#"
    c.yaml: 1 mistake
      line 2, search.objectives.0.metric: found "latency", expected one of params, macs, memory, latency_ms, mes, synflow, nwot, grad_norm, top1, top1_int8; did you mean latency_ms?
    "#);
    insta::assert_snapshot!(more("data: {search_val: 50}\nscoring: {images: 51}"), @r"
    c.yaml: 1 mistake
      line 4, scoring.images: found 51, expected at most data.search_val, 50
    ");
    insta::assert_snapshot!(more("latency: {min_samples: 9, max_samples: 8}"), @r"
    c.yaml: 1 mistake
      line 3, latency.min_samples: found 9, expected at most max_samples, 8
    ");
    insta::assert_snapshot!(more("supernet: {min_lr: 1}\nretrain: {epochs: 1, warmup: 2}"), @r"
    c.yaml: 2 mistakes
      line 3, supernet.min_lr: found 1, expected at most lr, 0.002
      line 4, retrain.warmup: found 2, expected at most epochs, 1
    ");
}

#[test]
fn settings_of_strategies() {
    let strategy = |text: &str| said(GOOD.replace("{random: {}}", text));
    insta::assert_snapshot!(strategy("{nsga2: {populaton: 5, population: 1, crossover: two}}"), @r#"
    c.yaml: 3 mistakes
      line 2, search.strategy.nsga2.populaton: unknown key, did you mean population? (keys here: crossover, mutation, population)
      line 2, search.strategy.nsga2.population: found 1, expected a whole number of 2 to 100000
      line 2, search.strategy.nsga2.crossover: found "two", expected a number of 0 to 1
    "#);
    // What else is wrong is told beside an unknown strategy.
    insta::assert_snapshot!(strategy("{nsga3: {}}, objectives: [{metric: mse, goal: minimize}]"), @r#"
    c.yaml: 2 mistakes
      line 2, search.strategy.nsga3: unknown key, did you mean nsga2? (keys here: STRATEGIES)
      line 2, search.objectives.0.metric: found "mse", expected one of params, macs, memory, latency_ms, mes, synflow, nwot, grad_norm, top1, top1_int8; did you mean mes?
    "#);
}

#[test]
fn what_a_strategy_can_work_with() {
    let slimming = |objectives: &str, settings: &str| {
        let text = GOOD.replace("{random: {}}", &format!("\n  {{mes_slimming: {settings}}}"));
        said(text.replace("trials: 3", &format!("\n  objectives: {objectives},\n  trials: 3")))
    };
    let (top1, mes) = ("{metric: top1, goal: maximize}", "{metric: mes, goal: maximize}");
    insta::assert_snapshot!(slimming(&format!("[{top1}]"), "{}"), @r"
    c.yaml: 1 mistake
      line 4, search.objectives: found a list of 1, expected 2 for mes_slimming
    ");
    insta::assert_snapshot!(slimming(&format!("[{mes},\n {top1}]"), "{}"), @r#"
    c.yaml: 1 mistake
      line 5, search.objectives.1.metric: found "top1", expected mes: the second objective of mes_slimming
    "#);
    insta::assert_snapshot!(slimming(&format!("[{top1}, {mes}]"), "{\n actions: [heads]}"), @r"
    c.yaml: 1 mistake
      line 4, search.strategy.mes_slimming.actions: found heads, expected a kind of knob with two choices in this space: depth, expansion, patch, width
    ");
}

#[test]
fn all_at_once_in_the_order_of_lines() {
    insta::assert_snapshot!(more("serch: {}\nseed: .inf\nthreads: 99999999999\nseed: 2\ndata: {name: mnist}"), @r#"
    c.yaml: 5 mistakes
      line 3, serch: unknown key, did you mean search? (keys here: checkpoint_seconds, data, device, head, latency, mes, name, retrain, scoring, search, seed, space, spaces, supernet, task, threads, workers)
      line 4, seed: found inf, expected a whole number of at least 0
      line 5, threads: found 99999999999, expected a whole number of 1 to 256
      line 6, seed: occurs twice, first on line 4
      line 7, data.name: found "mnist", expected one of fashion-mnist, cifar-10, cifar-100, folder, coco, voc, ade20k, masks
    "#);
}

#[test]
fn text_that_is_no_yaml() {
    insta::assert_snapshot!(more("seed: [1"), @"c.yaml, line 3: unclosed bracket '[', expected YAML");
    insta::assert_snapshot!(said("space:\n\tfamily: mobilevit_v1\n"), @"c.yaml, line 2: tabs disallowed within this context (block indentation), expected YAML");
    insta::assert_snapshot!(said("space: family: mobilevit_v1\n"), @"c.yaml, line 1: mapping values are not allowed in this context, expected YAML");
    insta::assert_snapshot!(said("space:\n  family: mobilevit_v1\n search: 3\n"), @"c.yaml, line 3: while parsing a block mapping, did not find expected key, expected YAML");
    insta::assert_snapshot!(said("name: \"abc\nseed: 1\n"), @"c.yaml, line 1: unclosed quote, expected YAML");
    insta::assert_snapshot!(more("name: *nowhere"), @"c.yaml, line 3: alias references unknown anchor, expected YAML");
    insta::assert_snapshot!(more("name: a\0b"), @r"c.yaml, line 3: unexpected character: `\u{0}', expected YAML");
    insta::assert_snapshot!(more(&format!("---\n{GOOD}")), @"c.yaml, line 4: found a second document, expected one");
    insta::assert_snapshot!(said("[".repeat(100_000)), @"c.yaml, line 1: found lists or maps nested too deeply, expected less");
    let tenfold =
        |i: u8| format!("{}: &{0} [{}]\n", char::from(i + 1), vec![format!("*{}", char::from(i)); 10].join(", "));
    let aliases: String = (b'a'..b'i').map(tenfold).collect();
    insta::assert_snapshot!(said(format!("a: &a [x]\n{aliases}")), @"c.yaml, line 7: found more values than a config can have, expected fewer");
}

#[test]
fn files_that_are_no_config() {
    insta::assert_snapshot!(said(""), @"c.yaml: found an empty file, expected a YAML file in UTF-8");
    insta::assert_snapshot!(said("# only\n# comments\n"), @"c.yaml: found no values, expected a YAML file in UTF-8");
    insta::assert_snapshot!(said(b"seed: 1\nname: \xff\n"), @"c.yaml: found bytes that are not UTF-8 on line 2, expected a YAML file in UTF-8");
    insta::assert_snapshot!(said("#".repeat(1 << 20) + "\n"), @"c.yaml: found 1048577 bytes, at most 1048576 are read, expected a YAML file in UTF-8");
    insta::assert_snapshot!(said("hello\n"), @r#"
    c.yaml: 1 mistake
      line 1: found "hello", expected a map
    "#);
    insta::assert_snapshot!(load(Path::new("/nowhere/c.yaml")).unwrap_err(), @"/nowhere/c.yaml: No such file or directory (os error 2), expected a YAML file in UTF-8");
    insta::assert_snapshot!(load(Path::new("/")).unwrap_err(), @"/: found a directory, expected a YAML file in UTF-8");
    insta::assert_snapshot!(load(Path::new("/dev/zero")).unwrap_err(), @"/dev/zero: found more than 1048576 bytes, at most 1048576 are read, expected a YAML file in UTF-8");
}

#[test]
fn genomes_are_read_as_strictly() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.yaml");
    fs::write(&file, "family: mobilevit_v1\nknobs: {stem.width: 1}\nwidth: 2\n").unwrap();
    let said = load_genome(&file, 10, None).unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "");
    insta::assert_snapshot!(said, @r"
    g.yaml: 2 mistakes
      line 2, knobs.stem.width: found 1, expected a list
      line 3, width: unknown key (keys here: family, knobs, scale)
    ");
}

#[test]
fn whole_numbers_however_they_are_written() {
    for (text, value) in [("1e3", 1000), ("2.0", 2), ("0x10", 16), ("18446744073709551615", u64::MAX)] {
        assert_eq!(read(format!("{GOOD}seed: {text}\n")).unwrap().seed, value, "{text}");
    }
}

#[test]
fn what_has_defaults_may_be_left_empty() {
    let full = read(GOOD).unwrap();
    for text in [format!("{GOOD}supernet:\ndata: {{}}\nname:\n"), GOOD.replace("{random: {}}", "{random: }")] {
        assert_eq!(read(&text).unwrap(), full, "{text}");
    }
    let text = format!("\u{feff}{GOOD}").replace('\n', "\r\n");
    assert_eq!(read(text).unwrap(), full);
}

#[test]
fn a_config_written_back_reads_as_itself_whatever_its_file_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let again = dir.path().join("again.yaml");
    for stem in [
        "plain", "007", "1e3", "null", "~", "yes", "a: b", "# x", "- x", "a\nb", "'q\"", " lead ", "é", "{", "*a", "<<",
    ] {
        let file = dir.path().join(format!("{stem}.yaml"));
        fs::write(&file, format!("{GOOD}seed: 18446744073709551615\nsupernet: {{lr: 1e-7, clip: {{value: 0.1}}}}\n"))
            .unwrap();
        let first = load(&file).unwrap().config;
        assert_eq!(first.name(), stem.replace('\n', "_"));
        fs::write(&again, to_yaml(&first).unwrap()).unwrap();
        assert_eq!(load(&again).unwrap().config, first, "{stem:?}");
    }
}

#[test]
fn the_schema_says_what_it_is_and_describes_every_field() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "mobilenas search config");
    let parts = schema["$defs"]
        .as_object()
        .unwrap()
        .iter()
        .chain([(&"Config".to_string(), &schema)])
        .map(|(n, s)| (n.clone(), s.clone()))
        .collect::<Vec<_>>();
    for (part, of) in parts {
        for (name, field) in of["properties"].as_object().into_iter().flatten() {
            assert!(field["description"].is_string(), "{part}.{name}");
        }
    }
}
