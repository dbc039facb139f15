//! `mobilenas latency-table build`: on this machine or on another device.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mobilenas_bench::engine::{self, Engine, Setting};
use mobilenas_bench::latency_table::Table;
use mobilenas_bench::latency_table::builder::{BuildError, TableBuilder};
use mobilenas_bench::latency_table::on_engine::OnEngine;
use mobilenas_bench::on_device::{OnDevice, OnDeviceError, Voice};
use mobilenas_device::{DeviceConfig, DeviceError, Session, Surroundings};
use mobilenas_host::{Progress, Stop, WallClock, errln, out, outln};
use mobilenas_pipeline::config;

use super::meant::{Meant, NetArgs, SpaceArgs, locked, meant, refuse_existing};
use super::shown::shown;
use crate::cli::Input;

#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    nets: NetArgs,
    /// What runs the blocks on this machine [default: the config's engine, or libtorch]
    #[arg(long)]
    engine: Option<String>,
    /// A YAML file with the device that runs them instead [default: the config's, if it has one]
    #[arg(long, value_name = "FILE", conflicts_with = "engine")]
    device: Option<PathBuf>,
    /// Threads [default: the config's, or 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
    /// Images in a batch [default: the config's, or 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// Rounds in a pass: samples of a block [default: 12, or 5 on another device]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Passes, each of which prepares all networks anew; on another device there is one [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    passes: Option<u32>,
    /// Seed of random orders and networks [default: the config's, or 1]
    #[arg(long)]
    seed: Option<u64>,
    /// The table [default: tables/NAME-ENGINE-tTHREADS.jsonl]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// An engine by name.
fn named(name: &str) -> Result<&'static dyn Engine> {
    if name == engine::auto::NAME {
        let expected = "expected one engine for all blocks: their times are added";
        bail!(Input(format!("--engine: found {name:?}, {expected}")));
    }
    engine::named(name).map_err(|_| Input(format!("--engine: {}", engine::unknown(name).unwrap_or_default())).into())
}

pub(super) fn run(a: &BuildArgs) -> Result<i32> {
    let m = meant(a.space.config.as_deref(), a.space.space.as_deref(), a.space.family.as_deref(), a.space.classes)?;
    let device = a.device.as_deref().map(config::load_device).transpose()?;
    match device.or_else(|| m.latency.device.clone().filter(|_| a.engine.is_none())) {
        Some(device) => build_there(a, &m, &device),
        None => build_here(a, &m),
    }
}

fn build_here(a: &BuildArgs, m: &Meant) -> Result<i32> {
    let engine = named(a.engine.as_deref().unwrap_or(&m.latency.engine))?;
    let setting = a.setting(m);
    let out = a.out(m, engine.name(), setting.threads);
    refuse_existing(&out)?;
    engine::enough_cores(setting.threads).map_err(BuildError::from)?;
    let (clock, stop, _lock) = (WallClock::new(), Stop::on_signals()?, locked(&out)?);
    let (rounds, passes) = (a.rounds.unwrap_or(12) as usize, a.passes.unwrap_or(2) as usize);
    let mut timer = OnEngine { engine, setting, rounds, passes, seed: a.seed(m), clock: &clock, stop: &stop };
    told(a.builder(m).run(&mut timer, &out, Progress::new)?, &out, &stop)
}

fn build_there(a: &BuildArgs, m: &Meant, device: &DeviceConfig) -> Result<i32> {
    if let Some(passes) = a.passes.filter(|n| *n > 1) {
        bail!(Input(format!("--passes: found {passes}, expected 1 on another device, where each run prepares anew")));
    }
    let setting = a.setting(m);
    let out = match (&a.out, &m.latency.table) {
        (None, Some(table)) => table.clone(),
        _ => a.out(m, device.kind().name, setting.threads),
    };
    refuse_existing(&out)?;
    let (stop, voice, _lock) = (Stop::on_signals()?, Voice::default(), locked(&out)?);
    let (say, sleep) = (|text: &str| voice.say(text), |time| mobilenas_device::rest(time, &stop));
    let around = Surroundings { stop: &stop, sleep: &sleep, say: &say };
    let session = match Session::open(device, setting.threads, around) {
        Err(DeviceError::Stopped) => return Ok(stop.exit_code()),
        other => other.map_err(|e| BuildError::from(OnDeviceError::from(e)))?,
    };
    errln!("{}", session.record().caption());
    let rounds = a.rounds.unwrap_or(5) as usize;
    let mut timer = OnDevice { session, voice: &voice, batch: setting.batch, rounds, seed: a.seed(m) };
    told(a.builder(m).run(&mut timer, &out, Progress::new)?, &out, &stop)
}

impl BuildArgs {
    fn setting(&self, m: &Meant) -> Setting {
        let threads = self.threads.map_or(m.latency.threads, |n| n as usize);
        Setting { batch: self.batch.map_or(m.latency.batch, |n| n as usize), threads }
    }

    fn seed(&self, m: &Meant) -> u64 {
        self.seed.unwrap_or(m.seed)
    }

    fn out(&self, m: &Meant, engine: &str, threads: usize) -> PathBuf {
        let file = || Path::new("tables").join(format!("{}-{engine}-t{threads}.jsonl", m.name));
        self.out.clone().unwrap_or_else(file)
    }

    fn builder<'a>(&self, m: &'a Meant) -> TableBuilder<'a> {
        let nets = [self.nets.fit, self.nets.validate];
        TableBuilder { space: &m.space, nets, most: self.space.most_blocks, seed: self.seed(m) }
    }
}

fn told(table: Option<Table>, out: &Path, stop: &Stop) -> Result<i32> {
    match table {
        Some(table) => {
            out!("{}", shown(&table))?;
            outln!("table: {}", out.display())?;
            Ok(0)
        }
        None => {
            errln!("stopped; the same command goes on");
            Ok(stop.exit_code())
        }
    }
}
