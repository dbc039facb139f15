//! One fresh process of a case, from its start to its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::noise::Window;
use super::rule::{Next, Rules, Warm};
use crate::gate::GateError;
use crate::gate::pairs::{Side, Worker};
use crate::gate::worker::{Calls, Memory, Ready};
use crate::stats::median;
use mobilenas_host::clock::{Clock, WallClock};
use mobilenas_host::load::{self, Change, Load};

/// What one process told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its first line: engine, cores, threads, what was chosen, time of making the network ready.
    pub ready: Ready,
    /// What the machine did before, while nothing of ours ran.
    pub before: Change,
    /// Load average of the last minute before it, where the system tells.
    pub load_average: Option<f64>,
    /// Milliseconds from its start to its first line.
    pub start_ms: f64,
    /// Milliseconds of the first call.
    pub first_ms: f64,
    /// Medians of the windows of the warm-up, in ms.
    pub warmup_ms: Vec<f64>,
    /// WallClock seconds of the warm-up.
    pub warmup_seconds: f64,
    /// Whether it became steady.
    pub steady: bool,
    /// Milliseconds of each sample, in order; none is dropped.
    pub samples_ms: Vec<f64>,
    /// The windows they were taken in, in order.
    pub windows: Vec<Window>,
    /// WallClock seconds of the sampling, everything between its first and its last sample included.
    pub sampling_seconds: f64,
    /// Why the sampling ended.
    pub ended: Next,
    /// Milliseconds of the calibration kernel before the first sample.
    pub kernel_before_ms: f64,
    /// And after the last.
    pub kernel_after_ms: f64,
    /// Its memory.
    pub memory: Memory,
}

impl Process {
    /// How many samples were taken in noisy windows.
    pub fn noisy_samples(&self) -> usize {
        self.windows.iter().filter(|w| w.noisy.is_some()).map(|w| w.samples).sum()
    }
}

/// How long the cores are watched before some are chosen.
const WATCH: Duration = Duration::from_millis(200);

/// Where a process runs, and what the machine did before.
fn place(rules: &Rules, threads: usize) -> Result<(Vec<usize>, Change), GateError> {
    let (idlest, before) = load::idlest_cores(WATCH, threads);
    let mut cores = rules.cores.clone().unwrap_or(idlest);
    cores.sort_unstable();
    // Where the system does not say which cores there are, the process may choose.
    if !cores.is_empty() && cores.len() < threads {
        let message = format!("found {threads} threads, expected at most one for each of {} cores", cores.len());
        return Err(GateError::Worker { program: "worker".into(), message });
    }
    Ok((cores, before))
}

/// What a process's timing sees of the machine.
pub struct Eyes<'a> {
    /// Time.
    pub clock: &'a dyn Clock,
    /// The counters of the machine.
    pub load: &'a dyn Fn() -> Load,
    /// Frequency of the core in MHz.
    pub mhz: &'a dyn Fn() -> Option<f64>,
    /// Whether to stop.
    pub stop: &'a dyn Fn() -> bool,
}

impl Eyes<'_> {
    fn go(&self) -> Result<(), GateError> {
        if (self.stop)() { Err(GateError::Stopped) } else { Ok(()) }
    }
}

/// Runs so many calls.
pub type Run<'a> = dyn FnMut(usize) -> Result<Calls, GateError> + 'a;

/// A warm-up that is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Warmed {
    /// Medians of its windows in ms.
    pub medians: Vec<f64>,
    /// WallClock seconds.
    pub seconds: f64,
    /// Whether it became steady.
    pub steady: bool,
}

/// Warms up after a first call of so many ms.
///
/// # Errors
/// Those of the calls, or that the user asked to stop.
pub fn warm_up(rules: &Rules, eyes: &Eyes, first_ms: f64, run: &mut Run) -> Result<Warmed, GateError> {
    let (from, mut w, mut call) = (eyes.clock.now(), Warmed::default(), first_ms);
    loop {
        eyes.go()?;
        call = median(&run(rules.calls(call))?.ms).unwrap_or(call);
        w.medians.push(call);
        w.seconds = (eyes.clock.now() - from).as_secs_f64();
        match rules.steady.look(&w.medians, w.seconds) {
            Warm::More => {}
            warm => {
                w.steady = warm == Warm::Steady;
                return Ok(w);
            }
        }
    }
}

