//! The layers of a genome, block by block, from the family's own graph. Blocks recur between genomes: each distinct row is
//! computed once, and a genome is a list of rows.

use std::collections::{BTreeMap, HashMap};

use mobilenas_space::families::{self, KnobKind, Template};
use mobilenas_space::genome::RESOLUTION;
use mobilenas_space::ir::{BlockKey, IMAGE, Path, Value};
use mobilenas_space::{Cost, cost};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its path: the prefix of its tensors' names.
    pub path: String,
    pub kind: &'static str,
    /// Shape of its output for one image: channels, height, width.
    pub out: String,
    pub cost: Cost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenomeLayers {
    /// Indices into [`LayerReader::rows`].
    pub rows: Vec<u32>,
    pub cost: Cost,
}

/// Reads genomes of one family.
pub struct LayerReader {
    template: Box<dyn Template>,
    /// All knobs and the resolution, by name: name, kind, position among the template's values.
    knobs: Vec<(String, KnobKind, Option<usize>)>,
    classes: u32,
    rows: Vec<Layer>,
    values: HashMap<Value, u32>,
    /// By the block's inputs, path and bytes: its row and its output.
    seen: HashMap<(Vec<u32>, Path, BlockKey), (u32, u32)>,
}

impl LayerReader {
    /// `None` if this program does not know the family.
    pub fn new(family: &str, classes: usize) -> Option<LayerReader> {
        let family = families::family(family)?;
        let template = family.variants().first().and_then(|v| family.template(v.id))?;
        let own = template.knobs().into_iter().enumerate().map(|(i, k)| (k.name, k.kind, Some(i)));
        let mut knobs: Vec<_> = own.chain([(RESOLUTION.to_owned(), KnobKind::Resolution, None)]).collect();
        knobs.sort_by(|a, b| a.0.cmp(&b.0));
        let classes = u32::try_from(classes).ok()?;
        Some(LayerReader { template, knobs, classes, rows: Vec::new(), values: HashMap::new(), seen: HashMap::new() })
    }

    /// The kind of a knob: `depth`, `expansion`.
    pub fn kind(&self, knob: &str) -> Option<&'static str> {
        self.knobs.iter().find(|(name, ..)| name == knob).map(|(_, kind, _)| kind.name())
    }

    /// All distinct rows so far.
    pub fn rows(&self) -> &[Layer] {
        &self.rows
    }

    /// The layers of a genome; `None` if it has other knobs than the family, or is not a valid network.
    pub fn read(&mut self, genome: &BTreeMap<String, i64>) -> Option<GenomeLayers> {
        let (values, resolution) = self.values(genome)?;
        let plan = self.template.plan(&values, resolution, self.classes).ok()?;
        let start = self.id(&plan.input);
        let mut graph = None;
        let (mut at, mut rows, mut total) = (vec![start], Vec::with_capacity(plan.blocks.len()), Cost::default());
        let mut given = Vec::with_capacity(plan.blocks.len());
        for (i, placed) in plan.blocks.iter().enumerate() {
            if !placed.reads.is_empty() {
                let value = |read: &usize| if *read == IMAGE { Some(start) } else { given.get(*read).copied() };
                at = placed.reads.iter().map(value).collect::<Option<_>>()?;
            }
            let key = (at, placed.path.clone(), BlockKey::of(placed.block.as_ref()));
            let (row, out) = match self.seen.get(&key) {
                Some(known) => *known,
                None => {
                    // Only a network with an unseen block is lowered.
                    if graph.is_none() {
                        graph = Some(plan.lower().ok().map(|g| (cost::blocks(&g), g))?);
                    }
                    let (costs, g) = graph.as_ref()?;
                    let out = &g.nodes.get(g.blocks.get(i)?.output)?.value;
                    let (path, kind, shape) = (placed.path.to_string(), placed.block.kind(), out.to_string());
                    let row = self.rows.len() as u32;
                    self.rows.push(Layer { path, kind, out: shape, cost: *costs.get(i)? });
                    let fresh = (row, self.id(&out.clone()));
                    self.seen.insert(key, fresh);
                    fresh
                }
            };
            total = total + self.rows.get(row as usize)?.cost;
            rows.push(row);
            given.push(out);
            at = vec![out];
        }
        Some(GenomeLayers { rows, cost: total })
    }

    /// The template's values and the resolution, if the genome has exactly the family's knobs.
    fn values(&self, genome: &BTreeMap<String, i64>) -> Option<(Vec<u32>, u32)> {
        if genome.len() != self.knobs.len() {
            return None;
        }
        let (mut values, mut resolution) = (vec![0; self.knobs.len() - 1], 0);
        for ((knob, value), (name, _, at)) in genome.iter().zip(&self.knobs) {
            let value = u32::try_from(*value).ok().filter(|_| knob == name)?;
            match at {
                Some(at) => *values.get_mut(*at)? = value,
                None => resolution = value,
            }
        }
        Some((values, resolution))
    }

    fn id(&mut self, value: &Value) -> u32 {
        let next = self.values.len() as u32;
        *self.values.entry(value.clone()).or_insert(next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn published(id: &str, resolution: i64) -> BTreeMap<String, i64> {
        let template = families::variant(id).and_then(|(f, v)| f.template(v.id)).unwrap();
        let values = template.values();
        let pairs = template.knobs().into_iter().zip(values).map(|(k, v)| (k.name, i64::from(v)));
        pairs.chain([(RESOLUTION.to_owned(), resolution)]).collect()
    }

    #[test]
    fn published_networks_have_their_published_costs() {
        let mut reader = LayerReader::new("mobilevit_v1", 1000).unwrap();
        for (id, params, macs) in [("mobilevit_s", 5_578_632, 2_000_831_488), ("mobilevit_xxs", 1_272_024, 407_364_096)]
        {
            // Twice: from the graph, and from the cache.
            for _ in 0..2 {
                let stack = reader.read(&published(id, 256)).unwrap();
                assert_eq!((stack.cost.params, stack.cost.macs), (params, macs), "{id}");
                assert!(stack.rows.len() > 8);
            }
        }
        assert_eq!(reader.kind("stages.2.depth"), Some("depth"));
        assert_eq!(reader.kind("resolution"), Some("resolution"));
    }

    #[test]
    fn an_invalid_genome_has_no_layers() {
        assert!(LayerReader::new("no_family", 10).is_none());
        let mut reader = LayerReader::new("mobilevit_v1", 10).unwrap();
        let mut genome = published("mobilevit_s", 256);
        assert!(reader.read(&BTreeMap::new()).is_none());
        genome.insert("another".to_owned(), 1);
        assert!(reader.read(&genome).is_none());
        genome.remove("another");
        genome.insert(RESOLUTION.to_owned(), -1);
        assert!(reader.read(&genome).is_none());
    }
}
