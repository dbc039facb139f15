//! Few networks that together have every operation there is, for tests of how operations are read: what repeats them in
//! another order tells such a test nothing new. With `MOBILENAS_TEST_ALL` set they are all networks there are.
#![allow(dead_code, clippy::unwrap_used, reason = "each test takes what it needs")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use mobilenas_space::families::{self, FAMILIES, Family, VariantInfo};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Space, SpaceConfig};

type Published = (&'static dyn Family, VariantInfo);

/// Families whose smallest and largest networks have every operation.
pub fn families() -> &'static [&'static dyn Family] {
    static CHOSEN: LazyLock<Vec<&'static dyn Family>> = LazyLock::new(|| {
        let operations = |family: &&'static dyn Family| {
            let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
            let design = SpaceConfig { family: family.name().into(), width: 0.25, divisor: 8, knobs, classes: 7 };
            let space = Space::new(&design).unwrap();
            [space.smallest(), space.largest()].iter().flat_map(|g| operations(&space.lower(g).unwrap())).collect()
        };
        covering(FAMILIES.to_vec(), operations)
    });
    &CHOSEN
}

/// Published networks that have every operation of all of them.
pub fn variants() -> &'static [Published] {
    static CHOSEN: LazyLock<Vec<Published>> = LazyLock::new(|| {
        let all = FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (*f, v)));
        covering(all.collect(), |(_, v)| operations(&families::plan(v.id, None, 10).unwrap().lower().unwrap()))
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

/// Takes what has the most operations that nothing taken before has, until none is new; in the order of all.
fn covering<T>(all: Vec<T>, operations: impl Fn(&T) -> BTreeSet<String>) -> Vec<T> {
    if std::env::var_os("MOBILENAS_TEST_ALL").is_some_and(|set| !set.is_empty()) {
        return all;
    }
    let own: Vec<BTreeSet<String>> = all.iter().map(operations).collect();
    let (mut seen, mut taken) = (BTreeSet::<&String>::new(), BTreeSet::new());
    loop {
        let new = |i: &usize| own[*i].iter().filter(|op| !seen.contains(op)).count();
        let Some(best) = (0..own.len()).rev().max_by_key(new).filter(|i| new(i) > 0) else { break };
        seen.extend(&own[best]);
        taken.insert(best);
    }
    all.into_iter().enumerate().filter(|(i, _)| taken.contains(i)).map(|(_, one)| one).collect()
}
