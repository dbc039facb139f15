//! What is exactly known about anybody's ONNX file: its inputs and outputs, operators, weights, and what it multiplies.
//!
//! Nothing is run. A file is read with [`crate::proto::read`]; weights that stand in other files are asked for by
//! [`Location`].

mod digest;
mod error;
mod inputs;
mod macs;
mod nodes;
mod shapes;
mod weights;

use std::collections::BTreeMap;

use nodes::{described, domain_of, each_node, qualified};

use crate::proto::{Graph, Model};

pub use error::ReadError;
pub use inputs::{Input, Sizes, inputs};
pub use macs::{Macs, macs};
pub use weights::{Location, Outside};

/// What is exactly known about a file without sizes of its dynamic axes.
#[derive(Clone, Debug, PartialEq)]
pub struct FileFacts {
    /// Versions of its operator sets by domain; the standard domain is `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    /// How often each operator occurs, in graphs within nodes too; those of other domains as `DOMAIN.OPERATOR`.
    pub ops: BTreeMap<String, u64>,
    /// Digest of the operators with their attributes and of what reads what, whatever the values are called.
    pub graph: String,
    /// Elements of its initialisers, those of int64 and bool aside: these are sizes and indices.
    pub params: u64,
    /// Bytes of its initialisers.
    pub weight_bytes: u64,
    /// Digest of its initialisers in the order in which they are used, whatever they are called.
    pub weights: String,
    /// Its inputs as `NAME: KIND[SIZES]`, in order.
    pub inputs: Vec<String>,
    /// Its outputs.
    pub outputs: Vec<String>,
}

/// Domains whose operators runtimes bring along.
const DOMAINS: [&str; 6] =
    ["", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc"];

/// The graph of a file.
///
/// # Errors
/// When it has none.
pub fn graph(model: &Model) -> Result<&Graph, ReadError> {
    model.graph.as_ref().filter(|g| !g.output.is_empty()).ok_or(ReadError::NoGraph)
}

/// Works everything out.
///
/// # Errors
/// When the file has no graph, has operators that no runtime knows, or weights that are not there or of another size.
pub fn facts(model: &Model, outside: &mut Outside) -> Result<FileFacts, ReadError> {
    let graph = graph(model)?;
    let mut ops = BTreeMap::new();
    let mut custom = None;
    each_node(graph, &mut |node| {
        let (domain, op) = (domain_of(node), node.op_type.clone().unwrap_or_default());
        let own = |domain: &str| model.functions.iter().any(|f| f.domain.as_deref().unwrap_or_default() == domain);
        if !DOMAINS.contains(&domain) && !own(domain) && custom.is_none() {
            let at = node.name.clone().unwrap_or_default();
            custom = Some(ReadError::Custom { at, op: op.clone(), domain: domain.to_string() });
        }
        *ops.entry(qualified(node)).or_default() += 1;
    });
    if let Some(custom) = custom {
        return Err(custom);
    }
    let weights = weights::weights(graph, outside)?;
    let domain = |d: &Option<String>| match d.as_deref().unwrap_or_default() {
        "" => "ai.onnx".to_string(),
        other => other.to_string(),
    };
    Ok(FileFacts {
        opsets: model.opset_import.iter().map(|o| (domain(&o.domain), o.version.unwrap_or_default())).collect(),
        ops,
        graph: digest::graph(graph),
        params: weights.params,
        weight_bytes: weights.bytes,
        weights: weights.digest,
        inputs: inputs::real(graph).map(described).collect(),
        outputs: graph.output.iter().map(described).collect(),
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
