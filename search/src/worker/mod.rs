//! Workers: processes that score candidates side by side. libtorch's threads belong to a whole process, so each worker is
//! one, with a fixed number of threads; jobs come in by its standard input and answers go out by its standard output, a
//! line of JSON each.

mod pool;

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mobilenas_host::WallClock;
use mobilenas_space::cost;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use pool::Pool;

use crate::config;
use crate::evaluator::Evaluator;
use crate::evaluator::SupernetEvaluator;
use crate::experiment::{Experiment, ExperimentError, prepare_run};
use crate::metric::{self, Candidate, Metric, Stage};
use crate::pipeline::{RunError, stored_supernet};
use mobilenas_torch::device;

/// A candidate and what is to be found out about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Names of metrics that need no engine.
    pub metrics: Vec<String>,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Metric to value; a proxy that is no finite number is left out.
    Values(BTreeMap<String, f64>),
    /// Why there are none.
    Failed(String),
}

/// Computes metrics of a candidate, in their order, and adds them to what is known of it. A proxy that is no number says
/// nothing, which is no failure of the network.
///
/// # Errors
/// The first metric that cannot be computed, in words.
pub fn evaluate(
    c: &mut Candidate,
    wanted: &[&'static dyn Metric],
    lab: &mut dyn Evaluator,
) -> Result<BTreeMap<String, f64>, String> {
    let mut found = BTreeMap::new();
    for m in wanted {
        let v = m.eval(c, lab).map_err(|e| e.to_string())?;
        if v.is_finite() {
            c.known.insert(m.info().name.to_string(), v);
            found.insert(m.info().name.to_string(), v);
        } else if m.info().stage != Stage::Untrained {
            return Err(format!("{} is {v}", m.info().name));
        }
    }
    Ok(found)
}

/// Answers the jobs of a run until there are no more, on a device, which a run's own config does not name.
///
/// # Errors
/// When the run's folder does not hold what is needed, or the asking program is gone.
pub fn serve(root: &Path, device: config::Device) -> Result<(), RunError> {
    let io = |error| RunError::Io { path: root.to_path_buf(), error };
    // Ctrl-C reaches the whole group of processes; the asking program decides what happens then.
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false))).map_err(io)?;
    let mut experiment = prepare_run(root)?;
    experiment.device = device::open(device).map_err(ExperimentError::from)?;
    tch::set_num_threads(experiment.config.scoring_threads() as i32);
    let (clock, calibration) = (WallClock::new(), experiment.calibration());
    let supernet = stored_supernet(&experiment, root)?;
    let mut scorer = SupernetEvaluator::new(supernet, experiment.evaluator_config(&calibration, &clock, f64::NAN))?;
    answer_all(root, |job| Some(answer(&experiment, job, &mut scorer))).map(drop)
}

/// Answers the jobs that come by standard input until there are no more, or one is left without an answer. False if one was.
///
/// # Errors
/// When the asking program is gone.
pub fn answer_all<J: DeserializeOwned>(
    root: &Path,
    mut work: impl FnMut(&J) -> Option<Answer>,
) -> Result<bool, RunError> {
    let io = |error| RunError::Io { path: root.to_path_buf(), error };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str::<J>(&line.map_err(io)?) {
            Ok(job) => work(&job),
            Err(e) => Some(Answer::Failed(format!("the job cannot be read: {e}"))),
        };
        let Some(answer) = answer else { return Ok(false) };
        let text = serde_json::to_string(&answer)?;
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(io)?;
    }
    Ok(true)
}

/// The command that starts a worker of a folder.
///
/// # Errors
/// When the system does not know this program's file.
pub fn command(root: &Path, device: config::Device, trains: bool) -> std::io::Result<Command> {
    let mut c = Command::new(std::env::current_exe()?);
    c.arg("worker").arg(root).args(["--device", device.as_str()]);
    if trains {
        c.arg("--trains");
    }
    Ok(c)
}

fn answer(p: &Experiment, job: &Job, scorer: &mut SupernetEvaluator<'_>) -> Answer {
    let mut values = || {
        let genome = p.space.genome(&job.genome).map_err(|e| e.to_string())?;
        let graph = Arc::new(p.space.lower(&genome).map_err(|e| e.to_string())?);
        let mut c = Candidate { cost: cost::graph(&graph), genome, graph, known: BTreeMap::new() };
        let one = |name: &String| metric::metric(name).ok_or_else(|| format!("no metric is called {name}"));
        let wanted: Vec<_> = job.metrics.iter().map(one).collect::<Result<_, _>>()?;
        evaluate(&mut c, &wanted, scorer)
    };
    values().map_or_else(Answer::Failed, Answer::Values)
}
