//! Workers of a run or a study ([`mobilenas_coordinator`]): what they are started with, what they say first, and what they
//! do to score candidates.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mobilenas_bench::Host;
use mobilenas_bench::latency_table::networks;
use mobilenas_coordinator::{
    Failure, Files, Hello, Needs, PROTOCOL, Pool, PoolConfig, Room, Rules, Serving, ToWorker, WorkerId,
};
use mobilenas_host::{Progress, WallClock};
use mobilenas_record::metric::LATENCY;
use mobilenas_record::run::Latency;
use mobilenas_space::cost;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::{self, Config, Weights, Workers};
use crate::evaluator::Evaluator;
use crate::evaluator::SupernetEvaluator;
use crate::evaluator::inherited::InheritedEvaluator;
use crate::experiment::{Experiment, ExperimentError, prepare_scoring};
use crate::metric::{self, Candidate, Metric, Stage};
use crate::pipeline::{RunError, stored_supernet, supernet_files};
use mobilenas_torch::device;

/// A candidate and what is to be found out about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Position of its space among those of the config.
    #[serde(default)]
    pub space: usize,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Names of metrics.
    pub metrics: Vec<String>,
    /// Of a study, on which of its supernets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_study: Option<OfStudy>,
    /// Whether the network is the reference of the score, and not the genome's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reference: bool,
    /// MACs, by which jobs are shared out.
    #[serde(skip)]
    pub macs: u64,
}

/// Where a study scores a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfStudy {
    /// The supernet's file in the study's folder.
    pub supernet: String,
    /// Whether batch norms are recalibrated.
    pub recalibrated: bool,
}

/// Metric to value, where a proxy that is no finite number is left out.
pub type Metrics = BTreeMap<String, f64>;

/// What a job found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The metrics.
    pub metrics: Metrics,
    /// Details of the latency, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// What came of a job, or why nothing.
pub type Answer = Result<Found, String>;

/// Computes metrics of a candidate, in their order, and adds them to what is known of it. A proxy that is no number says
/// nothing, which is no failure of the network.
///
/// # Errors
/// The first metric that cannot be computed, in words.
pub fn evaluate(c: &mut Candidate, wanted: &[&'static dyn Metric], lab: &mut dyn Evaluator) -> Result<Metrics, String> {
    let mut found = Metrics::new();
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

/// What the workers of a folder are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Scoring candidates of a search.
    Scores,
    /// Scoring networks of a study.
    ScoresOfStudy,
    /// Training networks of a search.
    Trains,
    /// Training networks of a study.
    TrainsOfStudy,
}

impl Kind {
    fn args(self) -> &'static [&'static str] {
        match self {
            Kind::Scores => &[],
            Kind::ScoresOfStudy => &["--study"],
            Kind::Trains => &["--trains"],
            Kind::TrainsOfStudy => &["--trains", "--study"],
        }
    }

    /// The files that a worker's answers depend on: it says their digest.
    fn files(self, config: &Config) -> Vec<String> {
        match self {
            Kind::Scores => supernet_files(config),
            Kind::ScoresOfStudy | Kind::Trains | Kind::TrainsOfStudy => vec![config::FILE.to_string()],
        }
    }
}

/// What a worker of this program on this machine says first.
///
/// # Errors
/// When the folder does not hold what it needs.
pub fn hello(root: &Path, kind: Kind, config: &Config, device: config::Device) -> Result<Hello, RunError> {
    let mut bytes = Vec::new();
    for file in kind.files(config) {
        let path = root.join(file);
        bytes.extend(fs::read(&path).map_err(|error| RunError::Io { path, error })?);
    }
    let weights: String = Sha256::digest(&bytes)[..8].iter().map(|b| format!("{b:02x}")).collect();
    let machine = Host::read();
    Ok(Hello {
        program: env!("CARGO_PKG_VERSION").to_string(),
        protocol: PROTOCOL,
        device: device.as_str().to_string(),
        weights,
        host: Host::name(),
        kind: machine.kind(),
        cpu: machine.machine.cpu,
    })
}

