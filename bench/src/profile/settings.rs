//! What a config of `mobilenas bench run` says: which networks are measured, on which engines, and by which rules.

use std::path::PathBuf;

use crate::engine;
use crate::noise::NoiseLimits;
use crate::profile::rules::{ProcessRule, ProfileRules, SampleRule, WarmupRule};
use mobilenas_device::DeviceConfig;
use mobilenas_file::ModelFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::models::{published, unknown};

/// What is measured, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BenchConfig {
    /// Published networks; all of them if left out, unless `found` or `files` names some.
    pub models: Option<Vec<String>>,
    /// Networks that runs found.
    pub found: Vec<Found>,
    /// Model files of any origin, each on its own engine with its own sizes.
    pub files: Vec<ModelFile>,
    /// What runs the networks.
    #[schemars(length(min = 1))]
    pub engines: Vec<String>,
    /// Another device that runs them instead, `processes.max` times each, beside MobileNetV2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceConfig>,
    /// Numbers of threads.
    #[schemars(length(min = 1), inner(range(min = 1, max = 256)))]
    pub threads: Vec<usize>,
    /// Numbers of images in a batch.
    #[schemars(length(min = 1), inner(range(min = 1, max = 4096)))]
    pub batch: Vec<usize>,
    /// The cores that everything runs on; if left out each time the idlest, as many as threads.
    #[schemars(length(min = 1), inner(range(min = 0, max = 1023)))]
    pub cores: Option<Vec<usize>>,
    /// Milliseconds of a window of calls; it has at least 3.
    #[schemars(range(min = 1, max = 60000))]
    pub window_ms: f64,
    /// When a process is warm.
    pub warmup: WarmUp,
    /// When a process has enough samples.
    pub samples: Sampling,
    /// How many fresh processes measure a network.
    pub processes: Processes,
    /// What is flagged as noisy, and when a measurement is unreliable.
    pub noise: Noise,
    /// What the bootstrap derives from.
    pub seed: u64,
}

impl Default for BenchConfig {
    fn default() -> BenchConfig {
        let r = ProfileRules::default();
        BenchConfig {
            models: None,
            found: Vec::new(),
            files: Vec::new(),
            engines: vec!["libtorch".to_string()],
            device: None,
            threads: vec![1],
            batch: vec![1],
            cores: None,
            window_ms: r.window_ms,
            warmup: WarmUp::default(),
            samples: Sampling::default(),
            processes: Processes::default(),
            noise: Noise::default(),
            seed: r.seed,
        }
    }
}

/// A network that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Its genome, as runs write it for their winners: RUN/winners/N.yaml.
    pub genome: PathBuf,
    /// Its name in the table; the genome's file if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Classes that it tells apart.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 1000000))]
    pub classes: u32,
}

fn thousand() -> u32 {
    1000
}

impl Found {
    /// A genome's file with nothing said beside.
    pub fn new(genome: PathBuf) -> Found {
        Found { genome, name: None, classes: thousand() }
    }

    /// Its name in the table.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.genome.display().to_string())
    }
}

/// A process is warm when the medians of so many windows in a row agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WarmUp {
    /// Windows in a row.
    #[schemars(range(min = 2, max = 100))]
    pub windows: usize,
    /// Percent that the largest of their medians may lie above the smallest.
    #[schemars(range(min = 0.01, max = 1000))]
    pub tolerance: f64,
    /// No further window after so many seconds; the measurement is then unreliable.
    #[schemars(range(min = 0, max = 3600))]
    pub max_seconds: f64,
}

impl Default for WarmUp {
    fn default() -> WarmUp {
        let s = ProfileRules::default().steady;
        WarmUp { windows: s.windows, tolerance: percent(s.agree), max_seconds: s.max_seconds }
    }
}

/// A process has enough samples when the 95 % interval of their median is narrow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Percent of the median that the interval is wide.
    #[schemars(range(min = 0.01, max = 1000))]
    pub ci_width: f64,
    /// At least so many samples, if the time allows.
    #[schemars(range(min = 1, max = 1000000))]
    pub min: usize,
    /// No further window after so many samples.
    #[schemars(range(min = 1, max = 1000000))]
    pub max: usize,
    /// No further window after so many seconds.
    #[schemars(range(min = 0, max = 3600))]
    pub max_seconds: f64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        let e = ProfileRules::default().enough;
        Sampling { ci_width: percent(e.width), min: e.min_samples, max: e.max_samples, max_seconds: e.max_seconds }
    }
}

/// There are enough processes when the 95 % interval of the median over them is narrow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Processes {
    /// At least so many.
    #[schemars(range(min = 1, max = 1000))]
    pub min: usize,
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    pub max: usize,
    /// Percent of the median that the interval is wide; a wider one in the end is unreliable.
    #[schemars(range(min = 0.01, max = 1000))]
    pub ci_width: f64,
    /// No further process after so many seconds, once there are `min`.
    #[schemars(range(min = 0, max = 86400))]
    pub max_seconds: f64,
}

impl Default for Processes {
    fn default() -> Processes {
        let a = ProfileRules::default().across;
        Processes { min: a.fewest, max: a.most, ci_width: percent(a.width), max_seconds: a.max_seconds }
    }
}

/// What is flagged as noisy, and when a measurement is unreliable. No sample is dropped for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Percent of a window that the host may take away.
    #[schemars(range(min = 0, max = 100))]
    pub steal: f64,
    /// Cores that something else may keep busy.
    #[schemars(range(min = 0, max = 1024))]
    pub other_load: f64,
    /// Percent by which the calibration kernel or a core's frequency may move within a process.
    #[schemars(range(min = 0, max = 1000))]
    pub drift: f64,
    /// Percent by which the calls of a process may drift from its first third to its last.
    #[schemars(range(min = 0, max = 1000))]
    pub trend: f64,
    /// Percent of samples that may be noisy before the measurement is unreliable.
    #[schemars(range(min = 0, max = 100))]
    pub max_noisy: f64,
}

