//! The paired tier of `bench check` on another device.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use mobilenas_bench::on_device::{self, OnDeviceError, Voice};
use mobilenas_bench::process::MeasureError;
use mobilenas_bench::regression::Finding;
use mobilenas_bench::regression::device_pairs::DevicePairs;
use mobilenas_bench::regression::round::PairedRounds;
use mobilenas_device::{DeviceConfig, Network, Session, Surroundings};
use mobilenas_file::ModelFile;
use mobilenas_host::{Progress, Stop};
use mobilenas_onnx::Batch;
use mobilenas_pipeline::config::RegressionConfig;
use mobilenas_space::families;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::regression::{file_input, input};
use crate::cli::Input;

/// What is timed: a published network, or a file.
enum Side {
    Network(String),
    File(ModelFile),
}

/// Times networks against another one, and files against older ones; a finding and the samples of each pair.
///
/// # Errors
/// When the input is wrong, or the device fails or stays away.
pub(super) fn paired(
    config: &RegressionConfig,
    older: Option<&str>,
    device: &DeviceConfig,
    stop: &Stop,
) -> Result<Vec<(Finding, Json)>> {
    let mut pairs = Vec::new();
    for (model, older) in config.paired.models.iter().filter_map(|m| Some((m, older?))) {
        pairs.push((model.clone(), older.to_string(), Side::Network(older.to_string()), Side::Network(model.clone())));
    }
    for file in &config.files {
        if let Some(older) = file.older().filter(|o| o.file.is_file()) {
            let name = older.file.display().to_string();
            pairs.push((file.model().name(), name, Side::File(older), Side::File(file.model())));
        }
    }
    let rule = config.paired.rule();
    let mut all = Vec::new();
    for (name, against, baseline, candidate) in pairs {
        let (voice, progress) = (Voice::default(), Progress::new("paired"));
        progress.begin(rule.looks.last().copied().unwrap_or(0) as u64, 0);
        voice.set(progress.teller());
        let (say, sleep) = (|text: &str| voice.say(text), |time| mobilenas_device::rest(time, stop));
        let around = Surroundings { stop, sleep: &sleep, say: &say };
        let session = Session::open(device, 1, around).map_err(OnDeviceError::from).map_err(failed)?;
        let record = session.record().clone();
        let name = format!("{name} against {against} on {}", record.caption());
        let dir = TempDir::with_prefix("mobilenas-check")?;
        let networks = [
            network(&session, &baseline, dir.path(), "baseline")?,
            network(&session, &candidate, dir.path(), "candidate")?,
        ];
        let mut pairs = DevicePairs::new(session, networks, config.paired.seed);
        let mut look = |rounds: &PairedRounds| progress.at(rounds.sound().count() as u64, &name);
        let seen = rule.compare(&mut pairs, &mut look).map_err(|e| match e {
            MeasureError::Stopped => anyhow!(e),
            other => input(other),
        })?;
        progress.done();
        let sample = json!({"tier": "paired", "pair": name, "device": record, "rule": rule, "runs": seen});
        all.push((seen.finding(&name, &rule), sample));
    }
    Ok(all)
}

fn failed(e: OnDeviceError) -> anyhow::Error {
    input(MeasureError::from(e))
}

/// A side as the device gets it.
fn network(session: &Session<'_>, side: &Side, dir: &Path, name: &str) -> Result<Network> {
    let path = dir.join(format!("{name}.onnx"));
    let dims = match side {
        Side::Network(model) => {
            let plan = families::plan(model, None, 1000).map_err(|e| Input(format!("{model}: {e}")))?;
            let graph = Arc::new(plan.lower()?);
            on_device::export(&graph, Batch::Fixed(1), &path).map_err(failed)?;
            graph.input().dims.to_vec()
        }
        Side::File(file) => {
            let format = file.format().map_err(file_input)?;
            if format.name() != "onnx" {
                let expected = "expected ONNX, which --device takes";
                return Err(Input(format!("{}: found {}, {expected}", file.file.display(), format.name())).into());
            }
            let inputs = format.inputs(file).map_err(file_input)?;
            // What converters write goes beside the copy.
            fs::copy(&file.file, &path)?;
            let first = inputs.first().map(|i| i.dims.iter().skip(1).map(|n| *n as u32).collect());
            first.unwrap_or_default()
        }
    };
    session.network(&path, &dims).map_err(OnDeviceError::from).map_err(failed)
}