/// Whether trainings are on the config's workers: those that get the supernet through a pipe do not see the folder.
pub fn train_elsewhere(config: &Config) -> bool {
    config.workers.as_ref().is_some_and(|w| w.weights == Weights::Folder)
}

fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)
}

/// How patient one is with workers. Trainings are long and differ in length: a first one is never slow.
fn rules(workers: &Workers, kind: Kind, retries: u32) -> Rules {
    let rules = Rules {
        retries,
        deaths: workers.deaths,
        slow: workers.slow,
        slow_at_least: seconds(workers.slow_seconds),
        silence: seconds(workers.silence_seconds),
        hello: workers.hello_seconds.map(seconds),
        ..Rules::default()
    };
    match kind {
        Kind::Scores | Kind::ScoresOfStudy => rules,
        Kind::Trains | Kind::TrainsOfStudy => {
            let slow_at_least = rules.slow_at_least.max(Duration::from_secs(3600));
            Rules { retries: 0, slow_at_least, slow_at_first: None, ..rules }
        }
    }
}

/// The workers of a folder: those of the config, or so many processes here. None is started yet.
///
/// # Errors
/// When the folder does not hold what they need, or the system does not tell this program's file.
pub fn pool<A: DeserializeOwned + Send + 'static>(
    config: &Config,
    root: &Path,
    (kind, here, threads): (Kind, usize, u32),
    bar: &Progress,
) -> Result<Pool<A>, RunError> {
    let io = |error| RunError::Io { path: root.to_path_buf(), error };
    let here = Workers { count: Some(here), ..Workers::default() };
    let workers = config.workers.clone().unwrap_or(here);
    let program = mobilenas_host::program::file().map_err(RunError::Program)?;
    let (launched, folder) = (workers.launch.is_some(), fs::canonicalize(root).map_err(io)?);
    let mut args: Vec<OsString> = vec!["worker".into()];
    let first = match workers.weights {
        Weights::Folder => {
            args.push(workers.folder.as_ref().unwrap_or(&folder).into());
            None
        }
        Weights::Pipe => {
            let supernets = supernet_files(config);
            let names: Vec<&str> = [config::FILE].into_iter().chain(supernets.iter().map(String::as_str)).collect();
            let files = Files::read(root, &names).map_err(io)?;
            args.push("--pipe".into());
            Some(Arc::from(serde_json::to_string(&ToWorker::<()>::Run(files))?))
        }
    };
    args.extend(["--device", config.device.as_str()].map(OsString::from));
    args.extend(kind.args().iter().map(OsString::from));
    if !launched {
        args.extend(["--parent".into(), std::process::id().to_string().into()]);
    }
    let needs = Needs { threads, gpu: config.device != config::Device::Cpu };
    let room = Room::of(root);
    let count = room.wanted().unwrap_or(workers.count());
    Ok(Pool::new(PoolConfig {
        rules: rules(&workers, kind, config.search.retries),
        expected: Hello { kind: String::new(), ..hello(root, kind, config, config.device)? },
        workers: count,
        first,
        launched,
        stops: matches!(kind, Kind::Trains | Kind::TrainsOfStudy),
        room: Some(room),
        say: bar.teller(),
        make: Box::new(move |who: WorkerId| Ok(workers.command(who, &program, &args, needs))),
    }))
}

/// Why a job of workers has no answer, in words. What workers said that died of it is kept in a file.
pub fn in_words(root: &Path, name: &str, failure: Failure) -> String {
    let words = failure.to_string();
    let Failure::SetAside(deaths) = failure else { return words };
    match Room::set_aside(root, name, &deaths) {
        Ok(file) => format!("{words}; what they said is in {}", file.strip_prefix(root).unwrap_or(&file).display()),
        Err(e) => format!("{words}; what they said is lost: {e}"),
    }
}

