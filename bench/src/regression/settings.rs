//! What a config of `mobilenas bench check` says: which networks are guarded, and how.

use std::path::PathBuf;

use crate::engine;
use crate::models::{published, unknown};
use crate::regression::paired::PairedRule;
use crate::regression::process_pairs::PairSetup;
use crate::regression::round::RoundLimits;
use crate::regression::stored::Capture;
use mobilenas_file::GuardedFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the regression check guards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegressionConfig {
    /// Published networks whose exact numbers are guarded; all of them if left out, unless `files` names some.
    pub models: Option<Vec<String>>,
    /// Model files of any origin.
    pub files: Vec<GuardedFile>,
    /// The exact tier.
    pub exact: ExactTier,
    /// Accuracy on fixed lists of images.
    pub accuracy: Vec<AccuracyOf>,
    /// The timed tier; it runs where the command line names a baseline to time.
    pub paired: PairedTier,
    /// Times against those in the baseline's file.
    pub stored: StoredTier,
}

/// The exact tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactTier {
    /// Whether logits on formula-made weights, and the outputs of files, are compared: most of the tier's time.
    pub logits: bool,
}

impl Default for ExactTier {
    fn default() -> ExactTier {
        ExactTier { logits: true }
    }
}

/// Accuracy of one network on the first images of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccuracyOf {
    /// A published network.
    pub model: String,
    /// Its weights, a safetensors file.
    pub weights: PathBuf,
    /// Folder of images: one folder a class.
    pub data: PathBuf,
    /// How many images, evenly spread over the classes.
    #[serde(default = "images")]
    #[schemars(range(min = 1, max = 1000000))]
    pub images: usize,
    /// Points of top-1 in percent that it may lose.
    #[serde(default = "tolerance")]
    #[schemars(range(min = 0, max = 100))]
    pub tolerance: f64,
}

fn images() -> usize {
    500
}

fn tolerance() -> f64 {
    0.2
}

/// The timed tier: fresh process pairs in rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairedTier {
    /// Published networks that are timed.
    pub models: Vec<String>,
    /// The engine that runs them.
    pub engine: String,
    /// Numbers of rounds after which is looked.
    #[schemars(length(min = 1))]
    pub looks: Vec<usize>,
    /// Timed calls of each side in a round, at most.
    #[schemars(range(min = 5, max = 1000))]
    pub blocks: usize,
    /// Calls of each side before them.
    #[schemars(range(min = 1, max = 1000))]
    pub warmup: usize,
    /// Seconds that the timed calls of a round may take.
    #[schemars(range(min = 0.1, max = 600))]
    pub round_seconds: f64,
    /// The core that both sides run on; the idlest if left out.
    #[schemars(range(min = 0, max = 1023))]
    pub core: Option<usize>,
    /// Chance of a false alarm in one run, before it is confirmed.
    #[schemars(range(min = 0.0001, max = 0.4))]
    pub alpha: f64,
    /// Percent that the lower bound has to be above for a failure.
    #[schemars(range(min = 0, max = 1000))]
    pub threshold: f64,
    /// Percent that the upper bound has to be below for a pass.
    #[schemars(range(min = 0, max = 1000))]
    pub delta: f64,
    /// Percent of a round's time that the host may take away.
    #[schemars(range(min = 0, max = 100))]
    pub steal: f64,
    /// Percent by which the calibration kernel may move within a round.
    #[schemars(range(min = 0, max = 1000))]
    pub drift: f64,
    /// Every random choice derives from it.
    pub seed: u64,
}

impl Default for PairedTier {
    fn default() -> PairedTier {
        let (rule, setup) = (PairedRule::default(), PairSetup::default());
        PairedTier {
            models: ["mobilevit_xxs", "mobilenetv2_100"].map(String::from).to_vec(),
            // Each process of the tuned engine chooses anew by timing: two of one program may run other kernels.
            engine: "libtorch-plain".to_string(),
            looks: rule.looks,
            blocks: setup.blocks,
            warmup: setup.warmup,
            round_seconds: setup.round_seconds,
            core: None,
            alpha: rule.alpha,
            threshold: rule.threshold * 100.0,
            delta: rule.delta * 100.0,
            steal: rule.limits.steal * 100.0,
            drift: rule.limits.drift * 100.0,
            seed: rule.seed,
        }
    }
}

