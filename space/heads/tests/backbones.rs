//! Feature maps of every family against timm's, and every head on every family and on random genomes.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_heads::{HEADS, Head, HeadOptions, attach};
use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::{Graph, Op, Plan, ShapeError};
use mobilenas_space::latency_key::{blocks, key};
use mobilenas_space::{BlockCache, CostCache, Space, SpaceConfig, cost, memory};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde_json::Value;

/// Where timm taps another place, and why ours is not that.
const OTHERS: [(&str, &str); 2] = [
    ("mobilevit_", "timm takes the 1x1 convolution after the last stage, which the heads of ml-cvnets drop"),
    ("ghostnet", "timm takes the first blocks of two stages, and none after blocks.7"),
];

#[test]
fn feature_maps_are_those_of_timm() {
    let timm: Value = serde_json::from_str(include_str!("features.json")).unwrap();
    let mut compared = BTreeSet::new();
    for v in FAMILIES.iter().flat_map(|f| f.variants()) {
        let Some(theirs) = timm[v.id].as_array() else { continue };
        let (_, features) = families::plan(v.id, Some(256), 10).unwrap().into_backbone("backbone", None).unwrap();
        let ours: Vec<(u32, u32)> = features.iter().map(|f| (f.value.channels(), f.stride)).collect();
        let theirs = theirs.iter().map(|f| [0, 1].map(|i| f[i].as_u64().unwrap() as u32));
        // At stride 2 timm often names the stem, which no head reads.
        let theirs: Vec<(u32, u32)> = theirs.map(|[channels, stride]| (channels, stride)).filter(|f| f.1 > 2).collect();
        let differs = ours.iter().filter(|f| f.1 > 2).copied().collect::<Vec<_>>() != theirs;
        let other = OTHERS.iter().any(|(name, _)| v.id.starts_with(name));
        assert_eq!(differs, other, "{}: {ours:?}, timm {theirs:?}", v.id);
        compared.insert(v.id);
    }
    assert_eq!(compared.len(), timm.as_object().unwrap().len());
}

fn options(head: &dyn Head) -> HeadOptions {
    HeadOptions { auxiliary: true, ..HeadOptions::new(head.classes()) }
}

/// All readings of a network: those that go block by block agree with those of the whole.
fn check(name: &str, plan: &Plan) {
    let graph = plan.lower().unwrap();
    assert_eq!(CostCache::new().cost(plan).unwrap(), cost::graph(&graph), "{name}");
    let cut: Vec<String> = blocks(&graph).iter().map(key).collect();
    let (mut found, mut cache) = (Vec::new(), BlockCache::default());
    cache.each(plan, |block: &Graph| Ok::<_, ShapeError>(key(block)), |k| found.push(k)).unwrap();
    assert_eq!(cut, found, "{name}");
    let names: BTreeSet<String> = graph.params().into_iter().map(|p| p.name).collect();
    assert_eq!(names.len(), graph.params().len(), "{name}: a name occurs twice");
    assert!(memory(&graph).activations > 0);
}

/// Checks a network with a head if there is one: whether there is. A head refuses a backbone that lacks a map it reads. Not
/// every block can be dilated, either: patches that do not overlap cannot, and tables of attention biases, whose size the
/// family gives, do not follow.
fn fits(name: &str, head: &dyn Head, network: Plan) -> bool {
    let has_tables = network.lower().unwrap().nodes.iter().any(|n| matches!(n.op, Op::BiasTable { .. }));
    match attach(head, network, &options(head)).and_then(|p| p.lower().map(|_| p)) {
        Ok(plan) => {
            check(&format!("{name} with {}", head.name()), &plan);
            true
        }
        Err(e) => {
            let lacks_a_map = e.op == head.name() && e.expected.starts_with("one at stride");
            let expands_none = e.op == head.name() && e.expected.starts_with("a block with a stride");
            let keeps_its_stride = has_tables || e.expected.ends_with("a form without its stride");
            let dilates_none = head.needs().output_stride.is_some() && keeps_its_stride;
            assert!(lacks_a_map || expands_none || dilates_none, "{name} with {}: {e}", head.name());
            false
        }
    }
}

#[test]
fn every_head_fits_every_family_whose_maps_it_reads() {
    let mut unfit: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for family in FAMILIES {
        let id = family.variants()[0].id;
        for head in HEADS.iter().filter(|h| !fits(id, **h, families::plan(id, Some(256), 10).unwrap())) {
            unfit.entry(head.name()).or_default().push(id);
        }
    }
    let without_stride_4 = ["shvit_s1", "levit_conv_128s", "levit_conv_192", "deit_tiny_patch16_224"];
    assert!(without_stride_4.iter().all(|id| unfit["semantic_fpn"].contains(id)), "{unfit:?}");
    assert!(["deeplabv3", "pspnet"].iter().all(|head| unfit[head].contains(&"efficientformer_l1")), "{unfit:?}");
    assert!(unfit["ssdlite"].contains(&"deit_tiny_patch16_224"), "{unfit:?}");
    let with_expansion = ["mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0", "mobilevit_xxs"];
    assert!(with_expansion.iter().all(|id| !unfit["ssdlite320"].contains(id)), "{unfit:?}");
    let mut reading_maps = HEADS.iter().filter(|h| !h.needs().expanded);
    assert!(reading_maps.all(|h| 3 * unfit[h.name()].len() <= FAMILIES.len()), "{unfit:?}");
}

#[test]
fn heads_fit_random_genomes() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut fit, mut all) = (0, 0);
    for family in FAMILIES {
        let knobs = BTreeMap::from([("resolution".to_string(), vec![256])]);
        let config = SpaceConfig { family: family.name().into(), width: 0.5, divisor: 8, knobs, classes: 10 };
        let space = Space::new(&config).unwrap();
        for head in HEADS.iter().filter(|h| !h.needs().expanded) {
            fit += usize::from(fits(family.name(), *head, space.plan(&space.sample(&mut rng)).unwrap()));
            all += 1;
        }
    }
    assert!(3 * fit >= 2 * all, "{fit} of {all}");
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |head: &str, id: &str, output_stride| {
        let head = mobilenas_heads::head(head).unwrap();
        let options = HeadOptions { output_stride, ..options(head) };
        attach(head, families::plan(id, Some(256), 10).unwrap(), &options).unwrap_err().to_string()
    };
    assert_eq!(
        said("semantic_fpn", "levit_conv_128s", None),
        "backbone: semantic_fpn got feature maps at strides 16, 32, 64, expected one at stride 4"
    );
    assert_eq!(
        said("deeplabv3", "mobilenetv2_100", Some(4)),
        "backbone: deeplabv3 got an output stride of 4, expected one of [8, 16]"
    );
    assert_eq!(
        said("ssdlite", "mobilenetv2_100", Some(16)),
        "backbone: ssdlite got an output stride of 16, expected none: it reads the backbone as it is"
    );
}
