//! Times published networks on engines, in turn within each round, and prints medians in milliseconds as JSON.
//!
//!     cargo run -p mobilenas-bench --example engines -- --engines libtorch,libtorch-plain mobilevit_xxs@192
//!     cargo run -p mobilenas-bench --example engines -- --head ssdlite mobilevit_xxs@320

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use mobilenas_bench::engine::kernel_timing::TimedSelector;
use mobilenas_bench::engine::{Engine, Session, Setting, enough_cores, named};
use mobilenas_bench::{Host, Samples};
use mobilenas_heads::HeadArgs;
use mobilenas_host::{Clock, WallClock};
use mobilenas_space::families;
use mobilenas_space::ir::Plan;
use mobilenas_torch::tuned::KernelChoice;
use mobilenas_torch::{Names, Net, Owned, ParamStore, TunedNet};
use serde_json::json;
use tch::{Device, Kind, Tensor};

#[derive(Parser)]
struct Args {
    /// Published networks, each with the side of its images if another than the published: NAME or NAME@SIDE
    #[arg(required = true)]
    models: Vec<String>,
    /// Names of engines, with commas between
    #[arg(long, value_delimiter = ',', default_value = "libtorch,libtorch-plain,torchscript")]
    engines: Vec<String>,
    /// Intra-op threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Samples of each engine
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Also prints what the tuned network chose and how its time divides among its steps
    #[arg(long)]
    steps: bool,
    #[command(flatten)]
    head: HeadArgs,
}

/// A published network with fresh weights, its batch norms recalibrated, so that no number runs away.
fn network(spec: &str, head: &HeadArgs) -> Result<Net> {
    let (name, side) = spec.split_once('@').map_or((spec, None), |(n, s)| (n, Some(s)));
    let (family, info) = families::variant(name).with_context(|| format!("no network is named {name}"))?;
    let side = side.map(str::parse).transpose().context("the side of the images")?;
    let template = family.template(name).with_context(|| format!("{name} has no template"))?;
    let plan = |side: Option<u32>, classes| -> Result<Plan> {
        Ok(template.plan(&template.values(), side.unwrap_or(info.resolution), classes)?)
    };
    let graph = Arc::new(head.graph(side, None, plan)?);
    let net = Net::bind(graph.clone(), &Owned(&ParamStore::init(&graph, Names::Standalone, 0, Device::Cpu)?))?;
    net.recalibrate([&images(graph.input().dims[1], 2)?].into_iter())?;
    Ok(net)
}

fn images(side: u32, batch: usize) -> Result<Tensor> {
    let side = i64::from(side);
    Ok(Tensor::f_randn([batch as i64, 3, side, side], (Kind::Float, Device::Cpu))?)
}

fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

fn time(spec: &str, engines: &[&dyn Engine], args: &Args, clock: &dyn Clock) -> Result<serde_json::Value> {
    let net = network(spec, &args.head)?;
    let setting = Setting { batch: args.batch, threads: args.threads };
    let (mut sessions, mut prepared): (Vec<Box<dyn Session>>, _) = (Vec::new(), BTreeMap::new());
    for e in engines {
        let from = clock.now();
        sessions.push(e.prepare(&net, setting)?);
        prepared.insert(e.name(), milliseconds(clock.now().saturating_sub(from)));
    }
    let x = images(net.graph().input().dims[1], args.batch)?;
    for session in &mut sessions {
        for _ in 0..3 {
            let _ = session.run(&x)?;
        }
    }
    let mut seen = vec![Vec::new(); engines.len()];
    for _ in 0..args.rounds {
        for (session, times) in sessions.iter_mut().zip(&mut seen) {
            let from = clock.now();
            let _ = session.run(&x)?;
            times.push(milliseconds(clock.now().saturating_sub(from)));
        }
    }
    let medians: BTreeMap<_, _> =
        engines.iter().zip(seen).map(|(e, times)| (e.name(), Samples(times).median())).collect();
    eprintln!("{spec} {medians:?}");
    let steps = args.steps.then(|| steps(&net, &x, args, clock)).transpose()?;
    Ok(json!({ "median_ms": medians, "prepare_ms": prepared, "steps": steps }))
}

/// The median of each step of the tuned network.
fn steps(net: &Net, x: &Tensor, args: &Args, clock: &dyn Clock) -> Result<Vec<serde_json::Value>> {
    let tuned = TunedNet::new(&net.freeze()?, args.batch, &mut TimedSelector::new(args.threads))?;
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); tuned.choices().count()];
    for _ in 0..args.rounds {
        let mut at = 0;
        let _ = tuned.forward_with_hook(x, &mut |_, run| {
            let from = clock.now();
            run()?;
            times[at].push(milliseconds(clock.now().saturating_sub(from)));
            at += 1;
            Ok(())
        })?;
    }
    let row = |(c, t): (&KernelChoice, Vec<f64>)| json!({ "at": c.at, "does": c.step, "kernel": c.kernel, "ms": Samples(t).median() });
    Ok(tuned.choices().zip(times).map(row).collect())
}

fn main() -> Result<()> {
    let args = Args::parse();
    enough_cores(args.threads)?;
    let engines = args.engines.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?;
    let (clock, mut models) = (WallClock::new(), BTreeMap::new());
    for spec in &args.models {
        models.insert(spec.clone(), time(spec, &engines, &args, &clock)?);
    }
    let versions: BTreeMap<_, _> = engines.iter().map(|e| (e.name(), e.version())).collect();
    let report = json!({
        "host": Host::read(), "threads": args.threads, "batch": args.batch, "rounds": args.rounds,
        "versions": versions, "models": models,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
