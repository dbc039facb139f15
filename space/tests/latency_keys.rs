//! Blocks as units of latency: keys, blocks as graphs of their own, and the blocks that a space can contain.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::{Graph, Op, Plan, fold_batch_norms};
use mobilenas_space::latency_key::{blocks, deployed, key};
use mobilenas_space::{Reachable, Space, SpaceConfig};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

fn variants() -> Vec<(&'static str, Plan)> {
    let ids = FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id);
    ids.map(|id| (id, families::plan(id, None, 1000).unwrap())).collect()
}

fn graph(id: &str) -> Graph {
    families::plan(id, None, 1000).unwrap().lower().unwrap()
}

fn space(family: &str, width: f64, knobs: &[(&str, &[i64])]) -> Space {
    let knobs: BTreeMap<String, Vec<i64>> = knobs.iter().map(|(k, v)| (k.to_string(), v.to_vec())).collect();
    Space::new(&SpaceConfig { family: family.into(), width, divisor: 8, knobs, classes: 10 }).unwrap()
}

#[test]
fn the_blocks_of_a_network_do_all_its_deployed_work() {
    for (id, plan) in variants() {
        let whole = plan.lower().unwrap();
        let works = |op: &Op| !matches!(op, Op::Dropout { .. } | Op::DropPath { .. } | Op::Input);
        let names = |g: &Graph| -> Vec<&str> {
            fold_batch_norms(g).graph.nodes.iter().filter(|n| works(&n.op)).map(|n| n.op.name()).collect()
        };
        let parts: Vec<&str> = blocks(&whole).iter().flat_map(&names).collect();
        assert_eq!(names(&whole), parts, "{id}: a batch norm is folded across two blocks");
    }
}

#[test]
fn a_block_extracted_from_a_network_is_the_block_built_alone() {
    for (id, plan) in variants() {
        let cut: Vec<String> = blocks(&plan.lower().unwrap()).iter().map(key).collect();
        let mut found = Vec::new();
        let mut cache = mobilenas_space::BlockCache::default();
        let compute = |block: &Graph| Ok::<_, mobilenas_space::ir::ShapeError>(key(block));
        cache.each(&plan, compute, |k| found.push(k)).unwrap();
        assert_eq!(cut, found, "{id}");
    }
}

#[test]
fn keys_are_readable_and_stay_as_they_are() {
    let of = |id: &str, i: usize| key(&blocks(&graph(id))[i]);
    // Latency tables on disk contain these: a change invalidates every existing table.
    let keys =
        [of("mobilenetv2_100", 0), of("mobilenetv2_100", 3), of("mobilevit_xxs", 6), of("efficientformerv2_s0", 2)];
    assert_eq!(
        keys,
        [
            "conv_unit.3x224x224.32x112x112.a3cb15ad2521d092",
            "inverted_residual.24x56x56.24x56x56.37b7f3b535aace83",
            "mobilevit_v1.48x32x32.48x32x32.d72bea8fb50eb1e3",
            "efficientformer_v2.32x56x56.32x56x56.d76dc45917de15fa",
        ]
    );
}

#[test]
fn the_same_work_has_one_key_and_other_work_another() {
    // The second and third of three equal blocks of a stage differ only in their names.
    let keys: Vec<String> = blocks(&graph("mobilenetv2_100")).iter().map(key).collect();
    assert_eq!(keys[5], keys[6], "stage 3 of MobileNetV2 repeats a block");
    assert_ne!(keys[4], keys[5], "its first block has a stride");
    // Blocks of EfficientFormerV2-L differ in their drop rates, which do not matter when deployed.
    let large = blocks(&graph("efficientformerv2_l"));
    let of_kind = large.iter().filter(|b| b.blocks[0].kind == "efficientformer_v2").count();
    let distinct: BTreeSet<String> =
        large.iter().filter(|b| b.blocks[0].kind == "efficientformer_v2").map(key).collect();
    assert!(distinct.len() < of_kind / 2, "{} of {of_kind}", distinct.len());
    // Two networks share a stem, but not the block after it, which is wider in one of them.
    let lines = |id, i| deployed(&blocks(&graph(id))[i]).join("\n");
    assert_eq!(lines("mobilevit_xxs", 0), lines("mobilevit_s", 0));
    assert_ne!(lines("mobilevit_xxs", 1), lines("mobilevit_s", 1));
    assert!(lines("mobilenetv2_100", 0).contains("act relu6"));
}

#[test]
fn every_block_of_a_space_is_found() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for family in FAMILIES {
        let space = space(family.name(), 0.25, &[]);
        let mut found = Reachable::of(&space, 100_000, &mut rng).unwrap();
        let n = found.blocks().len();
        assert!(found.complete, "{}: {n} blocks", family.name());
        let distinct: BTreeSet<&String> = found.blocks().iter().map(|(k, _)| k).collect();
        assert_eq!(distinct.len(), n);
        for _ in 0..4_000.min(space.size() as usize) {
            found.add(&space, &space.sample(&mut rng)).unwrap();
        }
        assert_eq!(found.blocks().len(), n, "{}: random genomes hold further blocks", family.name());
        for (k, alone) in found.blocks() {
            assert_eq!(*k, key(alone));
        }
    }
}

#[test]
fn a_small_space_by_brute_force() {
    let space = space(
        "mobilevit_v1",
        0.25,
        &[
            ("resolution", &[24, 32]),
            ("stem.stride", &[2]),
            ("stages.3.stride", &[1]),
            ("stages.2.width", &[16]),
            ("stages.3.width", &[24]),
            ("stages.4.width", &[24]),
            ("stages.2.dim", &[16, 24]),
            ("stages.3.dim", &[24]),
            ("stages.4.dim", &[24]),
            ("stages.0.width", &[8]),
            ("stages.1.width", &[8]),
            ("head.width", &[80]),
            ("stages.3.patch", &[1]),
            ("stages.4.patch", &[1, 2]),
            ("stages.2.mlp", &[2]),
            ("stages.3.mlp", &[2]),
            ("stages.4.mlp", &[2]),
            ("stages.0.expand", &[2]),
            ("stages.1.expand", &[2]),
            ("stages.2.expand", &[2]),
            ("stages.3.expand", &[2, 4]),
            ("stages.4.expand", &[2]),
        ],
    );
    let (mut all, domain) = (BTreeSet::new(), space.domain());
    assert!(space.size() < 20_000.0, "{}", space.size());
    for n in 0..space.size() as u64 {
        let (mut rest, mut choices) = (n, Vec::new());
        for c in domain.counts() {
            choices.push((rest % u64::from(*c)) as u8);
            rest /= u64::from(*c);
        }
        let whole = space.lower(&domain.genome(choices).unwrap()).unwrap();
        all.extend(blocks(&whole).iter().map(key));
    }
    let found = Reachable::of(&space, 10_000, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
    let keys: BTreeSet<String> = found.blocks().iter().map(|(k, _)| k.clone()).collect();
    assert!(found.complete);
    assert_eq!(keys, all);
}

#[test]
fn too_many_blocks_are_those_of_whole_genomes() {
    let space = space("mobilevit_v1", 0.25, &[]);
    let some = Reachable::of(&space, 100, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    assert!(!some.complete);
    assert!((20..=100).contains(&some.blocks().len()), "{}", some.blocks().len());
}
