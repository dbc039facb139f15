//! The latency of networks by a table: corrected sums over their blocks.

use mobilenas_space::ir::{Graph, Plan};
use mobilenas_space::{BlockCache, Cost, Reachable, Space, cost, latency_key};

use super::file::{Table, TableError};
use super::networks::REFERENCE;
use super::row::{Correction, NetworkTime, Subset, TableSource};

/// What a network costs, and its latency by a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LatencyCost {
    /// Params, MACs and activations.
    pub cost: Cost,
    /// Latency in ms.
    pub latency_ms: f64,
}

/// Costs and latencies of plans, remembered block by block, in one look at each block.
///
/// One serves one thread; all may read one table. A plan whose blocks were seen before allocates nothing.
#[derive(Debug)]
pub struct LatencyCoster<'t> {
    table: &'t Table,
    line: Correction,
    memo: BlockCache<(Cost, f64)>,
}

impl<'t> LatencyCoster<'t> {
    /// An empty memory over a table.
    pub fn new(table: &'t Table) -> LatencyCoster<'t> {
        LatencyCoster { table, line: table.line(), memo: BlockCache::default() }
    }

    /// Cost and latency of a plan.
    ///
    /// # Errors
    /// When a block does not fit, or is not in the table.
    pub fn price(&mut self, plan: &Plan) -> Result<LatencyCost, TableError> {
        let (mut total, mut sum) = (Cost::default(), 0.0);
        let table = self.table;
        let find = |alone: &Graph| Ok::<_, TableError>((cost::graph(alone), table.block(alone)?));
        self.memo.each(plan, find, |(cost, ms)| {
            total = total + cost;
            sum += ms;
        })?;
        Ok(LatencyCost { cost: total, latency_ms: self.line.at(sum) })
    }
}

impl Table {
    /// Latency of a network in ms.
    ///
    /// # Errors
    /// When one of its blocks is not in the table.
    pub fn latency(&self, graph: &Graph) -> Result<f64, TableError> {
        let sum: f64 = latency_key::blocks(graph).iter().map(|b| self.block(b)).sum::<Result<f64, _>>()?;
        Ok(self.line().at(sum))
    }

    /// The validation networks: digest, predicted and measured ms.
    pub fn pairs(&self) -> Vec<(String, f64, f64)> {
        let reference = self.reference.as_ref().map(|r| r.latency.median_ms);
        let pair = |n: &NetworkTime| {
            let sum = n.blocks.iter().map(|k| self.time(k)).sum::<Option<f64>>()?;
            Some((n.digest.clone(), self.line().at(sum), n.time(reference)))
        };
        self.nets.iter().filter(|n| n.set == Subset::Validation).filter_map(pair).collect()
    }

    /// The time of a block that stands as a graph of its own.
    fn block(&self, alone: &Graph) -> Result<f64, TableError> {
        let key = latency_key::key(alone);
        self.time(&key).ok_or_else(|| TableError::Block { path: self.path.clone(), key })
    }

    /// Whether the table is of a space's family and number of classes.
    ///
    /// # Errors
    /// The first that differs.
    pub fn is_of(&self, space: &Space) -> Result<(), TableError> {
        let h = &self.header;
        self.same([
            ("family", h.family.clone(), space.family().name().to_string()),
            ("number of classes", h.classes.to_string(), space.classes().to_string()),
        ])
    }

    /// The first of some words of the table that is not the expected one.
    fn same(&self, all: impl IntoIterator<Item = (&'static str, String, String)>) -> Result<(), TableError> {
        match all.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(TableError::Other { path: self.path.clone(), what, found, expected }),
            None => Ok(()),
        }
    }

    /// Whether the table serves a search: its kind, family, classes, engine and setting, and every block of the space.
    ///
    /// # Errors
    /// The first thing that differs, or how many blocks are missing.
    pub fn serves(
        &self,
        space: &Space,
        wanted: &TableRequirements<'_>,
        rng: &mut dyn rand::Rng,
    ) -> Result<(), TableError> {
        let (h, e) = (&self.header, &self.header.engine);
        let source = |s: TableSource| if s == TableSource::Measured { "table" } else { "imported" }.to_string();
        self.same([("source", source(h.source), source(wanted.source))])?;
        self.same(wanted.engine.map(|engine| ("engine", e.name.clone(), engine.to_string())))?;
        self.is_of(space)?;
        self.same([
            ("number of threads", e.threads.to_string(), wanted.threads.to_string()),
            ("batch", e.batch.to_string(), wanted.batch.to_string()),
        ])?;
        if self.reference.is_none() {
            return Err(TableError::Reference { path: self.path.clone(), reference: REFERENCE });
        }
        let most = self.blocks.len() * 4 + 20_000;
        let reachable = Reachable::of(space, most, rng)?;
        let missing: Vec<&String> =
            reachable.blocks().iter().map(|(k, _)| k).filter(|k| self.time(k).is_none()).collect();
        match missing.first() {
            Some(first) => Err(TableError::Missing {
                path: self.path.clone(),
                missing: missing.len(),
                blocks: reachable.blocks().len(),
                first: (*first).clone(),
            }),
            None => Ok(()),
        }
    }
}

/// What a search wants of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableRequirements<'a> {
    /// Measured here or brought from elsewhere.
    pub source: TableSource,
    /// Name of the engine, if it matters.
    pub engine: Option<&'a str>,
    /// Intra-op threads.
    pub threads: usize,
    /// Images in a batch.
    pub batch: usize,
}
