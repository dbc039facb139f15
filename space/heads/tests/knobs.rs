//! Knobs of heads: part of a space's genomes, whose networks are slices of the largest one.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_heads::{HEADS, Head, HeadOptions, WithHead, head};
use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::{Graph, Op, SliceRule};
use mobilenas_space::{ChangeError, CostCache, PlanChange, Space, SpaceConfig, cost};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

fn with(head: &'static dyn Head) -> Arc<WithHead> {
    Arc::new(WithHead { head, options: HeadOptions { auxiliary: true, ..HeadOptions::new(7) } })
}

fn design(family: &str, knobs: &[(&str, &[i64])]) -> SpaceConfig {
    let resolution = [("resolution", &[128i64][..])];
    let knobs = resolution.iter().chain(knobs).map(|(k, all)| (k.to_string(), all.to_vec())).collect();
    SpaceConfig { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 7 }
}

fn space(family: &str, knobs: &[(&str, &[i64])], head: &'static dyn Head) -> Space {
    Space::changed(&design(family, knobs), with(head)).unwrap_or_else(|e| panic!("{family}: {e:?}"))
}

/// The knobs of a head, with two choices each.
fn knobs(head: &dyn Head) -> Vec<(String, &'static [i64])> {
    let width = (format!("{}.width", head.name()), &[32i64, 64][..]);
    let stride = (format!("{}.output_stride", head.name()), &[8i64, 16][..]);
    [Some(width), (!head.needs().output_strides.is_empty()).then_some(stride)].into_iter().flatten().collect()
}

fn is_slice(of: &SliceRule, one: &SliceRule) -> bool {
    match (of, one) {
        (SliceRule::Leading(a), SliceRule::Leading(b)) => {
            a.0.len() >= b.0.len() && a.0.iter().zip(&b.0).all(|(a, b)| a.count >= b.count && a.len >= b.len)
        }
        (SliceRule::Centre(a), SliceRule::Centre(b)) => a >= b,
        (a, b) => a.len() >= b.len(),
    }
}

fn tensors(graph: &Graph) -> BTreeMap<String, Vec<SliceRule>> {
    graph.params().into_iter().map(|p| (p.shared, p.axes)).collect()
}

#[test]
fn networks_of_every_choice_are_slices_of_the_largest() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for head in HEADS {
        let family = if head.needs().expanded { "mobilenet_v3" } else { "mobilevit_v2" };
        let named = knobs(*head);
        let mut listed: Vec<(&str, &[i64])> = named.iter().map(|(k, all)| (k.as_str(), *all)).collect();
        if family == "mobilenet_v3" {
            // Strides of its large network, so that there is a map at stride 32.
            listed.extend([("stages.0.stride", &[1i64][..]), ("stages.3.stride", &[2]), ("stages.4.stride", &[1])]);
            listed.push(("stages.5.depth", &[1, 2, 3]));
        }
        let space = space(family, &listed, *head);
        let (whole, mut cache) = (space.lower(&space.largest()).unwrap(), CostCache::new());
        let largest = tensors(&whole);
        let near = named.iter().map(|(name, _)| space.knobs().iter().position(|k| &k.name == name).unwrap());
        let near = near.map(|knob| space.domain().with(&space.largest(), knob, &space.smallest()));
        let random = (0..8).map(|_| space.sample(&mut rng));
        for (i, genome) in near.chain(random).chain([space.smallest()]).enumerate() {
            let (plan, what) = (space.plan(&genome).unwrap(), format!("{} {:?}", head.name(), space.values(&genome)));
            let graph = plan.lower().unwrap();
            assert!(i >= named.len() || graph.digest() != whole.digest(), "{what}: the knob makes a difference");
            assert_eq!(cache.cost(&plan).unwrap(), cost::graph(&graph), "{what}");
            for (name, axes) in tensors(&graph) {
                let of = largest.get(&name).unwrap_or_else(|| panic!("{what}: the largest has no {name}"));
                assert!(of.len() == axes.len() && of.iter().zip(&axes).all(|(a, b)| is_slice(a, b)), "{what}: {name}");
            }
            // A genome's file has its knobs.
            let config = space.config_of(&genome);
            let alone = Space::changed(&config, with(*head)).unwrap();
            assert_eq!(alone.lower(&alone.smallest()).unwrap().digest(), graph.digest(), "{what}");
            assert_eq!(space.genome(&space.values(&genome)).unwrap(), genome);
        }
    }
}

