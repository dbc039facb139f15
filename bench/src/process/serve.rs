//! The measuring process: answers timed calls over its pipes, one at a time.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mobilenas_file::ModelFile;
use mobilenas_host::{Clock as _, WallClock, load, memory, runtime_env, time_ms, worker};
use mobilenas_torch::{Formula, Net, formula};
use procfs::process::Process;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use tch::Tensor;

use super::workload::{Workload, lower};
use super::{CallTime, CallTimes, InterleavedJob, InterleavedTimes, MeasureError, MemoryUse, PROTOCOL, Ready};
use crate::calibration::CalibrationKernel;
use crate::engine::{self, Engine, EngineError, Session, Setting};
use crate::interleaved::{Interleaving, interleave};
use crate::stats::median;

/// Arguments of a measuring process.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    workload: Workload,
    /// Run so many calls and end, without a word
    #[arg(long)]
    calls: Option<usize>,
}

/// Runs of each network of a job before its first round.
const JOB_WARM: usize = 5;

/// Kernel runs of which one answer is the median.
const KERNEL_RUNS: usize = 15;
/// Calls in which the memory of running is seen.
const MEMORY_RUNS: usize = 3;
/// Most calls of one line.
const MOST_CALLS: usize = 1_000_000;

struct Serving {
    clock: WallClock,
    subject: Subject,
    kernel: CalibrationKernel,
    extra: u32,
}

/// What is timed.
enum Subject {
    Network { engine: &'static dyn Engine, setting: Setting, session: Box<dyn Session>, images: Tensor },
    File(Box<dyn mobilenas_file::Session>),
}

/// A subject with what it tells of itself, and the milliseconds that preparing it took.
struct Prepared {
    subject: Subject,
    engine: String,
    choices: Vec<(String, String)>,
    resolution: u32,
    ms: f64,
}

impl Subject {
    fn run(&mut self) -> Result<(), EngineError> {
        match self {
            Subject::Network { session, images, .. } => session.run(images).map(drop),
            Subject::File(session) => Ok(session.run()?),
        }
    }

    fn peak_bytes(&mut self) -> Result<Option<u64>, EngineError> {
        match self {
            Subject::Network { session, images, .. } => session.peak_bytes(images),
            Subject::File(_) => Ok(None),
        }
    }

    fn prepare(w: &Workload, clock: &WallClock) -> Result<Prepared, MeasureError> {
        if let Some(file) = w.file()? {
            return Subject::prepare_file(&file, w.threads, clock);
        }
        let engine = engine::named(&w.engine)?;
        let graph = w.graph()?;
        let resolution = graph.input().dims[1];
        let net = Net::bind(Arc::new(graph), &Formula::PLAIN)?;
        let setting = Setting { batch: w.batch, threads: w.threads };
        let start = engine.make(&net, setting)?;
        let from = clock.now();
        let session = start()?;
        let (ms, choices) = (ms(clock.now() - from), session.choices());
        let images = formula::images(w.batch, resolution)?;
        let subject = Subject::Network { engine, setting, session, images };
        Ok(Prepared { subject, engine: format!("{} {}", engine.name(), engine.version()), choices, resolution, ms })
    }

    fn prepare_file(file: &ModelFile, threads: usize, clock: &WallClock) -> Result<Prepared, MeasureError> {
        let format = file.format().map_err(EngineError::from)?;
        let inputs = format.inputs(file).map_err(EngineError::from)?;
        let from = clock.now();
        let session = format.load(file, &inputs, threads).map_err(EngineError::from)?;
        let ms = ms(clock.now() - from);
        let mut choices: Vec<_> = inputs.iter().map(|i| ("input".to_string(), i.in_words())).collect();
        choices.extend(session.choices());
        let engine = format!("{} {}", format.engine(), format.version());
        Ok(Prepared { subject: Subject::File(session), engine, choices, resolution: 0, ms })
    }
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

impl Serving {
    fn new(args: &Args) -> Result<(Serving, Ready), MeasureError> {
        let w = &args.workload;
        // Before the first thread of libtorch's own: they stay where they were started.
        if !w.cores.is_empty() {
            load::pin(&w.cores).map_err(|source| MeasureError::Cores { cores: w.cores.clone(), source })?;
        }
        let start_bytes = memory::resident().map(|[_, now]| now);
        tch::set_num_threads(w.threads as i32);
        let clock = WallClock::new();
        let Prepared { subject, engine, choices, resolution, ms: prepare_ms } = Subject::prepare(w, &clock)?;
        let kernel = CalibrationKernel::new()?;
        let ready = Ready {
            protocol: PROTOCOL,
            program: env!("CARGO_PKG_VERSION").to_string(),
            engine,
            choices,
            resolution,
            threads: usize::try_from(tch::get_num_threads()).unwrap_or_default(),
            cores: load::allowed_cores(),
            prepare_ms,
            start_bytes,
        };
        Ok((Serving { clock, subject, kernel, extra: w.extra }, ready))
    }

    fn call(&mut self) -> Result<CallTime, MeasureError> {
        let (switches, spent) = (preempted(), cpu());
        let from = self.clock.now();
        self.subject.run()?;
        let between = self.clock.now();
        if self.extra > 0 {
            self.kernel.units(self.extra)?;
        }
        let to = self.clock.now();
        Ok(CallTime {
            ms: ms(to - from),
            extra_ms: ms(to - between),
            cpu_ms: ms(cpu().saturating_sub(spent)),
            preempted: preempted().saturating_sub(switches),
        })
    }

