//! `bench run` from the command line: the table, its files, what fails, what is resumed, and what it says of bad input; and a
//! search that measures in blocks.

use std::fs;
use std::path::Path;
use std::process::Output;

use mobilenas_bench::profile::output;
use mobilenas_bench::profile::record::ProfileReport;
use mobilenas_pipeline::config;
use mobilenas_reports::flat::{Flat, Values};
use tempfile::TempDir;

use crate::common::{program, program_with_data, ran, signal, wait_for};

fn run(dir: &Path, words: &[&str]) -> Output {
    ran(program(dir).args(["bench", "run"]).args(words))
}

fn err(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// What a wrong input gets told; nothing is measured.
fn refused(dir: &Path, words: &[&str]) -> String {
    let out = run(dir, words);
    assert_eq!(out.status.code(), Some(2), "{}", err(&out));
    assert!(out.stdout.is_empty());
    err(&out)
}

/// Rules that end soon, on a machine with other work.
const QUICK: &str = "\
models: [mobilenetv3_small_100, mobilenetv4_conv_small_035]
engines: [libtorch-plain, onnxruntime]
threads: [1, 200]
window_ms: 40
warmup: {max_seconds: 0.1}
samples: {min: 10, max_seconds: 0.1}
processes: {min: 2, max: 2}
";

fn read(folder: &Path) -> ProfileReport {
    output::read(folder).unwrap().unwrap()
}

fn column<'a>(flat: &'a Flat, name: &str) -> &'a Values {
    &flat.columns.iter().find(|(n, _)| n == name).unwrap().1
}

#[test]
fn two_networks_on_two_engines_with_all_files() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), QUICK).unwrap();
    let out = run(dir.path(), &["c.yaml", "--out", "o"]);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    let folder = dir.path().join("o");
    let report = read(&folder);
    assert_eq!(report.rows.len(), 8);
    for row in &report.rows {
        assert_eq!(row.host, report.host, "the machine is in every row");
        // No machine of ours has 200 cores: that cell fails, and the others go on.
        if row.case.threads == 200 {
            let why = row.why().unwrap();
            assert!(why.starts_with("found 200 threads, expected at most one for each of "), "{why}");
            continue;
        }
        let m = row.measured().unwrap_or_else(|| panic!("{}: {:?}", row.case, row.why()));
        let i = m.median_ms;
        assert!(m.minimum_ms > 0.0 && m.minimum_ms <= i.middle && i.low <= i.middle && i.middle <= i.high, "{i:?}");
        // A machine that is very busy gives fewer than the ten samples that it takes.
        assert!(m.p90_ms.is_none_or(|p90| p90 >= i.middle) && m.images_per_second > 0.0 && m.resolution == 224);
        assert!(m.first_ms > 0.0 && (m.cold_start_ms - m.prepare_ms - m.first_ms).abs() < 1e-6);
        assert!(m.peak_bytes.unwrap() >= m.running_bytes.unwrap() && m.running_bytes > Some(50 << 20), "{m:?}");
        // One image of 224 pixels in float32 is more than half a megabyte: libtorch's allocator has at least this.
        assert_eq!(m.allocator_bytes.is_some_and(|b| b > 600_000), row.case.engine == "libtorch-plain", "{m:?}");
        assert!(m.cost > 0.0, "{}", m.cost);
        assert_eq!(m.processes.len(), 2);
        for p in &m.processes {
            assert_eq!((p.ready.cores.len(), p.ready.threads), (1, 1), "set, and told by the system");
            assert_eq!(p.windows.iter().map(|w| w.samples).sum::<usize>(), p.samples_ms.len());
            assert!(p.before.busy_cores.is_some() && p.load_average.is_some() && p.windows[0].load.steal_ms.is_some());
            // One thread, whatever else runs on its core.
            assert!(p.windows.iter().all(|w| w.own_cores > 0.0 && w.own_cores < 1.5), "{:?}", p.windows);
        }
    }
    table(&String::from_utf8(out.stdout).unwrap(), &report);
    files(&folder, &report);
}

