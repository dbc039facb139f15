//! Tier 0: numbers that follow from the network alone. Any change has to be blessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::ir::Graph;
use mobilenas_space::{cost, memory};
use mobilenas_torch::{Formula, Mode, Net, NetError, formula};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::finding::{Finding, Tier, Verdict};
use crate::process::{MeasureError, published_graph};
use mobilenas_record::change::counts_in_words;
pub use mobilenas_record::change::{in_words, percent};

/// Logits of two formula-made images on formula-made weights, computed in double.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logits {
    /// The Euclidean norm of all logits of both images.
    pub norm: f64,
    /// That of the difference of the two images' logits.
    pub difference: f64,
    /// The first logits of each image.
    pub first: [Vec<f64>; 2],
}

/// Bytes of a number in single precision.
const SINGLE: u64 = 4;

/// Logits of an image that are kept.
const FIRST: i64 = 8;

/// Distance within which logits are the same, relative to their norm. In double every published network is within 1e-9
/// of its reference implementation, which sums in other orders; a test holds that.
pub const ROUNDING: f64 = 1e-8;

/// What is exactly known about a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exact {
    /// Side of its images in pixels.
    pub resolution: u32,
    /// Learnable parameters.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Digest of the graph.
    pub digest: String,
    /// How often each operation occurs.
    pub ops: BTreeMap<String, u64>,
    /// The most bytes of activations that live at one time for one image, deployed.
    pub activation_bytes: u64,
    /// Bytes of the deployed weights.
    pub weight_bytes: u64,
    /// Logits; absent where they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<Logits>,
}

impl Exact {
    /// Works the numbers out.
    ///
    /// # Errors
    /// When there is no such network, or libtorch refuses.
    pub fn of(model: &str, logits: bool) -> Result<Exact, MeasureError> {
        let (graph, resolution) = published_graph(model)?;
        let (cost, memory) = (cost::graph(&graph), memory(&graph));
        Ok(Exact {
            resolution,
            params: cost.params,
            macs: cost.macs,
            digest: graph.digest(),
            ops: graph.histogram().into_iter().map(|(op, n)| (op.to_string(), n as u64)).collect(),
            activation_bytes: SINGLE * memory.activations,
            weight_bytes: SINGLE * memory.weights,
            logits: if logits { Some(logits_of(model, graph, resolution)?) } else { None },
        })
    }
}

fn logits_of(model: &str, graph: Graph, resolution: u32) -> Result<Logits, NetError> {
    let torch = |e: tch::TchError| NetError::Torch { at: "logits".into(), message: e.to_string() };
    let _guard = tch::no_grad_guard();
    let net = Net::bind(Arc::new(graph), &Formula::of(model))?.to_kind(Kind::Double)?;
    let images = formula::images(2, resolution)?.f_to_kind(Kind::Double).map_err(torch)?;
    let logits = net.forward(&images, Mode::Eval)?;
    let read = || -> Result<Logits, tch::TchError> {
        let norm = |t: &Tensor| f64::try_from(t.f_norm()?);
        let (a, b) = (logits.f_get(0)?, logits.f_get(1)?);
        let first = |t: &Tensor| Vec::<f64>::try_from(t.f_narrow(0, 0, FIRST.min(t.size()[0]))?);
        Ok(Logits { norm: norm(&logits)?, difference: norm(&a.f_sub(&b)?)?, first: [first(&a)?, first(&b)?] })
    };
    read().map_err(torch)
}

