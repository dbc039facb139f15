//! Mask R-CNN against its reference: parameters, names and shapes of all tensors, sizes of all maps.

#[path = "common/rcnn.rs"]
mod rcnn;

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_heads::{HeadNaming, HeadOptions, attach, head, level_sizes};
use mobilenas_space::families::{self, Translate as _};
use mobilenas_space::ir::{Graph, Op};
use mobilenas_space::{cost, memory};

use crate::names::official;

fn published(model: &str) -> Graph {
    let (head, backbone) = (head("mask_rcnn").unwrap(), families::plan(model, Some(800), 1000).unwrap());
    attach(head, backbone, &HeadOptions::new(head.classes())).unwrap().lower().unwrap()
}

/// With tables for 800 pixels; by the reference's formula.
const PARAMS: [(&str, u64); 7] = [
    ("efficientformerv2_s0", 23_278_144),
    ("efficientformerv2_s1", 25_785_784),
    ("efficientformerv2_s2", 32_227_264),
    ("efficientformerv2_l", 45_708_688),
    ("efficientformer_l1", 31_511_432),
    ("efficientformer_l3", 50_566_864),
    ("efficientformer_l7", 101_003_440),
];

#[test]
fn networks_have_the_published_parameters() {
    for (model, params) in PARAMS {
        let graph = published(model);
        assert_eq!(cost::graph(&graph).params, params, "{model}");
        let trainable = graph.params().iter().filter(|p| p.role.trainable()).map(|p| p.elements()).sum::<u64>();
        assert_eq!(trainable, params, "{model}: each tensor is told once");
    }
}

#[test]
fn every_tensor_has_its_published_name_and_shape() {
    for g in rcnn::goldens() {
        let graph = rcnn::graph(&g);
        let ours: BTreeMap<String, Vec<i64>> = graph.params().iter().map(|p| (p.name.clone(), p.shape())).collect();
        let theirs: BTreeMap<String, Vec<i64>> = serde_json::from_value(g["state_dict"].clone()).unwrap();
        assert_eq!(ours, theirs, "{}", g["case"]);
        assert_eq!(cost::graph(&graph).params, g["params"].as_u64().unwrap(), "{}", g["case"]);
        for output in &graph.outputs {
            let shape: Vec<u32> = serde_json::from_value(g["outputs"][output.name]["shape"].clone()).unwrap();
            let dims = &graph.nodes[output.node].value.dims;
            assert_eq!(dims[..], shape[shape.len() - dims.len()..], "{}: {}", g["case"], output.name);
        }
    }
}

/// By hand, from the sizes of the maps: layers of all levels, and of so many regions.
#[test]
fn regions_cost_as_often_as_there_are_regions() {
    let graph = published("efficientformerv2_s0");
    let levels = [200u32, 100, 50, 25, 13];
    assert_eq!(level_sizes(&graph), levels.map(|n| (n, n)));
    let macs = |path: &str| -> u64 {
        let costs = graph.blocks.iter().zip(cost::blocks(&graph)).filter(|(b, _)| b.path.to_string().starts_with(path));
        costs.map(|(_, c)| c.macs).sum()
    };
    let positions: u64 = levels.iter().map(|n| u64::from(n * n)).sum();
    assert_eq!(macs("rpn_head"), positions * (9 * 256 * 256 + 15 * 256));
    assert_eq!(macs("roi_head.bbox_head"), 1000 * (12_544 * 1024 + 1024 * 1024 + 1024 * (81 + 320)));
    let mask = 4 * 196 * 9 * 256 * 256 + 784 * 256 * 256 + 784 * 256 * 80;
    assert_eq!(macs("roi_head.mask_head"), 100 * mask);
    // The features of a thousand regions and what the first layer makes of them are alive at once.
    assert!(memory(&graph).activations > 1000 * (12_544 + 1024));
    let cut = graph.nodes.iter().filter(|n| matches!(n.op, Op::Regions { .. }));
    assert_eq!(cut.map(|n| n.value.windows).collect::<Vec<_>>(), [1000, 100]);
}

#[test]
fn checkpoints_of_mmdetection_are_read() {
    for model in ["efficientformerv2_s0", "efficientformer_l1"] {
        let g = rcnn::goldens().into_iter().find(|g| g["model"] == model).unwrap();
        let names: BTreeSet<String> = rcnn::graph(&g).params().into_iter().map(|p| p.name).collect();
        let theirs: BTreeMap<String, String> =
            official(model).into_iter().map(|(theirs, ours)| (ours, theirs)).collect();
        let (family, _) = families::variant(model).unwrap();
        let ways = HeadNaming::all(family.namings(), &theirs.keys().cloned().collect());
        let mut checkpoint = BTreeMap::new();
        for ours in names.iter().filter(|n| !n.ends_with("attention_bias_idxs")) {
            let own = ours.strip_prefix("backbone.").filter(|own| !own.starts_with("norm"));
            let of_snap = |own: &str| theirs[own].replace("attention_biases", "attention_biases_seg");
            checkpoint.insert(own.map_or(ours.clone(), |own| format!("backbone.{}", of_snap(own))), ours.clone());
        }
        assert!(checkpoint.contains_key("roi_head.bbox_head.shared_fcs.0.weight"));
        assert!(checkpoint.contains_key("neck.lateral_convs.3.conv.bias"));
        let reads = |way: &&HeadNaming| {
            checkpoint.iter().all(|(theirs, ours)| way.translate(theirs).as_deref() == Some(ours.as_str()))
        };
        assert!(ways.iter().any(|way| reads(&way) && !way.is_backbone()), "{model}");
    }
}
