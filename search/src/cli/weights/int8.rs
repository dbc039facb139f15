//! `mobilenas weights export --int8`: the file, and what it loses and gains beside the float32 file.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use mobilenas_bench::Host;
use mobilenas_bench::engine::int8::{Calibrator, Gain, gain};
use mobilenas_bench::engine::onnxruntime::{File, OnnxRuntime};
use mobilenas_bench::engine::{Engine as _, blank};
use mobilenas_data::Labels;
use mobilenas_data::settings::{DataConfig, DataName};
use mobilenas_heads::{Head, HeadOptions};
use mobilenas_host::WallClock;
use mobilenas_onnx::int8::CalibrationMethod;
use mobilenas_onnx::{Batch, Options};
use mobilenas_space::families;
use mobilenas_task::{Classification, Task, of_head};
use mobilenas_torch::Net;
use mobilenas_torch::onnx::{to_int8, to_onnx};
use mobilenas_torch::weights::About;
use serde_json::json;

use super::super::{Input, destination};
use super::output::{in_words, unfit, written};
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_pipeline::quantize::{Comparison, Sets, Shape, calibrate, compare};
use mobilenas_space::seed::{Purpose, rng};

/// Flags of an int8 file.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// ONNX: layers in int8, calibrated on training images; its loss of accuracy and its gain beside float32 are printed
    #[arg(long, conflicts_with_all = ["float16", "unfused"])]
    pub int8: bool,
    /// int8 of a published network: its images, DIR/train to calibrate and DIR/val to evaluate, each with <class>/* or *.tar; with
    /// a head the folder of a dataset
    #[arg(long, value_name = "DIR", requires = "int8", conflicts_with_all = ["run", "config"])]
    data: Option<PathBuf>,
    /// int8 with a head: the dataset in that folder [default: coco, or voc for class maps]
    #[arg(long, value_name = "NAME", requires = "data", value_parser = ["coco", "voc", "ade20k", "masks"])]
    dataset: Option<String>,
    /// int8 with a head: split to calibrate on [default: train]
    #[arg(long, value_name = "SPLIT", requires = "data")]
    train_split: Option<String>,
    /// int8 with a head: split to evaluate on [default: val]
    #[arg(long, value_name = "SPLIT", requires = "data")]
    val_split: Option<String>,
    /// int8: training images to calibrate on
    #[arg(long, value_name = "N", requires = "int8", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    images: u32,
    /// int8: which range is made of a value's numbers over these images
    #[arg(long, value_enum, requires = "int8", default_value_t = Ranges::Minmax)]
    ranges: Ranges,
    /// int8: print loss and gain as one JSON object
    #[arg(long, requires = "int8")]
    json: bool,
}

/// Which range is made of a value's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ranges {
    /// From the smallest to the largest
    Minmax,
    /// The middle 99.99 %
    Percentile,
}

impl Ranges {
    fn rule(self) -> CalibrationMethod {
        match self {
            Ranges::Minmax => CalibrationMethod::MinMax,
            Ranges::Percentile => CalibrationMethod::Percentile,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Ranges::Minmax => "minmax",
            Ranges::Percentile => "percentile",
        }
    }
}

impl Flags {
    /// The images of a published network.
    ///
    /// # Errors
    /// When none are named, or there are none.
    pub fn sets(&self, model: &str, head: Option<(&dyn Head, HeadOptions)>, side: u32) -> Result<Sets> {
        let expected = match head.is_some() {
            true => "expected --data DIR, the folder of a dataset with a split to calibrate and one to evaluate",
            false => "expected --data DIR with DIR/train to calibrate and DIR/val to evaluate",
        };
        let dir = self.data.as_ref().ok_or_else(|| Input(format!("{model}: --int8 without images, {expected}")))?;
        let (_, info) = families::variant(model).ok_or_else(|| Input(format!("{model}: no such network")))?;
        let task = head.map_or(&Classification as &'static dyn Task, |(head, options)| of_head(head, &options));
        let usual = match task.labels() {
            Labels::Classes => DataName::FOLDER.as_str(),
            Labels::Boxes | Labels::Masks => "coco",
            Labels::ClassMaps => "voc",
        };
        let name = DataName::named(self.dataset.as_deref().unwrap_or(usual)).unwrap_or(DataName::FOLDER);
        let default = DataConfig { name, dir: Some(dir.clone()), ..DataConfig::default() };
        let config = DataConfig {
            train_split: self.train_split.clone().unwrap_or(default.train_split),
            val_split: self.val_split.clone().unwrap_or(default.val_split),
            ..default
        };
        Ok(Sets::of(&config, task, (side, info.preprocessing)).map_err(|e| Input(e.to_string()))?)
    }
}

/// An int8 file to write.
pub struct Job<'a> {
    /// The frozen network.
    pub net: &'a Net,
    /// Images in a batch.
    pub batch: Batch,
    /// What the file says of itself.
    pub about: About,
    /// The network in words.
    pub title: &'a str,
    /// Its classes.
    pub classes: u32,
    /// The file.
    pub out: &'a Path,
    /// Images.
    pub sets: Sets,
}

/// Images at once where a file takes any number.
const AT_ONCE: usize = 32;

