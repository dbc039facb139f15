//! The lines of a table's file: a header, blocks, whole networks, the reference, the validation, the end.

use std::collections::BTreeMap;

use mobilenas_device::{DeviceRecord, Seen};
use mobilenas_record::run as record;
use serde::{Deserialize, Serialize};

/// The version of the file's format; a reader refuses another one.
pub const FORMAT: u32 = 2;

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableRow {
    /// Always the first line.
    Table(Box<Header>),
    /// The time of one distinct block.
    Block(BlockTime),
    /// The time of one whole network.
    Net(NetworkTime),
    /// The reference as some rounds saw it.
    Rounds(Reference),
    /// The reference network: its latency is the unit of the score.
    Reference(Reference),
    /// The line, and its errors on networks that took no part in fitting it.
    Validation(Validation),
    /// Always the last line.
    End(End),
}

/// Where the times come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableSource {
    /// Taken by this program on its own host.
    Measured,
    /// Brought from another device.
    Imported,
}

/// What was timed, where, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Where the times come from.
    pub source: TableSource,
    /// Family of the space.
    pub family: String,
    /// Classes of the networks.
    pub classes: u32,
    /// Distinct blocks that are to be timed.
    pub blocks: usize,
    /// Whether those are all that the space's genomes can hold.
    pub whole: bool,
    /// Digest of the list of blocks and networks.
    pub list: String,
    /// What ran the blocks.
    pub engine: record::Engine,
    /// The machine, if the program ran on it.
    pub host: Option<record::Host>,
    /// The device in words, if it was another one.
    pub device: Option<String>,
    /// What is recorded of it, if this program had the times taken there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<DeviceRecord>,
    /// What random orders and networks derive from.
    pub seed: u64,
}

/// A block's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockTime {
    /// Its key: kind, sizes, digest of its work.
    pub key: String,
    /// Median in ms.
    pub ms: f64,
    /// Median over the rounds of its time over the reference's; the latency is this times the reference's, if it is
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The same ratio of runs right after another of its own, where `ms` and `ratio` are of runs after other work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<f64>,
    /// Samples.
    pub count: usize,
    /// From the first to the third quartile, as a share of the median.
    pub spread: Option<f64>,
}

/// What a whole network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// The line is fitted on it.
    Fit,
    /// The line is validated on it.
    Validation,
}

/// A whole network's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkTime {
    /// What it is for.
    pub set: Subset,
    /// Digest of its graph.
    pub digest: String,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Keys of its blocks, in order.
    pub blocks: Vec<String>,
    /// Median in ms.
    pub ms: f64,
    /// As a block's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Samples.
    pub count: usize,
    /// From the first to the third quartile, as a share of the median.
    pub spread: Option<f64>,
}

/// The reference network's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub model: String,
    /// Side of its images in px.
    pub resolution: u32,
    /// Median, 10th and 90th percentile, samples.
    pub latency: record::Latency,
    /// What was seen of another device in these rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

impl BlockTime {
    /// Its time in ms, of which runs right after another of its own make a share.
    pub fn time(&self, again: f64, reference_ms: Option<f64>) -> f64 {
        let after_others = latency_of(self.ms, self.ratio, reference_ms);
        match (self.again, reference_ms) {
            (Some(ratio), Some(reference)) => (1.0 - again) * after_others + again * ratio * reference,
            _ => after_others,
        }
    }
}

impl NetworkTime {
    /// Its latency in ms.
    pub fn time(&self, reference_ms: Option<f64>) -> f64 {
        latency_of(self.ms, self.ratio, reference_ms)
    }
}

/// A time relative to the reference, where there is one; as it was taken, where not.
fn latency_of(ms: f64, ratio: Option<f64>, reference_ms: Option<f64>) -> f64 {
    match (ratio, reference_ms) {
        (Some(ratio), Some(reference)) => ratio * reference,
        _ => ms,
    }
}

/// `latency = offset_ms + slope * sum of the blocks`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// In ms.
    pub offset_ms: f64,
    /// A factor.
    pub slope: f64,
}

impl Correction {
    /// The sum as it is.
    pub const IDENTITY: Correction = Correction { offset_ms: 0.0, slope: 1.0 };

    /// The latency of a sum of blocks, in ms.
    pub fn at(&self, sum: f64) -> f64 {
        self.offset_ms + self.slope * sum
    }
}

/// The errors of the line on networks that took no part in fitting it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Share of `again` in a block's time; the rest is of runs after other work. Found on the networks that the line is
    /// fitted on.
    #[serde(default)]
    pub again: f64,
    /// The line.
    pub line: Correction,
    /// Networks that it was fitted on.
    pub fit_nets: usize,
    /// Networks that it is validated on, none of them among those.
    pub nets: usize,
    /// Mean of |predicted / measured - 1|, percent.
    pub mape: f64,
    /// Share of networks within 5 % of the measured latency, percent.
    pub within_5: f64,
    /// Share of networks within 10 %, percent.
    pub within_10: f64,
    /// Largest |predicted / measured - 1|, percent.
    pub worst: f64,
    /// Kendall's tau-b of predicted and measured.
    pub tau: Option<f64>,
    /// Mean of |sum / measured - 1|, percent: without the line.
    pub uncorrected_mape: f64,
    /// Fastest and slowest measured, ms.
    pub range_ms: [f64; 2],
}

/// That the file is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Lines before this one.
    pub rows: usize,
    /// CRC-32C of their bytes, in hex.
    pub crc: String,
}