/// The largest relative distance of two sets of logits, of the norms and of single logits against the norm.
fn distance(was: &Logits, is: &Logits) -> f64 {
    let scale = was.norm.abs().max(f64::MIN_POSITIVE);
    let pairs = was.first.iter().flatten().zip(is.first.iter().flatten());
    let same_size = was.first.iter().flatten().count() == is.first.iter().flatten().count();
    let norms = [(&was.norm, &is.norm), (&was.difference, &is.difference)];
    let off = |(a, b): (&f64, &f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
    let worst = pairs.chain(norms).map(off).fold(if same_size { 0.0 } else { f64::INFINITY }, f64::max);
    worst / scale
}

const MEND: &str = "If the change is wanted, bless it.";

fn number(model: &str, metric: &str, was: u64, is: u64) -> Finding {
    let verdict = if was == is { Verdict::Pass } else { Verdict::Fail };
    let words = if was == is { "unchanged".to_string() } else { in_words(metric, was, is) };
    let why = match verdict {
        Verdict::Pass => format!("{metric} is {is}, as in the baseline. It follows from the graph alone."),
        _ => format!("{metric} follows from the graph alone, was {was} and is {is}. {MEND}"),
    };
    Finding::new(Tier::Exact, model, metric, verdict).values(Some(was as f64), Some(is as f64)).because(words, why)
}

fn text(model: &str, metric: &str, same: bool, words: String) -> Finding {
    let verdict = if same { Verdict::Pass } else { Verdict::Fail };
    let why = match same {
        true => format!("The {metric} is as in the baseline. It follows from the graph alone."),
        false => format!("The {metric} follows from the graph alone, and differs. {MEND}"),
    };
    let words = if same { "unchanged".to_string() } else { words };
    Finding::new(Tier::Exact, model, metric, verdict).because(words, why)
}

fn logits(model: &str, was: Option<&Logits>, is: Option<&Logits>) -> Option<Finding> {
    let finding = |v| Finding::new(Tier::Exact, model, "logits", v);
    Some(match (was, is) {
        (None, None) => return None,
        (None, Some(_)) => {
            finding(Verdict::New).because("not in the baseline", format!("The baseline has no logits. {MEND}"))
        }
        (Some(_), None) => {
            finding(Verdict::Skipped).because("not computed", "The config leaves logits out. The baseline has some.")
        }
        (Some(was), Some(is)) => {
            let off = distance(was, is);
            let same = off <= ROUNDING;
            let words = if same { "unchanged".into() } else { format!("logits off by {off:.1e} of their norm") };
            let bound = format!("They are {off:.1e} of their norm apart; up to {ROUNDING:.0e} is rounding.");
            let why = format!("Logits of two images on weights made by a formula are compared in double. {bound}");
            finding(if same { Verdict::Pass } else { Verdict::Fail })
                .values(Some(was.norm), Some(is.norm))
                .because(words, why)
        }
    })
}

/// The verdicts on a network: what the baseline says against what is so now.
pub fn compare(model: &str, was: &Exact, is: &Exact) -> Vec<Finding> {
    let digest = format!("digest {} -> {}", short(&was.digest), short(&is.digest));
    let mut all = vec![
        number(model, "resolution", was.resolution.into(), is.resolution.into()),
        number(model, "params", was.params, is.params),
        number(model, "macs", was.macs, is.macs),
        text(model, "digest", was.digest == is.digest, digest),
        text(model, "ops", was.ops == is.ops, counts_in_words(&was.ops, &is.ops)),
        number(model, "activation_bytes", was.activation_bytes, is.activation_bytes),
        number(model, "weight_bytes", was.weight_bytes, is.weight_bytes),
    ];
    all.extend(logits(model, was.logits.as_ref(), is.logits.as_ref()));
    all
}

fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

/// The verdict on a network that only one side has.
pub fn one_sided(model: &str, verdict: Verdict) -> Finding {
    let (words, why) = match verdict {
        Verdict::Missing => ("gone", format!("The baseline has this network, and now there is none. {MEND}")),
        Verdict::New => ("not in the baseline", "The baseline has no such network. Bless it to guard it.".to_string()),
        _ => ("not asked for", "The baseline has this network, and this check was asked about others.".to_string()),
    };
    Finding::new(Tier::Exact, model, "network", verdict).because(words, format!("{why} Nothing was compared."))
}

#[cfg(test)]
#[path = "exact_tests.rs"]
mod tests;