/// Samples that were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Milliseconds, in order.
    pub ms: Vec<f64>,
    /// Their windows.
    pub windows: Vec<Window>,
    /// WallClock seconds.
    pub seconds: f64,
    /// Why it ended.
    pub ended: Next,
}

/// Takes samples of calls that take about so many ms.
///
/// # Errors
/// Those of the calls, or that the user asked to stop.
pub fn sample(rules: &Rules, eyes: &Eyes, call_ms: f64, run: &mut Run) -> Result<Sampled, GateError> {
    let calls = rules.calls(call_ms);
    let begin = eyes.clock.now();
    let (mut before, mut from) = ((eyes.load)(), begin);
    let mut s = Sampled { ms: Vec::new(), windows: Vec::new(), seconds: 0.0, ended: Next::More };
    let mut full = (eyes.mhz)();
    while s.ended == Next::More {
        eyes.go()?;
        let told = run(calls)?;
        let (load, now) = ((eyes.load)(), eyes.clock.now());
        let seconds = (now - from).as_secs_f64();
        let mut window = Window {
            samples: told.ms.len(),
            seconds,
            load: load.since(&before, now - from),
            own_cores: told.cpu_ms / 1e3 / seconds.max(1e-9),
            preempted: told.preempted,
            frequency_mhz: (eyes.mhz)(),
            noisy: None,
        };
        full = [full, window.frequency_mhz].into_iter().flatten().reduce(f64::max);
        window.noisy = rules.limits.window(&window, full);
        s.windows.push(window);
        s.ms.extend(told.ms);
        (before, from) = (load, now);
        s.seconds = (now - begin).as_secs_f64();
        s.ended = rules.enough.look(&s.ms, s.seconds);
    }
    Ok(s)
}

/// Runs one process of a case.
///
/// # Errors
/// When it fails, or the user asked to stop.
pub fn run(side: &Side, rules: &Rules, stop: &dyn Fn() -> bool) -> Result<Process, GateError> {
    let (cores, before) = place(rules, side.threads)?;
    let (clock, load_average) = (WallClock::new(), load::average());
    let mut worker = Worker::start(&Side { cores, ..side.clone() })?;
    let ready = worker.ready()?;
    let start_ms = clock.now().as_secs_f64() * 1e3;
    let core = ready.cores.first().copied().unwrap_or_default();
    let eyes = Eyes { clock: &clock, load: &Load::read, mhz: &|| load::frequency_mhz(core), stop };
    let first_ms = worker.ask("call")?.ms;
    let mut calls = |n: usize| worker.ask_for(&format!("window {n}"));
    let warmed = warm_up(rules, &eyes, first_ms, &mut calls)?;
    let kernel_before_ms = worker.ask("kernel")?.ms;
    let mut calls = |n: usize| worker.ask_for(&format!("window {n}"));
    let call_ms = warmed.medians.last().copied().unwrap_or(first_ms);
    let mut sampled = sample(rules, &eyes, call_ms, &mut calls)?;
    let kernel_after_ms = worker.ask("kernel")?.ms;
    if let Some(why) = rules.limits.kernel(kernel_before_ms, kernel_after_ms) {
        sampled.windows.iter_mut().for_each(|w| w.noisy = Some(w.noisy.take().unwrap_or_else(|| why.clone())));
    }
    Ok(Process {
        ready,
        before,
        load_average,
        start_ms,
        first_ms,
        warmup_ms: warmed.medians,
        warmup_seconds: warmed.seconds,
        steady: warmed.steady,
        samples_ms: sampled.ms,
        windows: sampled.windows,
        sampling_seconds: sampled.seconds,
        ended: sampled.ended,
        kernel_before_ms,
        kernel_after_ms,
        memory: worker.ask_for("memory")?,
    })
}