fn table(text: &str, report: &ProfileReport) {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + report.rows.len(), "{text}");
    assert!(lines[0].starts_with("model") && lines[0].contains("p50 ms"));
    for (line, row) in lines[1..].iter().zip(&report.rows) {
        assert!(line.starts_with(&row.case.model) && line.contains(&row.case.engine), "{line}");
        if let Some(why) = row.why() {
            assert!(line.ends_with(&format!("{}: {why}", row.status())), "{line}");
        }
    }
}

/// CSV, Parquet and Markdown say what JSON says.
fn files(folder: &Path, report: &ProfileReport) {
    let flat = Flat::from_parquet("bench.parquet", &fs::read(folder.join("bench.parquet")).unwrap()).unwrap();
    let p50: Vec<Option<f64>> = report.rows.iter().map(|r| r.measured().map(|m| m.median_ms.middle)).collect();
    assert_eq!(column(&flat, "p50_ms"), &Values::Number(p50.clone()));
    let text = |of: &dyn Fn(usize) -> String| Values::Text((0..report.rows.len()).map(|i| Some(of(i))).collect());
    assert_eq!(column(&flat, "model"), &text(&|i| report.rows[i].case.model.clone()));
    assert_eq!(column(&flat, "status"), &text(&|i| report.rows[i].status().to_string()));
    assert_eq!(column(&flat, "cpu"), &text(&|_| report.host.machine.cpu.clone()));
    let mut csv = csv::Reader::from_path(folder.join("bench.csv")).unwrap();
    let names: Vec<String> = csv.headers().unwrap().iter().map(String::from).collect();
    assert_eq!(names, flat.columns.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>());
    let at = names.iter().position(|n| n == "p50_ms").unwrap();
    let read: Vec<Option<f64>> = csv.records().map(|r| r.unwrap()[at].parse().ok()).collect();
    assert_eq!(read, p50);
    let markdown = fs::read_to_string(folder.join("bench.md")).unwrap();
    assert_eq!(markdown.lines().filter(|l| l.starts_with("| mobilenet")).count(), report.rows.len());
    assert!(markdown.contains(&report.protocol) && markdown.contains("| failed: found 200 threads"));
}

#[test]
fn resuming_measures_only_what_is_missing() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), QUICK).unwrap();
    let one = ["c.yaml", "--engines", "libtorch-plain", "--models", "mobilenetv3_small_100", "--out", "o"];
    assert_eq!(run(dir.path(), &[&one[..], &["--threads", "1"]].concat()).status.code(), Some(0));
    let before = read(&dir.path().join("o"));
    let said = refused(dir.path(), &one);
    insta::assert_snapshot!(said, @"error: o: holds measurements, expected a new folder; --resume goes on with those that are there");
    let more = [&one[..], &["--resume", "--threads", "1", "--batch", "1,2"]].concat();
    let out = run(dir.path(), &more);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    let after = read(&dir.path().join("o"));
    assert_eq!((before.rows.len(), after.rows.len()), (1, 2));
    assert_eq!(after.rows[0], before.rows[0], "it was not measured again");
    assert_eq!(after.rows[1].case.batch, 2);
    fs::write(dir.path().join("c.yaml"), QUICK.replace("window_ms: 40", "window_ms: 50")).unwrap();
    let said = refused(dir.path(), &more);
    assert!(said.starts_with("error: o: holds measurements by another protocol (2 to 2 fresh processes; "), "{said}");
}

