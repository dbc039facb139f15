//! Every family as a space: each genome lowers to a graph, costs what its graph costs, and uses slices of the largest
//! network's tensors; each published network is a genome.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_space::families::{self, FAMILIES, Family, KnobKind};
use mobilenas_space::ir::{Graph, Op, ParamSpec, Role, SliceRule};
use mobilenas_space::{CostCache, Genome, Space, SpaceConfig, SpaceKnob, cost};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const CLASSES: u32 = 10;
const GENOMES: usize = 100;

fn space(family: &dyn Family, width: f64, resolutions: &[i64]) -> Space {
    let mut knobs = BTreeMap::new();
    if !resolutions.is_empty() {
        knobs.insert("resolution".to_string(), resolutions.to_vec());
    }
    let design = SpaceConfig { family: family.name().to_string(), width, divisor: 8, knobs, classes: CLASSES };
    Space::new(&design).unwrap_or_else(|e| panic!("{}: {e:?}", family.name()))
}

/// Whether one axis is a slice of another.
fn cuts(from: &SliceRule, to: &SliceRule) -> bool {
    match (from, to) {
        (SliceRule::Leading(a), SliceRule::Leading(b)) => {
            a.0.len() >= b.0.len() && a.0.iter().zip(&b.0).all(|(a, b)| a.count >= b.count && a.len >= b.len)
        }
        (SliceRule::Centre(a), SliceRule::Centre(b)) => a >= b && (a - b) % 2 == 0,
        (SliceRule::Whole(a), SliceRule::Whole(b)) => a == b,
        (SliceRule::Table { h, w }, SliceRule::Table { h: h2, w: w2 }) => h >= h2 && w >= w2,
        _ => false,
    }
}

fn by_shared_name(graph: &Graph) -> BTreeMap<String, ParamSpec> {
    let all = graph.params();
    let count = all.len();
    let map: BTreeMap<String, ParamSpec> = all.into_iter().map(|p| (p.shared.clone(), p)).collect();
    assert_eq!(map.len(), count, "two tensors share a name in the supernet");
    map
}

/// The largest network has every tensor of a smaller one. Tables of indices are computed, not shared.
fn assert_covered(what: &str, largest: &BTreeMap<String, ParamSpec>, graph: &Graph) {
    for (name, p) in by_shared_name(graph) {
        let whole = largest.get(&name).unwrap_or_else(|| panic!("{what}: the largest has no {name}"));
        if p.role == Role::Index {
            continue;
        }
        let fits = whole.axes.len() == p.axes.len() && whole.axes.iter().zip(&p.axes).all(|(from, to)| cuts(from, to));
        assert!(fits, "{what}: {name} of {:?} is not a slice of {:?}", p.axes, whole.axes);
    }
}

fn names_are_unique(graph: &Graph) -> bool {
    let names: Vec<String> = graph.params().into_iter().map(|p| p.name).collect();
    names.iter().collect::<BTreeSet<_>>().len() == names.len()
}

fn check(space: &Space, genomes: usize, seed: u64) {
    let name = space.family().name();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut cache = CostCache::new();
    let largest = by_shared_name(&space.lower(&space.largest()).unwrap());
    let ends = [space.smallest(), space.largest()];
    let some = genomes.min(space.size() as usize);
    let random: Vec<Genome> = (0..some).map(|_| space.sample(&mut rng)).collect();
    for genome in ends.iter().chain(&random) {
        let what = || format!("{name} {:?}", space.values(genome));
        let plan = space.plan(genome).unwrap_or_else(|e| panic!("{}: {e}", what()));
        let graph = plan.lower().unwrap_or_else(|e| panic!("{}: {e}", what()));
        assert_eq!(cache.cost(&plan).unwrap(), cost::graph(&graph), "{}", what());
        assert_eq!(graph.output_value().dims.as_slice(), [CLASSES], "{}", what());
        assert!(names_are_unique(&graph), "{}: a name occurs twice", what());
        assert_covered(&what(), &largest, &graph);
    }
}

#[test]
fn genomes_use_slices_of_the_largest_network() {
    for family in FAMILIES {
        check(&space(*family, 1.0, &[]), GENOMES, 1);
    }
}

