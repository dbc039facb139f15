//! Kinds of numbers, the formula-made values of inputs, and outputs.

use mobilenas_space::formula::noise;

use crate::InputSetting;

/// A kind of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floating point.
    Float32,
    /// 16-bit floating point.
    Float16,
    /// 64-bit floating point.
    Float64,
    /// 64-bit whole numbers.
    Int64,
    /// 32-bit whole numbers.
    Int32,
    /// 8-bit whole numbers.
    Int8,
    /// 8-bit whole numbers without sign.
    Uint8,
    /// True or false.
    Bool,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] =
        [Kind::Float32, Kind::Float16, Kind::Float64, Kind::Int64, Kind::Int32, Kind::Int8, Kind::Uint8, Kind::Bool];

    /// Its name, as ONNX has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Float32 => "float32",
            Kind::Float16 => "float16",
            Kind::Float64 => "float64",
            Kind::Int64 => "int64",
            Kind::Int32 => "int32",
            Kind::Int8 => "int8",
            Kind::Uint8 => "uint8",
            Kind::Bool => "bool",
        }
    }

    /// A kind by its name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// The names of all.
    pub fn names() -> String {
        Kind::ALL.map(Kind::name).join(", ")
    }
}

/// An input with its sizes, and the range of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its sizes.
    pub dims: Vec<i64>,
    /// The smallest value, if one was given.
    pub low: Option<f64>,
    /// The largest value, if one was given.
    pub high: Option<f64>,
}

/// The range of the pixels of a normalised image.
const PIXEL: f64 = 1.7;

impl Input {
    /// An input with what a user says of it.
    pub fn new(name: String, kind: Kind, dims: Vec<i64>, setting: Option<&InputSetting>) -> Input {
        let (low, high) = setting.map_or((None, None), |s| (s.low, s.high));
        Input { name, kind, dims, low, high }
    }

    /// Its values by the formula: the same on every machine. Without a range, numbers with a fraction are those of a
    /// normalised image, bytes have their whole range, and other whole numbers are 0 and, three times in four, 1: that is
    /// an index into any table, and a mask under which something is left.
    pub fn values(&self) -> Vec<f64> {
        let n = self.dims.iter().map(|d| d.unsigned_abs() as usize).product();
        let given = self.low.is_some() || self.high.is_some();
        let (low, high) = match self.kind {
            Kind::Float32 | Kind::Float16 | Kind::Float64 => (-PIXEL, PIXEL),
            Kind::Int8 => (-128.0, 127.0),
            Kind::Uint8 => (0.0, 255.0),
            Kind::Int64 | Kind::Int32 | Kind::Bool => (0.0, 1.0),
        };
        let (low, high) = (self.low.unwrap_or(low.min(self.high.unwrap_or(low))), self.high.unwrap_or(high));
        let high = high.max(low);
        let share = |v: f64| (v + 1.0) / 2.0;
        let one = |v: f64| match self.kind {
            Kind::Float32 | Kind::Float16 | Kind::Float64 => low + share(v) * (high - low),
            Kind::Int64 | Kind::Int32 | Kind::Bool if !given => f64::from(u8::from(v > -0.5)),
            Kind::Int64 | Kind::Int32 | Kind::Int8 | Kind::Uint8 | Kind::Bool => {
                (low + (share(v) * (high - low + 1.0)).floor()).min(high)
            }
        };
        noise(&self.name, n).map(one).collect()
    }

    /// `images float32 1x3x224x224`.
    pub fn in_words(&self) -> String {
        let dims = self.dims.iter().map(i64::to_string).collect::<Vec<_>>().join("x");
        format!("{} {} {}", self.name, self.kind.name(), if dims.is_empty() { "scalar" } else { &dims })
    }
}

/// An output of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its kind in words.
    pub kind: String,
    /// Its sizes.
    pub dims: Vec<i64>,
    /// Its numbers in row-major order; empty for text and what is no tensor.
    pub numbers: Vec<f64>,
}