/// Answers the jobs of a run until there are no more, on a device, which a run's own config does not name. Without a
/// folder, config and supernet come first by standard input.
///
/// # Errors
/// When the run's folder does not hold what is needed, or the asking program is gone.
pub fn serve(root: Option<&Path>, device: config::Device) -> Result<(), RunError> {
    let io = |error| RunError::Io { path: root.unwrap_or(Path::new("-")).to_path_buf(), error };
    let serving = Serving::start(false).map_err(io)?;
    let unpacked = match root {
        Some(_) => None,
        None => {
            let folder = tempfile::tempdir().map_err(io)?;
            serving.unpack(folder.path())?;
            Some(folder)
        }
    };
    let root = unpacked.as_ref().map(tempfile::TempDir::path).or(root).unwrap_or(Path::new("."));
    let mut experiments = prepare_scoring(root)?;
    experiments.set_device(device::open(device).map_err(ExperimentError::from)?);
    let config = &experiments.config;
    tch::set_num_threads(config.scoring_threads() as i32);
    let (clock, calibration) = (WallClock::new(), experiments.first().calibration());
    let all = experiments.all();
    let supernets = all.iter().map(|p| stored_supernet(p, root)).collect::<Result<Vec<_>, _>>()?;
    let hello = hello(root, Kind::Scores, config, device)?;
    // It may end by a signal from here on, and would leave them behind.
    drop(unpacked);
    let mut scorers = Vec::with_capacity(all.len());
    for (p, supernet) in all.iter().zip(supernets) {
        scorers.push(SupernetEvaluator::new(supernet, p.evaluator_config(&calibration, &clock, f64::NAN))?);
    }
    serving.answer_all(&hello, |job: &Job| {
        let place = all.get(job.space).zip(scorers.get_mut(job.space));
        Some(match place {
            Some((p, scorer)) => answer(p, job, scorer),
            None => Err(RunError::NoSpace(job.space).to_string()),
        })
    })?;
    Ok(())
}

/// The metrics that a job asks for.
///
/// # Errors
/// Why there are none, in words.
pub fn answer(p: &Experiment, job: &Job, scorer: &mut dyn Evaluator) -> Answer {
    let (genome, graph) = match job.reference {
        true => (p.space.smallest(), networks::reference().ok_or("the reference network is not here")?.0),
        false => {
            let genome = p.space.genome(&job.genome).map_err(|e| e.to_string())?;
            let graph = p.space.lower(&genome).map_err(|e| e.to_string())?;
            (genome, graph)
        }
    };
    let graph = Arc::new(graph);
    let mut c = Candidate { cost: cost::graph(&graph), genome, graph, known: BTreeMap::new() };
    let one = |name: &String| metric::metric(name).ok_or_else(|| format!("no metric is called {name}"));
    let wanted: Vec<_> = job.metrics.iter().map(one).collect::<Result<_, _>>()?;
    let timed = wanted.iter().any(|m| m.info().name == LATENCY.name);
    let _alone = timed.then(alone_on_this_host).transpose()?;
    let metrics = evaluate(&mut c, &wanted, scorer)?;
    Ok(Found { metrics, latency: scorer.take_latency() })
}

/// Workers of one host measure one after another: beside each other they would be slower.
fn alone_on_this_host() -> Result<fs::File, String> {
    let user = rustix::process::getuid().as_raw();
    let path = std::env::temp_dir().join(format!("mobilenas-latency-{user}.lock"));
    let words = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = fs::File::options().create(true).truncate(false).write(true).open(&path).map_err(words)?;
    file.lock().map_err(words)?;
    Ok(file)
}

/// The same for a network of a study.
///
/// # Errors
/// As for [`answer`].
pub fn answer_of_study(p: &Experiment, job: &Job, scorer: &mut InheritedEvaluator) -> Answer {
    let of_study = job.of_study.as_ref().ok_or("the job is not a study's")?;
    scorer.recalibrated = of_study.recalibrated;
    answer(p, job, scorer)
}

/// Tries once, and once more as often as allowed.
pub fn again<T>(retries: u32, mut attempt: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut last = attempt();
    for n in 0..retries {
        match last {
            Ok(_) => break,
            Err(_) => last = attempt().map_err(|why| format!("{why} (tried {} times)", n + 2)),
        }
    }
    last
}
