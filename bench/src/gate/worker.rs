//! A process that answers timed calls over its pipes, one at a time; what every timed comparison runs on.
//!
//! It says one line of JSON when it is ready and one for each line it is told, until its input ends:
//!
//! | told | says |
//! |---|---|
//! | `pin N` | an [`Answer`] of nothing; it runs on that core only |
//! | `call` | the [`Answer`] of one call |
//! | `kernel` | the [`Answer`] of the calibration kernel |
//! | `window N` | [`Calls`]: so many calls one after the other, each timed |
//! | `bare N` | the [`Answer`] of so many calls, the clock read before the first and after the last only |
//! | `memory` | [`Memory`] |
//! | `block JSON` | [`Block`]: the networks of a [`Job`] and its own, timed in random order |

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mobilenas_space::ir::Graph;
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_torch::{Formula, Net, formula};
use procfs::process::Process;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::kernel::Kernel;
use super::{GateError, graph_of};
use crate::engine::{self, Engine, Session, Setting};
use crate::rounds::{Rounds, Series, rounds};
use crate::stats::median;
use mobilenas_host::clock::{Clock as _, WallClock};
use mobilenas_host::{load, memory, runtime_env};

/// Version of what is said over the pipes; baseline and candidate have to agree.
pub const PROTOCOL: u32 = 1;

/// What a worker runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A published network
    #[arg(long)]
    pub model: String,
    /// The engine that runs it
    #[arg(long, default_value = "libtorch")]
    pub engine: String,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Intra-op threads
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Run on these cores only, from the beginning
    #[arg(long, value_delimiter = ',')]
    pub cores: Vec<usize>,
    /// A network of this design instead of the published one, as JSON
    #[arg(long)]
    pub design: Option<String>,
    /// Units of real work that are added to each call, for experiments
    #[arg(long, default_value_t = 0)]
    pub extra: u32,
    /// Run so many calls and end, without a word
    #[arg(long)]
    pub calls: Option<usize>,
}

/// The first line of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// [`PROTOCOL`] of the worker.
    pub protocol: u32,
    /// Its version.
    pub program: String,
    /// The engine with its version.
    pub engine: String,
    /// What the engine chose while it prepared the network.
    #[serde(default)]
    pub choices: Vec<(String, String)>,
    /// Side of its images in pixels.
    #[serde(default)]
    pub resolution: u32,
    /// Threads that libtorch says it uses.
    #[serde(default)]
    pub threads: usize,
    /// Cores that it may run on, as the system has them.
    #[serde(default)]
    pub cores: Vec<usize>,
    /// Milliseconds in which the engine made the network ready: folded, loaded, kernels chosen.
    #[serde(default)]
    pub prepare_ms: f64,
    /// Resident bytes before the network was made.
    #[serde(default)]
    pub start_bytes: Option<u64>,
}

/// The answer to one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Milliseconds of wall time.
    pub ms: f64,
    /// Of these, milliseconds of added work.
    pub extra_ms: f64,
    /// Milliseconds of processor time of the whole process.
    pub cpu_ms: f64,
    /// How often the kernel took the processor away meanwhile.
    pub preempted: u64,
}

/// Calls one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// Milliseconds of wall time of each, in order.
    pub ms: Vec<f64>,
    /// Milliseconds of processor time of the whole process, over all of them.
    pub cpu_ms: f64,
    /// How often the kernel took the processor away meanwhile.
    pub preempted: u64,
}

/// Memory of a worker; none where the system or the engine does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The most bytes that were ever resident: making the network ready is part of it.
    pub peak_bytes: Option<u64>,
    /// The most bytes that were resident while it only ran.
    pub running_bytes: Option<u64>,
    /// The most bytes that the engine's allocator held at once during a call, beyond what it held before.
    pub allocator_bytes: Option<u64>,
}

/// Networks that are timed beside the worker's own, on the same engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What they are.
    pub designs: Vec<SpaceConfig>,
    /// Rounds, each of which has every network once in an order of its own.
    pub rounds: usize,
    /// What the orders derive from.
    pub seed: u64,
}

/// What came of a [`Job`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The times of each of its networks, in its order.
    pub series: Vec<Series>,
    /// The worker's own network, in ms, by round.
    pub reference_ms: Vec<f64>,
}

/// Runs of each network of a block before its first round.
const BLOCK_WARM: usize = 5;

/// Kernel runs of which one answer is the median.
const KERNEL_RUNS: usize = 15;
/// Calls in which the memory of running is seen.
const MEMORY_RUNS: usize = 3;
/// Most calls of one line.
const MOST_CALLS: usize = 1_000_000;