impl PairedTier {
    /// The rule of a paired comparison.
    pub fn rule(&self) -> PairedRule {
        let limits = RoundLimits { steal: self.steal / 100.0, drift: self.drift / 100.0, ..RoundLimits::default() };
        PairedRule {
            looks: self.looks.clone(),
            alpha: self.alpha,
            threshold: self.threshold / 100.0,
            delta: self.delta / 100.0,
            seed: self.seed,
            limits,
            ..PairedRule::default()
        }
    }

    /// How pairs are run.
    pub fn setup(&self) -> PairSetup {
        let (blocks, warmup, round_seconds) = (self.blocks, self.warmup, self.round_seconds);
        PairSetup { blocks, warmup, round_seconds, core: self.core, seed: self.seed }
    }
}

/// Times against those in the baseline's file: may warn only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoredTier {
    /// Percent that all three ratios have to be above for a warning.
    #[schemars(range(min = 0, max = 1000))]
    pub threshold: f64,
    /// Fresh processes for each network.
    #[schemars(range(min = 4, max = 1000))]
    pub processes: usize,
    /// Timed calls in each.
    #[schemars(range(min = 1, max = 100000))]
    pub calls: usize,
}

impl Default for StoredTier {
    fn default() -> StoredTier {
        let c = Capture::default();
        StoredTier { threshold: 5.0, processes: c.processes, calls: c.calls }
    }
}

impl StoredTier {
    /// How times are taken.
    pub fn capture(&self) -> Capture {
        Capture { processes: self.processes, calls: self.calls, ..Capture::default() }
    }
}

impl RegressionConfig {
    /// The networks of the exact tier.
    pub fn models(&self) -> Vec<String> {
        match &self.models {
            Some(models) => models.clone(),
            None if !self.files.is_empty() => Vec::new(),
            None => published().into_iter().map(String::from).collect(),
        }
    }

    /// Mistakes that the types alone do not show, as path and message.
    pub fn validate(&self) -> Vec<(Vec<String>, String)> {
        let path = |p: &[&str], i: Option<usize>| {
            p.iter().map(ToString::to_string).chain(i.map(|i| i.to_string())).collect::<Vec<String>>()
        };
        let mut all = Vec::new();
        for (i, m) in self.models.iter().flatten().enumerate() {
            all.extend(unknown(m).map(|e| (path(&["models"], Some(i)), e)));
        }
        for (i, m) in self.paired.models.iter().enumerate() {
            all.extend(unknown(m).map(|e| (path(&["paired", "models"], Some(i)), e)));
        }
        for (i, file) in self.files.iter().enumerate() {
            let at = |key: &str| ["files".to_string(), i.to_string(), key.to_string()].to_vec();
            all.extend(file.validate().into_iter().map(|(key, message)| (at(key), message)));
            let name = file.model().name();
            if self.files[..i].iter().any(|f| f.model().name() == name) {
                all.push((at("name"), format!("found the name {name:?} twice, expected another name")));
            }
        }
        for (i, a) in self.accuracy.iter().enumerate() {
            let at = ["accuracy".to_string(), i.to_string(), "model".to_string()].to_vec();
            all.extend(unknown(&a.model).map(|e| (at, e)));
        }
        if let Some(message) = engine::unknown(&self.paired.engine) {
            all.push((path(&["paired", "engine"], None), message));
        }
        if self.paired.looks.windows(2).any(|w| w[0] >= w[1]) || self.paired.looks.first().is_some_and(|k| *k < 2) {
            let message = format!("found {:?}, expected growing numbers of 2 or more", self.paired.looks);
            all.push((path(&["paired", "looks"], None), message));
        }
        if self.paired.delta <= self.paired.threshold {
            let message =
                format!("found {}, expected more than threshold, {}", self.paired.delta, self.paired.threshold);
            all.push((path(&["paired", "delta"], None), message));
        }
        all
    }
}