impl Default for Noise {
    fn default() -> Noise {
        let l = NoiseLimits::default();
        Noise {
            steal: percent(l.steal),
            other_load: l.foreign,
            drift: percent(l.drift),
            trend: percent(l.trend),
            max_noisy: percent(l.share),
        }
    }
}

/// A share as a percentage without the last digits of binary fractions.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

impl BenchConfig {
    /// The published networks that are measured.
    pub fn models(&self) -> Vec<String> {
        match &self.models {
            Some(models) => models.clone(),
            None if !self.found.is_empty() || !self.files.is_empty() => Vec::new(),
            None => published().into_iter().map(String::from).collect(),
        }
    }

    /// The rules of measuring.
    pub fn rules(&self) -> ProfileRules {
        let (w, s, p, n) = (&self.warmup, &self.samples, &self.processes, &self.noise);
        let share = |percent: f64| percent / 100.0;
        ProfileRules {
            window_ms: self.window_ms,
            steady: WarmupRule { windows: w.windows, agree: share(w.tolerance), max_seconds: w.max_seconds },
            enough: SampleRule {
                width: share(s.ci_width),
                min_samples: s.min,
                max_samples: s.max,
                max_seconds: s.max_seconds,
            },
            across: ProcessRule { fewest: p.min, most: p.max, width: share(p.ci_width), max_seconds: p.max_seconds },
            limits: NoiseLimits {
                steal: share(n.steal),
                foreign: n.other_load,
                drift: share(n.drift),
                trend: share(n.trend),
                share: share(n.max_noisy),
            },
            cores: self.cores.clone(),
            seed: self.seed,
        }
    }

    /// What does not fit to another device.
    fn device_mistakes(&self) -> Vec<(Vec<String>, String)> {
        let Some(device) = &self.device else { return Vec::new() };
        let path = |key: &str| key.split('.').map(String::from).collect::<Vec<String>>();
        let own = device.validate().into_iter().map(|(key, m)| (path(&format!("device.{key}")), m));
        let mut all: Vec<(Vec<String>, String)> = own.collect();
        if self.engines != BenchConfig::default().engines {
            let message = format!("found {:?}, expected none with a device, whose runner says what runs", self.engines);
            all.push((path("engines"), message));
        }
        if !self.files.is_empty() {
            all.push((path("files"), "found some, expected none with a device: it gets networks as ONNX".to_string()));
        }
        all
    }

    /// Mistakes that the types alone do not show, as path and message.
    pub fn validate(&self) -> Vec<(Vec<String>, String)> {
        let at = |key: &str, i: usize| vec![key.to_string(), i.to_string()];
        let mut all = Vec::new();
        for (i, m) in self.models.iter().flatten().enumerate() {
            all.extend(unknown(m).map(|e| (at("models", i), e)));
        }
        for (i, e) in self.engines.iter().enumerate() {
            all.extend(engine::unknown(e).map(|message| (at("engines", i), message)));
        }
        all.extend(self.device_mistakes());
        if self.models.as_ref().is_some_and(Vec::is_empty) && self.found.is_empty() && self.files.is_empty() {
            all.push((vec!["models".to_string()], "found no network, expected at least one".to_string()));
        }
        twice("models", self.models.as_deref().unwrap_or_default(), &mut all);
        twice("engines", &self.engines, &mut all);
        twice("threads", &self.threads, &mut all);
        twice("batch", &self.batch, &mut all);
        twice("cores", self.cores.as_deref().unwrap_or_default(), &mut all);
        let mut names = self.models();
        let found = self.found.iter().enumerate().map(|(i, f)| ("found", i, f.name()));
        for (key, i, name) in found.chain(self.files.iter().enumerate().map(|(i, f)| ("files", i, f.name()))) {
            if names.contains(&name) {
                all.push((at(key, i), format!("found the name {name:?} twice, expected another name")));
            }
            names.push(name);
        }
        for (i, file) in self.files.iter().enumerate() {
            let path = |key: &str| [at("files", i), vec![key.to_string()]].concat();
            all.extend(file.validate().into_iter().map(|(key, message)| (path(key), message)));
        }
        for (key, low, high) in [
            ("processes.min", self.processes.min, self.processes.max),
            ("samples.min", self.samples.min, self.samples.max),
        ] {
            if low > high {
                let path: Vec<String> = key.split('.').map(String::from).collect();
                all.push((path, format!("found {low}, expected at most max, {high}")));
            }
        }
        all
    }
}

fn twice<T: PartialEq + std::fmt::Debug>(key: &str, values: &[T], all: &mut Vec<(Vec<String>, String)>) {
    for (i, v) in values.iter().enumerate().filter(|(i, v)| values[..*i].contains(v)) {
        let path = vec![key.to_string(), i.to_string()];
        all.push((path, format!("found {v:?} twice, expected distinct ones")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_rules() {
        assert_eq!(BenchConfig::default().rules(), ProfileRules::default());
        assert_eq!(BenchConfig::default().models().len(), published().len());
    }

    #[test]
    fn found_networks_alone_are_no_published_ones() {
        let config = BenchConfig { found: vec![Found::new("a.yaml".into())], ..BenchConfig::default() };
        assert_eq!(config.models(), Vec::<String>::new());
        assert_eq!(config.validate(), Vec::new());
    }
}