#[test]
fn an_output_stride_changes_maps_and_no_tensor() {
    let head = head("deeplabv3").unwrap();
    let space = space("mobilenet_v2", &[("deeplabv3.output_stride", &[16, 8])], head);
    let [small, large] = [space.smallest(), space.largest()].map(|g| space.values(&g)["deeplabv3.output_stride"]);
    assert_eq!([small, large], [16, 8], "a larger output stride is less work");
    let fine = space.largest();
    let coarse = space.domain().with(&fine, space.knobs().len() - 1, &space.smallest());
    let [fine, coarse] = [fine, coarse].map(|g| space.lower(&g).unwrap());
    assert_eq!(tensors(&fine), tensors(&coarse));
    assert!(cost::graph(&fine).macs > cost::graph(&coarse).macs);
    let most = |graph: &Graph| {
        let of = |op: &Op| if let Op::Conv { dilation, .. } = op { *dilation } else { 1 };
        graph.nodes.iter().map(|n| of(&n.op)).max()
    };
    assert_eq!([&fine, &coarse].map(most), [Some(36), Some(18)], "the rates of the pyramid");
}

#[test]
fn published_networks_are_points_of_the_space() {
    let head = head("deeplabv3").unwrap();
    let variant = |choices: &'static [i64]| {
        let family = families::family("mobilenet_v2").unwrap();
        let space = space(family.name(), &[("deeplabv3.width", choices), ("deeplabv3.output_stride", &[8, 16])], head);
        let values = space.values(&space.variant(family.variants()[0].id).unwrap());
        (values["deeplabv3.width"], values["deeplabv3.output_stride"])
    };
    // The head's own, or else the largest network's.
    assert_eq!(variant(&[256, 512, 1024]), (512, 16));
    assert_eq!(variant(&[32, 64]), (64, 16));
}

/// The first mistake of a space.
fn wrong(family: &str, knobs: &[(&str, &[i64])], head: &str) -> String {
    match Space::changed(&design(family, knobs), with(mobilenas_heads::head(head).unwrap())).unwrap_err() {
        ChangeError::Space(all) => all[0].to_string(),
        ChangeError::Unfit(e) => e.to_string(),
    }
}

#[test]
fn mistakes_are_named() {
    assert_eq!(
        wrong("mobilenet_v2", &[("deeplabv3.output_stride", &[8, 12])], "deeplabv3"),
        "knobs.deeplabv3.output_stride: found 12, expected one of [8, 16]"
    );
    assert_eq!(
        wrong("mobilenet_v2", &[("deeplabv3.width", &[0])], "deeplabv3"),
        "knobs.deeplabv3.width: found 0, expected a width of 1 to 8192"
    );
    assert_eq!(
        wrong("mobilenet_v2", &[("ssdlite.output_stride", &[8])], "ssdlite"),
        "knobs.ssdlite.output_stride: found an unknown knob, expected a knob of mobilenet_v2 or of ssdlite: ssdlite.width"
    );
    // The convolution before the classifier goes with it.
    assert_eq!(
        wrong("mobilevit_v1", &[("head.width", &[64, 128])], "deeplabv3"),
        "knobs.head.width: found several choices, expected one, as they make no difference with deeplabv3, whose knobs are \
         deeplabv3.width, deeplabv3.output_stride"
    );
    assert!(wrong("deit", &[], "ssdlite").starts_with("backbone: ssdlite got no feature maps"));
}

#[test]
fn no_family_has_a_knob_of_such_a_name() {
    let heads = HEADS.iter().flat_map(|h| with(*h).knobs());
    let heads: Vec<String> = heads.map(|k| k.name).collect();
    for family in FAMILIES {
        let template = family.template(family.variants()[0].id).unwrap();
        assert!(template.knobs().iter().all(|k| !heads.contains(&k.name)), "{}", family.name());
    }
}
