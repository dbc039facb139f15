//! Few networks that together have every operation there is, for tests of how operations are read: what repeats them in
//! another order tells such a test nothing new. With `MOBILENAS_TEST_ALL` set they are all networks there are.
#![allow(dead_code, clippy::unwrap_used, reason = "each test takes what it needs")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use mobilenas_space::families::{self, FAMILIES, Family, VariantInfo};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Space, SpaceConfig, SpaceKnob};

type Published = (&'static dyn Family, VariantInfo);

/// Whether all networks are wanted.
fn whole() -> bool {
    std::env::var_os("MOBILENAS_TEST_ALL").is_some_and(|set| !set.is_empty())
}

/// The space of a family at a quarter of its width, for small images, its stages one or two steps deep: more of the same
/// blocks would tell a test nothing new.
pub fn small(family: &str, classes: u32) -> Space {
    let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
    let design = SpaceConfig { family: family.into(), width: 0.25, divisor: 8, knobs, classes };
    let space = Space::new(&design).unwrap();
    if whole() {
        return space;
    }
    let deep = space.knobs().iter().filter(|k| k.name.ends_with("depth"));
    let two = |k: &SpaceKnob| (k.name.clone(), k.choices.iter().take(2).map(|&c| i64::from(c)).collect());
    let knobs = deep.map(two).chain(design.knobs.clone()).collect();
    Space::new(&SpaceConfig { knobs, ..design }).unwrap()
}

/// Families whose smallest and largest networks have every operation.
pub fn families() -> &'static [&'static dyn Family] {
    static CHOSEN: LazyLock<Vec<&'static dyn Family>> = LazyLock::new(|| {
        let operations = |family: &&'static dyn Family| {
            let space = small(family.name(), 7);
            let graphs = [space.smallest(), space.largest()].map(|g| space.lower(&g).unwrap());
            (graphs.iter().flat_map(operations).collect(), graphs.iter().map(|g| g.nodes.len()).sum())
        };
        covering(FAMILIES.to_vec(), operations)
    });
    &CHOSEN
}

/// Published networks that have every operation of all of them.
pub fn variants() -> &'static [Published] {
    static CHOSEN: LazyLock<Vec<Published>> = LazyLock::new(|| {
        let all = FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (*f, v)));
        covering(all.collect(), |(_, v)| {
            let graph = families::plan(v.id, None, 10).unwrap().lower().unwrap();
            (operations(&graph), graph.nodes.len())
        })
    });
    &CHOSEN
}

/// The operations of a graph with their settings; of numbers it matters whether they are 0, 1 or more.
fn operations(graph: &Graph) -> BTreeSet<String> {
    let class = |number: &str| if number.len() == 1 && number < "2" { number.to_string() } else { "n".to_string() };
    let one = |text: String| -> String {
        let runs = text.split_inclusive(|c: char| !c.is_ascii_digit());
        let run = |run: &str| match run.find(|c: char| !c.is_ascii_digit()) {
            Some(0) => run.to_string(),
            Some(end) => class(&run[..end]) + &run[end..],
            None => class(run),
        };
        runs.map(run).collect()
    };
    graph.nodes.iter().map(|node| one(format!("{:?}", node.op))).collect()
}

/// A greedy set cover: takes the network with the most new operations per node until none is new, then drops those whose
/// operations the others have too. In the order of all.
fn covering<T>(all: Vec<T>, operations: impl Fn(&T) -> (BTreeSet<String>, usize)) -> Vec<T> {
    if whole() {
        return all;
    }
    let own: Vec<(BTreeSet<String>, usize)> = all.iter().map(operations).collect();
    let (mut seen, mut taken) = (BTreeSet::<&String>::new(), Vec::new());
    loop {
        // Operations for a million nodes: whole numbers compare exactly.
        let new = |i: &usize| 1_000_000 * own[*i].0.iter().filter(|op| !seen.contains(op)).count() / own[*i].1;
        let Some(best) = (0..own.len()).rev().max_by_key(new).filter(|i| new(i) > 0) else { break };
        seen.extend(&own[best].0);
        taken.push(best);
    }
    let of = |places: &mut dyn Iterator<Item = usize>| places.flat_map(|i| &own[i].0).collect::<BTreeSet<_>>().len();
    let mut kept = taken.clone();
    for i in taken {
        if of(&mut kept.iter().copied().filter(|k| *k != i)) == seen.len() {
            kept.retain(|k| *k != i);
        }
    }
    all.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, one)| one).collect()
}
