//! Every published variant against its reference implementation: parameters, MACs, names and shapes of all tensors.

use std::collections::BTreeMap;
use std::io::Write as _;

use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::Graph;
use mobilenas_space::{CostCache, Fnv, cost};
use serde_json::Value;

fn goldens() -> Vec<Value> {
    let text = include_str!("goldens.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all["goldens"].as_array().unwrap().clone()
}

fn lower(id: &str, resolution: u32) -> Graph {
    families::plan(id, Some(resolution), 1000).unwrap().lower().unwrap()
}

#[test]
fn every_variant_costs_what_its_reference_costs() {
    let goldens = goldens();
    let mut wrong = Vec::new();
    for id in FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id) {
        let own: Vec<&Value> = goldens.iter().filter(|g| g["model"] == id).collect();
        assert!(!own.is_empty(), "no golden for {id}");
        for g in own {
            let resolution = g["resolution"].as_u64().unwrap() as u32;
            let ours = cost::graph(&lower(id, resolution));
            let (params, macs) = (g["params"].as_u64().unwrap(), g["macs_batch1"].as_u64().unwrap());
            // Written past the capture of test output, so that everyone sees it.
            let _ = writeln!(
                std::io::stderr(),
                "{id}@{resolution}: params {} reference {params} difference {}; MACs {} reference {macs} difference {}",
                ours.params,
                ours.params as i64 - params as i64,
                ours.macs,
                ours.macs as i64 - macs as i64
            );
            if (ours.params, ours.macs) != (params, macs) {
                wrong.push(format!("{id}@{resolution}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not exact: {wrong:?}");
}

#[test]
fn every_tensor_has_its_published_name_and_shape() {
    let goldens = goldens();
    for g in goldens.iter().filter(|g| families::variant(g["model"].as_str().unwrap()).is_some()) {
        let id = g["model"].as_str().unwrap();
        let graph = lower(id, g["resolution"].as_u64().unwrap() as u32);
        let ours: BTreeMap<String, Vec<i64>> =
            graph.params().into_iter().map(|p| (p.name.clone(), p.shape())).collect();
        assert_eq!(ours.len(), graph.params().len(), "{id}: a name occurs twice");
        if let Some(digest) = g["state_dict_digest"].as_str() {
            let sizes = |shape: &[i64]| shape.iter().map(|d| format!(" {d}")).collect::<String>();
            let lines: String = ours.iter().map(|(name, shape)| format!("{name}{}\n", sizes(shape))).collect();
            assert_eq!(format!("{:016x}", Fnv::hash(lines.as_bytes())), digest, "{id}: names or shapes of tensors");
            continue;
        }
        let theirs: BTreeMap<String, Vec<i64>> = g["state_dict"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), v.as_array().unwrap().iter().map(|d| d.as_i64().unwrap()).collect()))
            .collect();
        for (name, shape) in &theirs {
            assert_eq!(ours.get(name), Some(shape), "{id}: {name}");
        }
        for name in ours.keys() {
            assert!(theirs.contains_key(name), "{id}: {name} is not in the reference");
        }
    }
}

/// Goldens that the reference made with its preprocessing.
#[test]
fn images_are_made_as_the_reference_makes_them() {
    let mut compared = 0;
    for g in goldens().iter().filter(|g| g["preprocessing"]["crop_pct"].is_number()) {
        let id = g["model"].as_str().unwrap();
        let (ours, theirs) = (families::variant(id).unwrap().1.preprocessing, &g["preprocessing"]);
        assert_eq!(theirs["crop_pct"], ours.crop_pct, "{id}");
        assert_eq!(theirs["interpolation"], ours.interpolation.name(), "{id}");
        for (key, channels) in [("mean", ours.mean), ("std", ours.std)] {
            assert_eq!(theirs[key].as_array().unwrap(), &channels.map(Value::from), "{id}: {key}");
        }
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn goldens_have_the_gain_of_their_family() {
    for g in goldens() {
        let id = g["model"].as_str().unwrap();
        assert_eq!(g["gain"].as_f64().unwrap_or(1.0), families::variant(id).unwrap().0.formula_gain(), "{id}");
    }
}

#[test]
fn cached_costs_equal_counted_ones() {
    let mut cache = CostCache::new();
    for round in 0..2 {
        for v in FAMILIES.iter().flat_map(|f| f.variants()) {
            let plan = families::plan(v.id, None, 1000).unwrap();
            assert_eq!(cache.cost(&plan).unwrap(), cost::graph(&plan.lower().unwrap()), "{} round {round}", v.id);
        }
    }
}

#[test]
fn every_golden_is_a_variant() {
    let missing: Vec<String> = goldens()
        .iter()
        .map(|g| g["model"].as_str().unwrap().to_string())
        .filter(|id| families::variant(id).is_none())
        .collect();
    assert!(missing.is_empty(), "no family publishes {missing:?}");
}
