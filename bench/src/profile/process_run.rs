//! One fresh process of a profile, from its start to its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::{ProfileRules, SamplingState, WarmupState};
use crate::engine::EngineError;
use crate::noise::SampleWindow;
use crate::process::{CallTimes, Client, MeasureError, MemoryUse, Ready, WorkerProgram};
use crate::stats::median;
use mobilenas_host::load::{self, Change, Load};
use mobilenas_host::{Clock, WallClock};

/// What one process told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRun {
    /// Its first line: engine, cores, threads, what was chosen, time of preparing the network.
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
    /// Seconds of wall time of the warm-up.
    pub warmup_seconds: f64,
    /// Whether it became steady.
    pub steady: bool,
    /// Milliseconds of each sample, in order; none is dropped.
    pub samples_ms: Vec<f64>,
    /// The windows they were taken in, in order.
    pub windows: Vec<SampleWindow>,
    /// Seconds of wall time of the sampling, everything between its first and its last sample included.
    pub sampling_seconds: f64,
    /// Why the sampling ended.
    pub ended: SamplingState,
    /// Milliseconds of the calibration kernel before the first sample.
    pub kernel_before_ms: f64,
    /// And after the last.
    pub kernel_after_ms: f64,
    /// Its memory.
    pub memory: MemoryUse,
}

impl ProcessRun {
    /// How many samples were taken in noisy windows.
    pub fn noisy_samples(&self) -> usize {
        self.windows.iter().filter(|w| w.noisy.is_some()).map(|w| w.samples).sum()
    }
}

/// How long the cores are watched before some are chosen.
const WATCH: Duration = Duration::from_millis(200);

/// Where a process runs, and what the machine did before.
fn place(rules: &ProfileRules, threads: usize) -> Result<(Vec<usize>, Change), MeasureError> {
    let (idlest, before) = load::idlest_cores(WATCH, threads);
    let mut cores = rules.cores.clone().unwrap_or(idlest);
    cores.sort_unstable();
    // Where the system does not say which cores there are, the process may choose.
    if !cores.is_empty() && cores.len() < threads {
        return Err(EngineError::Threads { threads, cores: cores.len() }.into());
    }
    Ok((cores, before))
}

/// What the timing of a process sees of the machine.
pub struct Probe<'a> {
    /// Time.
    pub clock: &'a dyn Clock,
    /// The counters of the machine.
    pub load: &'a dyn Fn() -> Load,
    /// Frequency of the core in MHz.
    pub mhz: &'a dyn Fn() -> Option<f64>,
    /// Whether to stop.
    pub stop: &'a dyn Fn() -> bool,
}

impl Probe<'_> {
    fn go(&self) -> Result<(), MeasureError> {
        if (self.stop)() { Err(MeasureError::Stopped) } else { Ok(()) }
    }
}

/// Runs so many calls.
pub type RunCalls<'a> = dyn FnMut(usize) -> Result<CallTimes, MeasureError> + 'a;

/// A warm-up that is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Warmup {
    /// Medians of its windows in ms.
    pub medians: Vec<f64>,
    /// Seconds of wall time.
    pub seconds: f64,
    /// Whether it became steady.
    pub steady: bool,
}

/// Warms up after a first call of so many ms.
///
/// # Errors
/// Those of the calls, or that the user asked to stop.
pub fn warm_up(rules: &ProfileRules, probe: &Probe, first_ms: f64, run: &mut RunCalls) -> Result<Warmup, MeasureError> {
    let (from, mut w, mut call) = (probe.clock.now(), Warmup::default(), first_ms);
    loop {
        probe.go()?;
        call = median(&run(rules.calls(call))?.ms).unwrap_or(call);
        w.medians.push(call);
        w.seconds = (probe.clock.now() - from).as_secs_f64();
        match rules.steady.look(&w.medians, w.seconds) {
            WarmupState::More => {}
            warm => {
                w.steady = warm == WarmupState::Steady;
                return Ok(w);
            }
        }
    }
}

/// The samples of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledCalls {
    /// Milliseconds, in order.
    pub ms: Vec<f64>,
    /// Their windows.
    pub windows: Vec<SampleWindow>,
    /// Seconds of wall time.
    pub seconds: f64,
    /// Why it ended.
    pub ended: SamplingState,
}

/// Takes samples of calls that take about so many ms.
///
/// # Errors
/// Those of the calls, or that the user asked to stop.
pub fn sample(
    rules: &ProfileRules,
    probe: &Probe,
    call_ms: f64,
    run: &mut RunCalls,
) -> Result<SampledCalls, MeasureError> {
    let calls = rules.calls(call_ms);
    let begin = probe.clock.now();
    let (mut before, mut from) = ((probe.load)(), begin);
    let mut s = SampledCalls { ms: Vec::new(), windows: Vec::new(), seconds: 0.0, ended: SamplingState::More };
    let mut full = (probe.mhz)();
    while s.ended == SamplingState::More {
        probe.go()?;
        let told = run(calls)?;
        let (load, now) = ((probe.load)(), probe.clock.now());
        let seconds = (now - from).as_secs_f64();
        let mut window = SampleWindow {
            samples: told.ms.len(),
            seconds,
            load: load.since(&before, now - from),
            own_cores: told.cpu_ms / 1e3 / seconds.max(1e-9),
            preempted: told.preempted,
            frequency_mhz: (probe.mhz)(),
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

/// Runs one process of a profile.
///
/// # Errors
/// When it fails, or the user asked to stop.
pub fn run(program: &WorkerProgram, rules: &ProfileRules, stop: &dyn Fn() -> bool) -> Result<ProcessRun, MeasureError> {
    let (cores, before) = place(rules, program.workload.threads)?;
    let (clock, load_average) = (WallClock::new(), load::average());
    let mut process = Client::start(&program.on(cores))?;
    let ready = process.ready()?;
    let start_ms = clock.now().as_secs_f64() * 1e3;
    let core = ready.cores.first().copied().unwrap_or_default();
    let probe = Probe { clock: &clock, load: &Load::read, mhz: &|| load::frequency_mhz(core), stop };
    let first_ms = process.call()?.ms;
    let warmup = warm_up(rules, &probe, first_ms, &mut |n| process.window(n))?;
    let kernel_before_ms = process.kernel_ms()?;
    let call_ms = warmup.medians.last().copied().unwrap_or(first_ms);
    let mut sampled = sample(rules, &probe, call_ms, &mut |n| process.window(n))?;
    let kernel_after_ms = process.kernel_ms()?;
    if let Some(why) = rules.limits.kernel(kernel_before_ms, kernel_after_ms) {
        sampled.windows.iter_mut().for_each(|w| w.noisy = Some(w.noisy.take().unwrap_or_else(|| why.clone())));
    }
    Ok(ProcessRun {
        ready,
        before,
        load_average,
        start_ms,
        first_ms,
        warmup_ms: warmup.medians,
        warmup_seconds: warmup.seconds,
        steady: warmup.steady,
        samples_ms: sampled.ms,
        windows: sampled.windows,
        sampling_seconds: sampled.seconds,
        ended: sampled.ended,
        kernel_before_ms,
        kernel_after_ms,
        memory: process.memory()?,
    })
}