#[test]
fn a_network_that_a_run_found_is_measured_and_everything_is_one_json() {
    let dir = TempDir::new().unwrap();
    let small = "family: mobilevit_v1\nscale: {width: 0.25}\nknobs:\n  resolution: [64]\n";
    fs::write(dir.path().join("many.yaml"), small).unwrap();
    let said = refused(dir.path(), &["--genomes", "many.yaml"]);
    assert!(said.starts_with("error: many.yaml: more than one choice for "), "{said}");
    let space = config::load_genome(&dir.path().join("many.yaml"), 1000, None).unwrap();
    let knobs: String = space.values(&space.smallest()).iter().map(|(k, v)| format!("  {k}: [{v}]\n")).collect();
    fs::write(dir.path().join("one.yaml"), small.replace("  resolution: [64]\n", &knobs)).unwrap();
    fs::write(dir.path().join("c.yaml"), QUICK).unwrap();
    let words = ["c.yaml", "--genomes", "one.yaml", "--threads", "1", "--engines", "libtorch-plain", "--json"];
    let out = run(dir.path(), &words);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    let report: ProfileReport = serde_json::from_slice(&out.stdout).unwrap();
    let row = &report.rows[0];
    assert_eq!((report.rows.len(), row.case.model.as_str(), row.measured().unwrap().resolution), (1, "one.yaml", 64));
}

#[test]
fn all_cells_that_fail_are_a_failure_with_its_files() {
    let dir = TempDir::new().unwrap();
    let out = run(dir.path(), &["--models", "mobilenetv2_100", "--threads", "200", "--out", "o"]);
    assert_eq!(out.status.code(), Some(1), "{}", err(&out));
    assert_eq!(read(&dir.path().join("o")).rows.len(), 1);
    assert!(dir.path().join("o/bench.parquet").is_file());
}

#[test]
fn an_engine_that_is_not_here_is_a_row_with_its_own_words() {
    let dir = TempDir::new().unwrap();
    let mut command = program(dir.path());
    command.args(["bench", "run", "--models", "mobilenetv2_100", "--engines", "onnxruntime", "--out", "o"]);
    let out = command.env("ORT_DYLIB_PATH", "/nowhere/lib.so").output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", err(&out));
    let why = read(&dir.path().join("o")).rows[0].why().unwrap();
    assert!(why.contains("engine onnxruntime: ORT_DYLIB_PATH=/nowhere/lib.so: No such file"), "{why}");
}

#[test]
fn ctrl_c_keeps_the_finished_rows_and_writes_the_files() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), QUICK.replace("threads: [1, 200]", "threads: [1]\nbatch: [1, 2, 3, 4, 5, 6]"))
        .unwrap();
    let mut child = program(dir.path()).args(["bench", "run", "c.yaml", "--out", "o"]).spawn().unwrap();
    let folder = dir.path().join("o");
    wait_for(&mut child, || output::read(&folder).unwrap().is_some_and(|r| !r.rows.is_empty()));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report = read(&folder);
    assert!((1..24).contains(&report.rows.len()), "{}", report.rows.len());
    assert!(report.rows.iter().all(|r| r.measured().is_some()), "a row that was stopped is none");
    let flat = Flat::from_parquet("bench.parquet", &fs::read(folder.join("bench.parquet")).unwrap()).unwrap();
    let Values::Text(models) = column(&flat, "model") else { panic!("{flat:?}") };
    assert_eq!(models.len(), report.rows.len());
    assert!(folder.join("bench.csv").is_file() && folder.join("bench.md").is_file());
}

#[test]
fn the_config_that_ships_reads_and_measures_every_published_network() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/bench");
    let file = here.join("published_variants.yaml");
    let shipped = config::load_bench(&file).unwrap();
    assert_eq!(shipped.rules(), config::BenchConfig::default().rules(), "it spells the defaults out");
    assert_eq!(shipped.models(), config::published());
    assert_eq!((shipped.engines.join(" "), shipped.threads), ("libtorch onnxruntime".to_string(), vec![1]));
    let text = fs::read_to_string(&file).unwrap();
    let opening =
        ["# Command: cargo xtask run bench run configs/bench/published_variants.yaml", "# Time: ", "# Shows: "];
    for (line, begin) in text.lines().zip(opening) {
        assert!(line.starts_with(begin), "{line}");
    }
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(here.join("schema.json")).unwrap()).unwrap();
    assert_eq!(schema, config::bench_schema(), "write it anew: mobilenas schema bench > configs/bench/schema.json");
}

