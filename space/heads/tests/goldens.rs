//! Networks with heads against their references: parameters, MACs, names and shapes of all tensors, sizes of all maps.

use crate::common;

use std::collections::BTreeMap;

use common::{goldens, name_in, plan};
use mobilenas_space::cost;

#[test]
fn every_network_costs_what_its_reference_costs() {
    let mut compared = 0;
    for g in goldens() {
        let graph = plan(&g, false).lower().unwrap();
        let found = cost::graph(&graph);
        let expected = [&g["params"], &g["macs_batch1"]].map(|v| v.as_u64().unwrap());
        assert_eq!([found.params, found.macs], expected, "{}: parameters and MACs", g["case"]);
        if let Some(auxiliary) = g["params_aux_head"].as_u64() {
            let with = cost::graph(&plan(&g, true).lower().unwrap());
            assert_eq!(with.params - found.params, auxiliary, "{}: auxiliary head", g["case"]);
        }
        compared += 1;
    }
    assert_eq!(compared, 35);
}

#[test]
fn every_tensor_has_its_published_name_and_shape() {
    for g in goldens() {
        let graph = plan(&g, true).lower().unwrap();
        let params = graph.params();
        let ours: BTreeMap<String, Vec<i64>> = params.iter().map(|p| (name_in(&g, &p.name), p.shape())).collect();
        assert_eq!(ours.len(), params.len(), "{}: a name occurs twice", g["case"]);
        let theirs = g["state_dict"].as_object().unwrap();
        for (name, shape) in theirs {
            let shape: Vec<i64> = serde_json::from_value(shape.clone()).unwrap();
            assert_eq!(ours.get(name), Some(&shape), "{}: {name}", g["case"]);
        }
        assert_eq!(ours.len(), theirs.len(), "{}", g["case"]);
    }
}

#[test]
fn outputs_have_the_sizes_of_the_reference() {
    for g in goldens() {
        let graph = plan(&g, true).lower().unwrap();
        for output in &graph.outputs {
            let key = if output.name == "auxiliary" { "aux" } else { output.name };
            let shape: Vec<u32> = serde_json::from_value(g["outputs"][key]["shape"].clone()).unwrap();
            assert_eq!(graph.nodes[output.node].value.dims[..], shape[1..], "{}: {key}", g["case"]);
        }
        if g["head"].as_str().unwrap().starts_with("ssdlite") {
            let maps = &g["outputs"]["maps"];
            let named = ["os_16", "os_32", "os_64", "os_128", "os_256", "os_-1"].into_iter().map(|key| &maps[key]);
            let all = maps.as_array().map_or_else(|| named.collect::<Vec<_>>(), |all| all.iter().collect());
            let size = |map: &&serde_json::Value| map["shape"][2].as_u64().unwrap() as u32;
            let sizes: Vec<(u32, u32)> = all.iter().map(size).map(|s| (s, s)).collect();
            assert_eq!(mobilenas_heads::map_sizes(&graph), sizes, "{}", g["case"]);
        }
    }
}
