//! Processes that score candidates side by side ([`mobilenas_host::worker`]), each with a fixed number of libtorch's threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mobilenas_host::{WallClock, worker};
use mobilenas_space::cost;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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

/// What came of a job: metric to value, where a proxy that is no finite number is left out; or why there are none.
pub type Answer = Result<BTreeMap<String, f64>, String>;

/// Computes metrics of a candidate, in their order, and adds them to what is known of it. A proxy that is no number says
/// nothing, which is no failure of the network.
///
/// # Errors
/// The first metric that cannot be computed, in words.
pub fn evaluate(c: &mut Candidate, wanted: &[&'static dyn Metric], lab: &mut dyn Evaluator) -> Answer {
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
    let answer = |line: &str| {
        Ok(match serde_json::from_str::<J>(line) {
            Ok(job) => work(&job),
            Err(e) => Some(Err(format!("the job cannot be read: {e}"))),
        })
    };
    worker::serve(answer).map_err(|error: std::io::Error| RunError::Io { path: root.to_path_buf(), error })
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
    let genome = p.space.genome(&job.genome).map_err(|e| e.to_string())?;
    let graph = Arc::new(p.space.lower(&genome).map_err(|e| e.to_string())?);
    let mut c = Candidate { cost: cost::graph(&graph), genome, graph, known: BTreeMap::new() };
    let one = |name: &String| metric::metric(name).ok_or_else(|| format!("no metric is called {name}"));
    let wanted: Vec<_> = job.metrics.iter().map(one).collect::<Result<_, _>>()?;
    evaluate(&mut c, &wanted, scorer)
}