#[test]
fn mistakes_in_a_config_come_all_at_once() {
    let dir = TempDir::new().unwrap();
    let text = "\
models: [mobilevit_xx, mobilevit_xs, mobilevit_xs]
found: [{genome: a.yaml, name: mobilevit_xs, class: 3}]
engines: [onnx, libtorch]
threads: [0]
batch: []
cores: [1, 1]
warmup: {windows: 1}
samples: {min: 50, max: 20}
processes: {min: 5, max: 4}
noise: {steel: 1}
window: 3
";
    fs::write(dir.path().join("c.yaml"), text).unwrap();
    insta::assert_snapshot!(refused(dir.path(), &["c.yaml"]), @r#"
    error: c.yaml: 12 mistakes
      line 1, models.0: found "mobilevit_xx", expected a published network (`mobilenas models` lists them); did you mean mobilevit_xs?
      line 1, models.2: found "mobilevit_xs" twice, expected distinct ones
      line 2, found.0.class: unknown key, did you mean classes? (keys here: classes, genome, name)
      line 3, engines.0: found "onnx", expected one of libtorch, libtorch-plain, torchscript, onnxruntime, onnxruntime-int8, openvino, litert, auto
      line 4, threads.0: found 0, expected a whole number of 1 to 256
      line 5, batch: found a list of 0, expected a list of at least 1
      line 6, cores.1: found 1 twice, expected distinct ones
      line 7, warmup.windows: found 1, expected a whole number of 2 to 100
      line 8, samples.min: found 50, expected at most max, 20
      line 9, processes.min: found 5, expected at most max, 4
      line 10, noise.steel: unknown key, did you mean steal? (keys here: drift, max_noisy, other_load, steal, trend)
      line 11, window: unknown key, did you mean window_ms? (keys here: batch, cores, device, engines, files, found, models, noise, processes, samples, seed, threads, warmup, window_ms)
    "#);
}

#[test]
fn mistakes_on_the_command_line() {
    let dir = TempDir::new().unwrap();
    let said = |words: &[&str]| refused(dir.path(), words);
    insta::assert_snapshot!(said(&["--models", "mobilevit_xx"]), @r#"error: --models: found "mobilevit_xx", expected a published network (`mobilenas models` lists them); did you mean mobilevit_xs?"#);
    insta::assert_snapshot!(said(&["--models", "mobilevit_xs", "--engines", "libtorhc"]), @r#"error: --engines: found "libtorhc", expected one of libtorch, libtorch-plain, torchscript, onnxruntime, onnxruntime-int8, openvino, litert, auto; did you mean libtorch?"#);
    insta::assert_snapshot!(said(&["--models", "mobilevit_xs", "--threads", "0"]), @"error: --threads: found 0, expected a whole number of 1 to 256");
    insta::assert_snapshot!(said(&["--models", "mobilevit_xs", "--batch", "4,4"]), @"error: --batch: found 4 twice, expected distinct ones");
    insta::assert_snapshot!(said(&["--genomes", "none.yaml"]), @"error: none.yaml: No such file or directory (os error 2), expected a YAML file in UTF-8");
    fs::create_dir(dir.path().join("o")).unwrap();
    fs::write(dir.path().join("o/bench.json"), "[]").unwrap();
    insta::assert_snapshot!(said(&["--models", "mobilevit_xs", "--out", "o", "--resume"]), @"error: o/bench.json: no schema, expected a report that `mobilenas bench run` wrote");
    fs::write(dir.path().join("file"), "").unwrap();
    insta::assert_snapshot!(said(&["--models", "mobilevit_xs", "--out", "file"]), @"error: file: File exists (os error 17), expected a folder to write into");
    assert!(said(&[]).contains("required arguments were not provided"));
}

/// A search of four trials by fresh processes that remeasures the trials near its front.
fn remeasuring(dir: &Path) {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/tiny.yaml");
    let latency = "latency: {engine: libtorch-plain, processes: 1, rounds: 4, remeasure_processes: 2, warmup_ms: 0, \
                   min_samples: 3, max_samples: 3, max_ms: 10}\n";
    let text = fs::read_to_string(tiny).unwrap();
    let (before, after) = text.split_once("latency: {").unwrap();
    let text = before.to_string() + latency + after.split_once('\n').unwrap().1;
    let objectives = "objectives: [{metric: top1, goal: maximize}, {metric: latency_ms, goal: minimize}]";
    let text = text.replace("  batch: 2\n", &format!("  batch: 4\n  {objectives}\n"));
    fs::write(
        dir.join("c.yaml"),
        text.replace("epochs: 1", "epochs: 0.2").replace("trials: 8", "trials: 4").replace("best: 2", "best: 0"),
    )
    .unwrap();
}

fn searched(dir: &Path, name: &str, more: &[&str]) -> mobilenas_reports::RunData {
    let out = ran(program_with_data(dir).args(["search", "c.yaml", "--out", name]).args(more));
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    mobilenas_reports::read(&dir.join(name)).unwrap()
}

#[test]
fn a_search_times_its_candidates_interleaved_with_the_reference_in_fresh_processes() {
    let dir = TempDir::new().unwrap();
    remeasuring(dir.path());
    let run = |name: &str| searched(dir.path(), name, &[]);
    let run_data = run("run");
    let protocol = &run_data.header.engine.protocol;
    insta::assert_snapshot!(protocol, @"the ratio to mobilenetv2_100 in 1 fresh process, 4 rounds of random order in each, times its latency; trials near the front once more in 2 such processes when the search was over");
    let scored: Vec<_> = run_data.trials.iter().filter_map(|e| e.trial.latency.as_ref()).collect();
    assert!(scored.len() >= 4, "{:?}", run_data.trials);
    // Whatever is on the front was remeasured.
    for e in &run_data.trials {
        let samples = e.trial.latency.as_ref().map(|l| l.samples);
        assert!(samples == Some(8) || (samples == Some(4) && !e.on_front), "{e:?} {:?}", run_data.caveats);
    }
    for l in scored {
        assert!(0.0 < l.p10_ms && l.p10_ms <= l.median_ms && l.median_ms <= l.p90_ms, "{l:?}");
    }
    // Another run looks up what this one found out, and remeasures its own front.
    let again = run("again");
    assert!(again.trials.iter().all(|e| e.trial.cached.iter().any(|name| name == "latency_ms")), "{:?}", again.trials);
    let front: Vec<_> = again.trials.iter().filter(|e| e.on_front).map(|e| e.trial.latency.clone().unwrap()).collect();
    assert!(!front.is_empty() && front.iter().all(|l| l.samples == 8), "{front:?}");
    a_search_stopped_while_it_remeasured_remeasures_what_is_left(dir.path(), &run_data);
}

fn a_search_stopped_while_it_remeasured_remeasures_what_is_left(dir: &Path, whole: &mobilenas_reports::RunData) {
    let journal = dir.join("run/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let is_timed = |line: &str| line.starts_with(r#"{"timed""#);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|l| is_timed(l)).unwrap();
    // As a stop right after the first of them leaves it.
    fs::write(&journal, lines[..=first].join("\n") + "\n").unwrap();
    let resumed = searched(dir, "run", &["--resume"]);
    let after = fs::read_to_string(&journal).unwrap();
    let after: Vec<&str> = after.lines().collect();
    assert_eq!(after[..=first], lines[..=first], "what was there stays");
    let trials: Vec<_> = after.iter().filter(|l| is_timed(l)).map(|l| l.split(r#""trial":"#).nth(1).unwrap()).collect();
    let trials: std::collections::BTreeSet<_> = trials.iter().map(|l| l.split(',').next().unwrap()).collect();
    assert_eq!(trials.len(), after.iter().filter(|l| is_timed(l)).count(), "nothing is remeasured twice");
    assert_eq!(resumed.trials.len(), whole.trials.len());
    for e in resumed.trials.iter().filter(|e| e.on_front) {
        assert_eq!(e.trial.latency.as_ref().map(|l| l.samples), Some(8), "{e:?}");
    }
}