    /// Calls as a program that does nothing else makes them.
    fn window(&mut self, n: usize) -> Result<CallTimes, MeasureError> {
        let (switches, spent) = (preempted(), cpu());
        let mut times = Vec::with_capacity(n);
        for _ in 0..n {
            times.push(time_ms(&self.clock, || self.subject.run())?);
        }
        Ok(CallTimes {
            ms: times,
            cpu_ms: ms(cpu().saturating_sub(spent)),
            preempted: preempted().saturating_sub(switches),
        })
    }

    fn memory(&mut self) -> Result<MemoryUse, MeasureError> {
        let peak = || memory::resident().map(|[peak, _]| peak);
        let mut seen = MemoryUse { peak_bytes: peak(), ..MemoryUse::default() };
        let counted = memory::forget_peak();
        for _ in 0..MEMORY_RUNS {
            self.subject.run()?;
        }
        seen.running_bytes = peak().filter(|_| counted);
        // Running may take more than all that came before.
        seen.peak_bytes = seen.peak_bytes.max(seen.running_bytes);
        seen.allocator_bytes = self.subject.peak_bytes()?;
        Ok(seen)
    }

    fn interleave(&mut self, job: &InterleavedJob) -> Result<InterleavedTimes, MeasureError> {
        let Subject::Network { engine, setting, session, images } = &mut self.subject else {
            let (model, message) = ("a model file".to_string(), "found none, expected a network".to_string());
            return Err(MeasureError::Design { model, message });
        };
        let mut others = Vec::with_capacity(job.designs.len());
        for design in &job.designs {
            let net = Net::bind(Arc::new(lower(design, job.head.as_ref())?), &Formula::PLAIN)?;
            others.push((engine.prepare(&net, *setting)?, engine::blank(&net, setting.batch)?));
        }
        let how = Interleaving { rounds: job.rounds, warm: JOB_WARM, lead: 1, again: false, references: 1 };
        let mut rng = ChaCha8Rng::seed_from_u64(job.seed);
        let (n, clock) = (others.len(), self.clock);
        let run = |i: usize| match others.get_mut(i) {
            Some((session, images)) => session.run(images).map(drop),
            None => session.run(images).map(drop),
        };
        let (series, reference_ms) = interleave(&clock, how, n, &mut rng, |_| Ok(()), run)?;
        Ok(InterleavedTimes { series, reference_ms })
    }

    fn kernel(&mut self) -> Result<CallTime, MeasureError> {
        let mut times = Vec::with_capacity(KERNEL_RUNS);
        for _ in 0..KERNEL_RUNS {
            times.push(time_ms(&self.clock, || self.kernel.run())?);
        }
        Ok(CallTime { ms: median(&times).unwrap_or(f64::NAN), ..CallTime::default() })
    }

    /// The answer to a request, as JSON.
    fn answer(&mut self, line: &str) -> Result<serde_json::Value, MeasureError> {
        let unknown = || MeasureError::Request { line: line.chars().take(200).collect() };
        let number = |text: &str| text.parse().ok().filter(|n| *n <= MOST_CALLS).ok_or_else(unknown);
        let json = match line.split_once(' ').unwrap_or((line, "")) {
            ("call", _) => serde_json::to_value(self.call()?),
            ("kernel", _) => serde_json::to_value(self.kernel()?),
            ("window", n) => serde_json::to_value(self.window(number(n)?)?),
            ("memory", _) => serde_json::to_value(self.memory()?),
            ("block", job) => {
                let job = serde_json::from_str(job).map_err(|_| unknown())?;
                serde_json::to_value(self.interleave(&job)?)
            }
            ("pin", core) => {
                let cores = vec![number(core)?];
                load::pin(&cores).map_err(|source| MeasureError::Cores { cores, source })?;
                serde_json::to_value(CallTime::default())
            }
            _ => return Err(unknown()),
        };
        Ok(json.map_err(std::io::Error::from)?)
    }
}

/// Serves until its input ends.
///
/// # Errors
/// When the network cannot be made, an engine refuses, or the other side speaks otherwise.
pub fn serve(args: &Args) -> Result<(), MeasureError> {
    let (mut serving, ready) = Serving::new(args)?;
    if let Some(calls) = args.calls {
        for _ in 0..calls {
            serving.call()?;
        }
        return Ok(());
    }
    worker::say(&ready)?;
    worker::serve(|line| serving.answer(line).map(Some)).map(drop)
}

/// The `main` of a program that measures by fresh processes of itself: with the first argument `worker` it is one.
pub fn program<A: clap::Parser>(run: impl FnOnce(&A) -> Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    /// The program as a worker.
    #[derive(Debug, clap::Parser)]
    struct AsWorker {
        #[command(flatten)]
        args: Args,
    }

    let mut words: Vec<_> = std::env::args_os().collect();
    runtime_env::apply(words.get(1..).unwrap_or_default(), None);
    let done = if words.get(1).is_some_and(|w| w == "worker") {
        words.remove(1);
        serve(&<AsWorker as clap::Parser>::parse_from(words).args).map_err(Into::into)
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