struct Serving {
    clock: WallClock,
    engine: &'static dyn Engine,
    setting: Setting,
    session: Box<dyn Session>,
    images: Tensor,
    kernel: Kernel,
    extra: u32,
}

fn preempted() -> u64 {
    Process::myself().and_then(|p| p.status()).ok().and_then(|s| s.nonvoluntary_ctxt_switches).unwrap_or(0)
}

fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec.unsigned_abs() as u32)
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// The network that is asked for.
fn graph(args: &Args) -> Result<Graph, GateError> {
    let Some(design) = &args.design else { return Ok(graph_of(&args.model)?.0) };
    let refuse = |message: String| GateError::Model { model: args.model.clone(), message };
    lower(&serde_json::from_str(design).map_err(|e| refuse(e.to_string()))?)
}

/// The network of a design with one choice for each knob.
fn lower(design: &SpaceConfig) -> Result<Graph, GateError> {
    let refuse = |message: String| GateError::Model { model: design.family.clone(), message };
    let space = Space::new(design).map_err(|e| refuse(e.first().map(ToString::to_string).unwrap_or_default()))?;
    space.lower(&space.smallest()).map_err(|e| refuse(e.to_string()))
}

impl Serving {
    fn new(args: &Args) -> Result<(Serving, Ready), GateError> {
        let refuse = |message: String| GateError::Model { model: args.model.clone(), message };
        let engine = engine::engine(&args.engine).ok_or_else(|| {
            let names: Vec<&str> = engine::ENGINES.iter().map(|e| e.name()).collect();
            refuse(format!("found engine {}, expected one of {}", args.engine, names.join(", ")))
        })?;
        // Before the first thread of libtorch's own: they stay where they were started.
        if !args.cores.is_empty() {
            load::pin(&args.cores).map_err(|e| refuse(format!("cores {:?}: {e}", args.cores)))?;
        }
        let start_bytes = memory::resident().map(|[_, now]| now);
        tch::set_num_threads(args.threads as i32);
        let graph = graph(args)?;
        let resolution = graph.input().dims[1];
        let net = Net::bind(Arc::new(graph), &Formula)?;
        let setting = Setting { batch: args.batch, threads: args.threads };
        let (clock, kernel) = (WallClock::new(), Kernel::new()?);
        let from = clock.now();
        let session = engine.prepare(&net, setting)?;
        let prepare_ms = ms(clock.now() - from);
        let images = formula::images(args.batch, resolution)?;
        let ready = Ready {
            protocol: PROTOCOL,
            program: env!("CARGO_PKG_VERSION").to_string(),
            engine: format!("{} {}", engine.name(), engine.version()),
            choices: session.choices(),
            resolution,
            threads: usize::try_from(tch::get_num_threads()).unwrap_or_default(),
            cores: load::allowed_cores(),
            prepare_ms,
            start_bytes,
        };
        Ok((Serving { clock, engine, setting, session, images, kernel, extra: args.extra }, ready))
    }

    fn call(&mut self) -> Result<Answer, GateError> {
        let (switches, spent) = (preempted(), cpu());
        let from = self.clock.now();
        let _logits = self.session.run(&self.images)?;
        let between = self.clock.now();
        if self.extra > 0 {
            self.kernel.units(self.extra)?;
        }
        let to = self.clock.now();
        Ok(Answer {
            ms: ms(to - from),
            extra_ms: ms(to - between),
            cpu_ms: ms(cpu().saturating_sub(spent)),
            preempted: preempted().saturating_sub(switches),
        })
    }

    /// Calls as a program that does nothing else makes them.
    fn window(&mut self, n: usize) -> Result<Calls, GateError> {
        let (switches, spent) = (preempted(), cpu());
        let mut times = Vec::with_capacity(n);
        for _ in 0..n {
            let from = self.clock.now();
            drop(self.session.run(&self.images)?);
            times.push(ms(self.clock.now() - from));
        }
        Ok(Calls {
            ms: times,
            cpu_ms: ms(cpu().saturating_sub(spent)),
            preempted: preempted().saturating_sub(switches),
        })
    }

    fn bare(&mut self, n: usize) -> Result<Answer, GateError> {
        let from = self.clock.now();
        for _ in 0..n {
            drop(self.session.run(&self.images)?);
        }
        Ok(Answer { ms: ms(self.clock.now() - from), ..Answer::default() })
    }

