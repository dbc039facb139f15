//! `mobilenas facts`, hidden: what `cargo xtask tidy` compares the docs with.

use std::io::BufRead as _;

use anyhow::Result;
use clap::Command;
use mobilenas_host::outln;

/// Prints a line `entry REGISTRY NAME` for each entry of each registry. Then reads command lines, without `mobilenas`,
/// words parted by tabs, and prints `refused NUMBER KIND MESSAGE` for each that the parser refuses.
///
/// # Errors
/// When standard input cannot be read.
pub fn run(command: &Command) -> Result<i32> {
    for (registry, names) in registries() {
        names.into_iter().try_for_each(|name| outln!("entry\t{registry}\t{name}"))?;
    }
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        let Err(e) = command.clone().try_get_matches_from(std::iter::once("mobilenas").chain(line.split('\t'))) else {
            continue;
        };
        if e.use_stderr() {
            let text = e.to_string();
            let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            outln!("refused\t{number}\t{:?}\t{message}", e.kind())?;
        }
    }
    Ok(0)
}

fn registries() -> [(&'static str, Vec<&'static str>); 9] {
    [
        ("FAMILIES", mobilenas_space::families::FAMILIES.iter().map(|f| f.name()).collect()),
        ("HEADS", mobilenas_heads::HEADS.iter().map(|h| h.name()).collect()),
        ("ENGINES", mobilenas_bench::engine::ENGINES.iter().map(|e| e.name()).collect()),
        ("DEVICES", mobilenas_device::DEVICES.iter().map(|d| d.name).collect()),
        ("TOOLS", mobilenas_device::TOOLS.iter().map(|t| t.name).collect()),
        ("FORMATS", mobilenas_file::FORMATS.iter().map(|f| f.name()).collect()),
        ("TASKS", mobilenas_task::TASKS.iter().map(|t| t.name()).collect()),
        ("METRICS", mobilenas_pipeline::metric::METRICS.iter().map(|m| m.info().name).collect()),
        ("EXPORTS", super::weights::EXPORTS.iter().map(|f| f.name).collect()),
    ]
}
