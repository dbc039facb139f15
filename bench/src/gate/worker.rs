//! A process that answers timed calls over its pipes, one at a time; what every timed comparison runs on.
//!
//! It says one line of JSON when it is ready and one for each line it is told: `pin N`, `call`, `kernel`. It ends with its
//! input.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use mobilenas_torch::{Formula, Net, NetError, formula};
use procfs::process::Process;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{GateError, graph_of};
use crate::clock::{Clock as _, Wall};
use crate::engine::{self, Session, Setting};
use crate::load;
use crate::stats::median;

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

/// The calibration kernel: fixed work through the same libtorch, part arithmetic, part memory. Some milliseconds.
pub struct Kernel {
    a: Tensor,
    b: Tensor,
    small: Tensor,
    stream: Tensor,
}

fn torch(e: tch::TchError) -> GateError {
    GateError::Net(NetError::Torch { at: "calibration kernel".into(), message: e.to_string() })
}

impl Kernel {
    /// Makes its tensors.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new() -> Result<Kernel, GateError> {
        let filled = |n: i64| {
            Tensor::f_linspace(-1.0, 1.0, n * n, (Kind::Float, Device::Cpu))
                .and_then(|t| t.f_view([n, n]))
                .map_err(torch)
        };
        Ok(Kernel { a: filled(256)?, b: filled(256)?, small: filled(64)?, stream: filled(1024)? })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn run(&mut self) -> Result<(), GateError> {
        let _guard = tch::no_grad_guard();
        let _product = self.a.f_matmul(&self.b).map_err(torch)?;
        let _sum = self.stream.f_add(&self.stream).map_err(torch)?;
        Ok(())
    }

    /// Runs units of small work, some ten microseconds each.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn units(&mut self, n: u32) -> Result<(), GateError> {
        let _guard = tch::no_grad_guard();
        for _ in 0..n {
            let _product = self.small.f_matmul(&self.small).map_err(torch)?;
        }
        Ok(())
    }
}

/// Kernel runs of which one answer is the median.
const KERNEL_RUNS: usize = 5;

struct Serving {
    clock: Wall,
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

impl Serving {
    fn new(args: &Args) -> Result<(Serving, Ready), GateError> {
        let refuse = |message: String| GateError::Model { model: args.model.clone(), message };
        let engine = engine::engine(&args.engine).ok_or_else(|| {
            let names: Vec<&str> = engine::ENGINES.iter().map(|e| e.name()).collect();
            refuse(format!("found engine {}, expected one of {}", args.engine, names.join(", ")))
        })?;
        tch::set_num_threads(args.threads as i32);
        let (graph, resolution) = graph_of(&args.model)?;
        let net = Net::bind(Arc::new(graph), &Formula)?;
        let setting = Setting { batch: args.batch, threads: args.threads };
        let session = engine.prepare(&net, setting)?;
        let images = formula::images(args.batch, resolution)?;
        let ready = Ready {
            protocol: PROTOCOL,
            program: env!("CARGO_PKG_VERSION").to_string(),
            engine: format!("{} {}", engine.name(), engine.version()),
            choices: session.choices(),
        };
        Ok((Serving { clock: Wall::new(), session, images, kernel: Kernel::new()?, extra: args.extra }, ready))
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

    fn kernel(&mut self) -> Result<Answer, GateError> {
        let mut times = Vec::with_capacity(KERNEL_RUNS);
        for _ in 0..KERNEL_RUNS {
            let from = self.clock.now();
            self.kernel.run()?;
            times.push(ms(self.clock.now() - from));
        }
        Ok(Answer { ms: median(&times).unwrap_or(f64::NAN), ..Answer::default() })
    }

    fn answer(&mut self, line: &str) -> Result<Answer, GateError> {
        let refuse = |message: String| GateError::Worker { program: "worker".into(), message };
        match line.split_once(' ').unwrap_or((line, "")) {
            ("call", _) => self.call(),
            ("kernel", _) => self.kernel(),
            ("pin", core) => {
                let core = core.parse().map_err(|_| refuse(format!("{line}: expected the number of a core")))?;
                load::pin(core).map_err(|e| refuse(format!("core {core}: {e}")))?;
                Ok(Answer::default())
            }
            _ => Err(refuse(format!("{line}: expected call, kernel or pin N"))),
        }
    }
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
    let json = |e: serde_json::Error| GateError::Worker { program: "worker".into(), message: e.to_string() };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&ready).map_err(json)?).and_then(|()| out.flush()).map_err(pipe)?;
    for line in std::io::stdin().lock().lines() {
        let answer = serving.answer(line.map_err(pipe)?.trim())?;
        writeln!(out, "{}", serde_json::to_string(&answer).map_err(json)?).and_then(|()| out.flush()).map_err(pipe)?;
    }
    Ok(())
}