    fn memory(&mut self) -> Result<Memory, GateError> {
        let peak = || memory::resident().map(|[peak, _]| peak);
        let mut seen = Memory { peak_bytes: peak(), ..Memory::default() };
        let counted = memory::forget_peak();
        for _ in 0..MEMORY_RUNS {
            drop(self.session.run(&self.images)?);
        }
        seen.running_bytes = peak().filter(|_| counted);
        seen.allocator_bytes = self.session.peak_bytes(&self.images)?;
        Ok(seen)
    }

    fn block(&mut self, job: &Job) -> Result<Block, GateError> {
        let mut others = Vec::with_capacity(job.designs.len());
        for design in &job.designs {
            let net = Net::bind(Arc::new(lower(design)?), &Formula)?;
            others.push((self.engine.prepare(&net, self.setting)?, engine::blank(&net, self.setting.batch)?));
        }
        let how = Rounds { rounds: job.rounds, warm: BLOCK_WARM, lead: 1, again: false, references: 1 };
        let mut rng = ChaCha8Rng::seed_from_u64(job.seed);
        let (n, clock, session, images) = (others.len(), self.clock, &mut self.session, &self.images);
        let run = |i: usize| match others.get_mut(i) {
            Some((session, images)) => session.run(images).map(drop),
            None => session.run(images).map(drop),
        };
        let (series, reference_ms) = rounds(&clock, how, n, &mut rng, |_| Ok(()), run)?;
        Ok(Block { series, reference_ms })
    }

    fn kernel(&mut self) -> Result<Answer, GateError> {
        let mut times = Vec::with_capacity(KERNEL_RUNS);
        for _ in 0..KERNEL_RUNS {
            let from = self.clock.now();
            self.kernel.run()?;
            times.push(ms(self.clock.now() - from));
        }
        Ok(Answer { ms: median(&times).unwrap_or(f64::NAN), ..Answer::default() })
    }

    fn answer(&mut self, line: &str) -> Result<String, GateError> {
        let refuse = |message: String| GateError::Worker { program: "worker".into(), message };
        let number = |text: &str| {
            let n = text.parse().ok().filter(|n| *n <= MOST_CALLS);
            n.ok_or_else(|| refuse(format!("{line}: expected a number of at most {MOST_CALLS}")))
        };
        match line.split_once(' ').unwrap_or((line, "")) {
            ("call", _) => json(&self.call()?),
            ("kernel", _) => json(&self.kernel()?),
            ("window", n) => json(&self.window(number(n)?)?),
            ("bare", n) => json(&self.bare(number(n)?)?),
            ("memory", _) => json(&self.memory()?),
            ("block", job) => {
                let job = serde_json::from_str(job).map_err(|e| refuse(format!("block: {e}")))?;
                json(&self.block(&job)?)
            }
            ("pin", core) => {
                let core = number(core)?;
                load::pin(&[core]).map_err(|e| refuse(format!("core {core}: {e}")))?;
                json(&Answer::default())
            }
            _ => Err(refuse(format!("{line}: expected call, kernel, window N, bare N, memory, block JSON or pin N"))),
        }
    }
}

fn json(said: &impl Serialize) -> Result<String, GateError> {
    serde_json::to_string(said).map_err(|e| GateError::Worker { program: "worker".into(), message: e.to_string() })
}

/// Serves until its input ends.
///
/// # Errors
/// When the network cannot be made, an engine refuses, or the other side speaks otherwise.
pub fn serve(args: &Args) -> Result<(), GateError> {
    let (mut serving, ready) = Serving::new(args)?;
    if let Some(calls) = args.calls {
        for _ in 0..calls {
            serving.call()?;
        }
        return Ok(());
    }
    let pipe = |e: std::io::Error| GateError::Worker { program: "worker".into(), message: e.to_string() };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json(&ready)?).and_then(|()| out.flush()).map_err(pipe)?;
    for line in std::io::stdin().lock().lines() {
        let answer = serving.answer(line.map_err(pipe)?.trim())?;
        writeln!(out, "{answer}").and_then(|()| out.flush()).map_err(pipe)?;
    }
    Ok(())
}

/// The `main` of a program that measures by fresh processes of itself: one whose first word is `worker` serves as one.
pub fn program<A: clap::Parser>(run: impl FnOnce(&A) -> Result<(), GateError>) -> ExitCode {
    /// The program as a worker.
    #[derive(Debug, clap::Parser)]
    struct AsWorker {
        #[command(flatten)]
        args: Args,
    }

    runtime_env::apply(None);
    let mut words: Vec<_> = std::env::args_os().collect();
    let done = if words.get(1).is_some_and(|w| w == "worker") {
        words.remove(1);
        serve(&<AsWorker as clap::Parser>::parse_from(words).args)
    } else {
        run(&A::parse_from(words))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            mobilenas_host::errln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