impl Job<'_> {
    /// Calibrates, writes, compares, times.
    ///
    /// # Errors
    /// When the images are not the network's, the runtime is not here, or the disk refuses.
    pub fn run(mut self, flags: &Flags) -> Result<i32> {
        let graph = self.net.graph();
        let (head, found) = (self.sets.task.labels(), self.sets.train.data.classes.len());
        // A detector counts the background, too.
        let classes = self.classes as usize - usize::from(matches!(head, Labels::Boxes | Labels::Masks));
        if classes != found {
            let text = format!("{}: images of {found} classes, expected {classes} as the network has", self.title);
            return Err(Input(text).into());
        }
        let (stop, side) = (Stop::on_signals()?, graph.input().dims[1]);
        let shape = match self.batch {
            Batch::Fixed(n) => Shape { side, batch: n as usize, fixed: true },
            Batch::Dynamic => Shape { side, batch: AT_ONCE, fixed: false },
        };
        let float32 = to_onnx(self.net, &self.options()).map_err(unfit)?;
        let how = format!("{} training images, {}", flags.images, flags.ranges.word());
        self.about.insert("int8".to_string(), format!("calibrated on up to {how}"));
        let int8 = to_int8(self.net, &self.options())?;
        let layers = int8.layers();
        let mut calibrator = Calibrator::new(int8, flags.ranges.rule(), 1)?;
        let bar = Progress::new("calibrate");
        let Some(seen) = calibrate(&mut calibrator, &self.sets, (shape, flags.images as usize), (&stop, &bar))? else {
            return Ok(stop.exit_code());
        };
        let int8 = calibrator.write()?;
        drop(calibrator);
        let what = format!("{}: int8 in {} of {} layers, {}", self.title, layers[0], layers[1], in_words(self.batch));
        let how = format!("calibrated on {seen} training images ({})", flags.ranges.word());
        if !flags.json {
            written(self.out, &int8, &format!("{what}, {how}"))?;
        } else {
            destination::write(self.out, &int8)?;
        }
        let (mut a, mut b) = (File::load(&float32, 1)?, File::load(&int8, 1)?);
        let progress = Progress::new("compare");
        let Some(accuracy) = compare((&mut a, &mut b), graph, (&self.sets, shape), (&stop, &progress))? else {
            return Ok(stop.exit_code());
        };
        let batch = if shape.fixed { shape.batch } else { 1 };
        let mut rng = rng(self.sets.seed, Purpose::Timing, 0, 0);
        let gain = gain(&WallClock::new(), (&mut a, &mut b), &blank(self.net, batch)?, &mut rng)?;
        let report = Report { accuracy, gain, batch, bytes: [float32.len(), int8.len()] };
        match flags.json {
            true => destination::say(self.out, report.json(&what, seen, flags.ranges.word(), layers))?,
            false => destination::say(self.out, report.words())?,
        }
        Ok(0)
    }

    fn options(&self) -> Options {
        Options { batch: self.batch, about: self.about.clone(), ..Options::default() }
    }
}

/// Loss and gain.
struct Report {
    accuracy: Comparison,
    gain: Gain,
    batch: usize,
    bytes: [usize; 2],
}

impl Report {
    fn words(&self) -> String {
        let (a, g, [float32, int8]) = (&self.accuracy, &self.gain, self.bytes);
        let (version, share) = (OnnxRuntime.version(), int8 as f64 / float32.max(1) as f64);
        let (low, high) = g.ratio_interval;
        let head = format!(
            "on ONNX Runtime {version}: {} of {} test images; median ms, batch {}, one thread, in turn; bytes",
            a.metrics.iter().map(|(m, _)| m.noun()).collect::<Vec<_>>().join(" and "),
            a.images,
            self.batch
        );
        let rows = [("float32", 0, g.float32_ms, float32), ("int8", 1, g.int8_ms, int8)];
        let rows = rows.map(|(name, which, ms, bytes)| {
            let scores: String = a.metrics.iter().map(|(_, v)| format!(" {:>8.2} %", v[which])).collect();
            format!("  {name:<8}{scores} {ms:>10.3} ms {bytes:>12}")
        });
        let points = a.metrics.iter().map(|(_, [was, is])| format!("{:+.2}", is - was)).collect::<Vec<_>>();
        let same = a.agreement.map(|share| format!(", the same class for {share:.2} % of images"));
        let last = format!(
            "  int8 over float32: {} points{}; {:.3} [{low:.3}, {high:.3}] of the time in {} rounds; {share:.3} of the bytes",
            points.join(" and "),
            same.unwrap_or_default(),
            g.ratio,
            g.rounds
        );
        [head, rows.join("\n"), last].join("\n")
    }

    fn json(&self, what: &str, calibrated: usize, ranges: &str, layers: [usize; 2]) -> serde_json::Value {
        let mut accuracy = json!({ "images": self.accuracy.images });
        for (metric, [was, is]) in &self.accuracy.metrics {
            accuracy[format!("float32_{}", metric.name)] = json!(was);
            accuracy[format!("int8_{}", metric.name)] = json!(is);
        }
        if let Some((_, [was, is])) = self.accuracy.metrics.first() {
            accuracy["points"] = json!(is - was);
        }
        if let Some(same) = self.accuracy.agreement {
            accuracy["same_class"] = json!(same);
        }
        json!({
            "network": what, "engine": "onnxruntime", "engine_version": OnnxRuntime.version(), "host": Host::read(),
            "layers_in_int8": layers[0], "layers": layers[1],
            "calibration": { "images": calibrated, "ranges": ranges },
            "accuracy": accuracy,
            "latency": { "batch": self.batch, "threads": 1, "in_turn": self.gain },
            "bytes": { "float32": self.bytes[0], "int8": self.bytes[1] },
        })
    }
}
