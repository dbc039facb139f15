//! What a config says of workers.

use super::super::{Launch, MeasuredOn, Named, Preset, Weights};
use super::{GOOD, more, read};

fn launch(text: &str) -> Launch {
    let config = read(format!("{GOOD}workers: {{launch: {text}}}\n")).unwrap();
    config.workers.unwrap().launch.unwrap()
}

#[test]
fn a_launcher_is_a_name_a_command_or_a_map() {
    assert_eq!(launch("slurm"), Launch::Named(Named::Slurm));
    assert_eq!(launch("[srun, --exact]"), Launch::Command(vec!["srun".to_string(), "--exact".to_string()]));
    let ssh = Preset { ssh: Some(vec!["a".to_string()]), ..Preset::default() };
    assert_eq!(launch("{ssh: [a]}"), Launch::Preset(ssh));
    assert!(matches!(launch("{slurm: }"), Launch::Preset(Preset { slurm: Some(_), .. })));
    insta::assert_snapshot!(more("workers: {launch: slrm}"), @r#"
    c.yaml: 1 mistake
      line 3, workers.launch: found "slrm", expected one of slurm; did you mean slurm?
    "#);
    insta::assert_snapshot!(more("workers: {launch: {shs: [a]}}"), @r"
    c.yaml: 1 mistake
      line 3, workers.launch.shs: unknown key, did you mean ssh? (keys here: kubernetes, slurm, ssh)
    ");
    insta::assert_snapshot!(more("workers: {launch: {ssh: [a], slurm: {}}}"), @r"
    c.yaml: 1 mistake
      line 3, workers.launch: found 2 keys, expected one of kubernetes, slurm, ssh
    ");
    insta::assert_snapshot!(more("workers: {launch: {kubernetes: {}}}"), @r"
    c.yaml: 1 mistake
      line 3, workers.launch.kubernetes: missing key image, expected text
    ");
    insta::assert_snapshot!(more("workers: {launch: []}"), @r"
    c.yaml: 1 mistake
      line 3, workers.launch: found an empty list, expected the words of a command
    ");
}

#[test]
fn workers_of_two_kinds_are_refused() {
    let both = GOOD.replace("trials: 3", "trials: 3, workers: 2") + "retrain: {workers: 2}\nworkers: {count: 2}\n";
    insta::assert_snapshot!(read(&both).unwrap_err(), @r"
    c.yaml: 2 mistakes
      line 2, search.workers: found 2, expected none beside the map workers
      line 3, retrain.workers: found 2, expected none beside the map workers
    ");
    // Without a shared folder winners are trained here.
    let pipe = read(format!("{GOOD}retrain: {{workers: 2}}\nworkers: {{weights: pipe}}\n")).unwrap();
    assert_eq!(pipe.workers.unwrap().weights, Weights::Pipe);
    insta::assert_snapshot!(more("workers: {weights: pipe, folder: /runs/a}"), @r"
    c.yaml: 1 mistake
      line 3, workers.folder: found a folder, expected none with workers.weights: pipe
    ");
}

#[test]
fn workers_are_no_part_of_what_a_run_is() {
    let config = read(format!("{GOOD}workers: {{count: 4, launch: slurm}}\n")).unwrap();
    let text = super::super::to_yaml(&config).unwrap();
    assert!(!text.contains("slurm"), "{text}");
    assert_eq!(super::super::digest(&config).unwrap(), super::super::digest(&read(GOOD).unwrap()).unwrap());
}

#[test]
fn latencies_on_workers_need_workers_and_no_table() {
    insta::assert_snapshot!(more("latency: {measured_on: workers}"), @r"
    c.yaml: 1 mistake
      line 3, latency.measured_on: found workers, expected here without the map workers
    ");
    insta::assert_snapshot!(more("workers: {}\nlatency: {measured_on: workers, processes: 3}"), @r"
    c.yaml: 1 mistake
      line 4, latency.processes: found 3, expected 0 with latency.measured_on: workers
    ");
    insta::assert_snapshot!(more("workers: {}\nlatency: {host: old}"), @r"
    c.yaml: 1 mistake
      line 4, latency.host: found one, expected none unless latency.measured_on is workers
    ");
    let config = read(format!("{GOOD}workers: {{}}\nlatency: {{measured_on: workers, host: old}}\n")).unwrap();
    assert_eq!((config.latency.measured_on, config.latency.host.as_deref()), (MeasuredOn::Workers, Some("old")));
}