#[test]
fn so_do_those_of_narrower_and_wider_spaces() {
    for family in FAMILIES {
        for width in [0.25, 0.5, 1.5] {
            check(&space(*family, width, &[]), 20, 2);
        }
    }
}

#[test]
fn so_do_those_of_other_resolutions() {
    // Position embeddings and vectors for rows and columns are for one resolution.
    let fixed =
        |f: &str| ["deit", "cait", "convit", "pit", "botnet", "crossvit"].iter().any(|name| f.starts_with(name));
    for family in FAMILIES.iter().filter(|f| !fixed(f.name())) {
        check(&space(*family, 1.0, &[32, 100, 160, 224, 256]), 30, 3);
    }
}

#[test]
fn so_do_those_with_fewer_heads() {
    for family in FAMILIES {
        let published = space(*family, 1.0, &[]);
        let heads = published.knobs().iter().filter(|k| k.kind == KnobKind::Heads);
        let most = |k: &SpaceKnob| k.choices.iter().max().copied().map_or(1, i64::from);
        let knobs: BTreeMap<String, Vec<i64>> =
            heads.map(|k| (k.name.clone(), BTreeSet::from([1, 2, most(k)]).into_iter().collect())).collect();
        let design = SpaceConfig { family: family.name().to_string(), width: 1.0, divisor: 8, knobs, classes: CLASSES };
        check(&Space::new(&design).unwrap(), 20, 4);
    }
}

#[test]
fn every_published_network_is_a_genome_of_its_space() {
    for family in FAMILIES {
        for v in family.variants() {
            let space = space(*family, 1.0, &[i64::from(v.resolution)]);
            let genome = space.variant(v.id).unwrap_or_else(|e| panic!("{}: {e}", v.id));
            let own = families::plan(v.id, None, CLASSES).unwrap().lower().unwrap();
            assert_eq!(space.lower(&genome).unwrap().digest(), own.digest(), "{}", v.id);
        }
    }
}

#[test]
fn the_config_of_a_genome_rebuilds_its_network() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for family in FAMILIES {
        let space = space(*family, 0.5, &[]);
        for genome in (0..20).map(|_| space.sample(&mut rng)) {
            let config = space.config_of(&genome);
            let alone = Space::new(&config).unwrap_or_else(|e| panic!("{config:?}: {e:?}"));
            assert_eq!(alone.size(), 1.0);
            let same = alone.lower(&alone.smallest()).unwrap().digest();
            assert_eq!(same, space.lower(&genome).unwrap().digest(), "{config:?}");
        }
    }
}

#[test]
fn every_knob_changes_some_network() {
    for family in FAMILIES {
        let space = space(*family, 1.0, &[]);
        let largest = space.largest();
        let digest = space.lower(&largest).unwrap().digest();
        for (i, knob) in space.knobs().iter().enumerate().filter(|(_, k)| k.choices.len() > 1) {
            let other = space.domain().with(&largest, i, &space.smallest());
            let differs = space.lower(&other).unwrap().digest() != digest;
            assert!(differs, "{}: {} makes no difference", family.name(), knob.name);
        }
    }
}

#[test]
fn names_are_unique_among_families_and_variants() {
    let families: Vec<&str> = FAMILIES.iter().map(|f| f.name()).collect();
    let variants: Vec<&str> = FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id).collect();
    for names in [families, variants] {
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }
}

/// The widths include every number of channels that a batch norm has in some genome.
#[test]
fn widths_hold_those_of_every_genome() {
    for family in FAMILIES {
        let space = space(*family, 0.25, &[]);
        let widths = mobilenas_space::widths(&space, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..GENOMES {
            let graph = space.lower(&space.sample(&mut rng)).unwrap();
            for node in graph.nodes.iter().filter(|n| n.op == Op::BatchNorm) {
                let known = &widths[&node.shared.to_string()];
                let (at, n) = (&node.shared, node.value.channels());
                assert!(known.contains(&n), "{}: {at} has {n} channels, not in {known:?}", family.name());
            }
        }
    }
}
