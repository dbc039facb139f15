//! The whole networks of a table: random genomes, some to fit the line on, others to validate it; and the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobilenas_space::ir::{Graph, ShapeError};
use mobilenas_space::{Reachable, Space, families, latency_key};
use rand::Rng;

use super::row::Subset;

/// The network whose latency is the unit of the score.
pub const REFERENCE: &str = "mobilenetv2_100";

/// Draws for each network that is wanted, before the space counts as exhausted.
const DRAWS: usize = 50;

/// A network that was drawn.
#[derive(Clone, Debug)]
pub struct SampledNetwork {
    /// What it is for.
    pub set: Subset,
    /// Digest of its graph.
    pub digest: String,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Keys of its blocks, in order.
    pub blocks: Vec<String>,
    /// Its graph.
    pub graph: Arc<Graph>,
}

/// Different random networks whose blocks are all among those given; fewer if the space has no more.
///
/// # Errors
/// Never for a space that was built.
pub fn choose(
    space: &Space,
    among: &Reachable,
    [fit, validation]: [usize; 2],
    rng: &mut dyn Rng,
) -> Result<Vec<SampledNetwork>, ShapeError> {
    let known: BTreeSet<&str> = among.blocks().iter().map(|(k, _)| k.as_str()).collect();
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for _ in 0..DRAWS * (fit + validation) {
        if all.len() == fit + validation {
            break;
        }
        let genome = space.sample(rng);
        let graph = space.lower(&genome)?;
        let blocks: Vec<String> = latency_key::blocks(&graph).iter().map(latency_key::key).collect();
        // Two networks of the same blocks are one here, whatever their graphs are called.
        if blocks.iter().all(|k| known.contains(k.as_str())) && seen.insert(blocks.clone()) {
            // Taken in turn, so that both sets fill alike when the space has few networks.
            let of = |set: Subset| all.iter().filter(|c: &&SampledNetwork| c.set == set).count();
            let set = if of(Subset::Fit) * validation < of(Subset::Validation) * fit {
                Subset::Fit
            } else {
                Subset::Validation
            };
            let set = if validation == of(Subset::Validation) { Subset::Fit } else { set };
            let (digest, genome) = (graph.digest(), space.values(&genome));
            all.push(SampledNetwork { set, digest, genome, blocks, graph: Arc::new(graph) });
        }
    }
    Ok(all)
}

/// The reference network's graph and the side of its images in px; `None` if it is not among the families.
pub fn reference() -> Option<(Graph, u32)> {
    let (family, info) = families::variant(REFERENCE)?;
    let template = family.template(REFERENCE)?;
    let plan = template.plan(&template.values(), info.resolution, 1000).ok()?;
    Some((plan.lower().ok()?, info.resolution))
}
