//! Logits of every published variant against its reference implementation, with weights by a formula.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::sync::Arc;

use mobilenas_space::families;
use mobilenas_space::ir::{ParamSpec, Role};
use mobilenas_torch::{Formula, Mode, Net, NetError, Params, formula};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Relative distances of the first logits, and of their difference between the two images.
fn distances(ours: &Tensor, theirs: &Value) -> (f64, f64) {
    let ours = ours.to_kind(Kind::Double);
    let rows: Vec<Vec<f64>> = (0..2).map(|i| Vec::try_from(ours.get(i).narrow(0, 0, 16)).unwrap()).collect();
    let golden: Vec<Vec<f64>> = serde_json::from_value(theirs["logits_head"].clone()).unwrap();
    let off: Vec<f64> = rows.iter().flatten().zip(golden.iter().flatten()).map(|(a, b)| a - b).collect();
    let reference: Vec<f64> = golden.iter().flatten().copied().collect();
    let differ = |r: &[Vec<f64>]| -> Vec<f64> { r[0].iter().zip(&r[1]).map(|(a, b)| a - b).collect() };
    let (d, d_ref) = (differ(&rows), differ(&golden));
    let d_off: Vec<f64> = d.iter().zip(&d_ref).map(|(a, b)| a - b).collect();
    (norm(&off) / norm(&reference), norm(&d_off) / norm(&d_ref))
}

/// The formula as it was applied for the goldens: to the tables of indices too, which it rounds to 0.
struct Golden;

impl Params for Golden {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        match p.role {
            Role::Index => Ok(Tensor::zeros(p.shape(), (Kind::Int64, Device::Cpu))),
            _ => Formula.get(p),
        }
    }
}

#[test]
fn logits_equal_the_reference() {
    let text = include_str!("../../tests/goldens.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let _guard = tch::no_grad_guard();
    let mut wrong = Vec::new();
    for g in all["goldens"].as_array().unwrap() {
        let id = g["model"].as_str().unwrap();
        let size = g["resolution"].as_u64().unwrap() as u32;
        let graph = families::plan(id, Some(size), 1000).unwrap().lower().unwrap();
        let net = Net::bind(Arc::new(graph), &Golden).unwrap();
        let x = formula::images(2, size).unwrap();
        let double = net.to_kind(Kind::Double).unwrap().forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
        let single = net.check(&x).unwrap();
        // Folding is checked in float64: with these weights one large network amplifies a change in the seventh digit of its input
        // to the second digit of its logits, in any implementation.
        let frozen = net.to_kind(Kind::Double).unwrap().freeze().unwrap();
        let frozen = frozen.forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
        // The goldens have nine decimals, which a relative bound of 1e-9 allows for logits near 1.
        for (what, out, bound, bound_d) in [
            ("float64", &double, 1e-9, 1e-7),
            ("float32", &single, 1e-4, 1e-3),
            ("float64, batch norms folded", &frozen, 1e-9, 1e-7),
        ] {
            let (all, d) = distances(out, g);
            // Written past the capture of test output, so that everyone sees it.
            let _ =
                writeln!(std::io::stderr(), "{id}@{size} {what}: logits off by {all:.1e}, their difference by {d:.1e}");
            if all > bound || d > bound_d || all.is_nan() || d.is_nan() {
                wrong.push(format!("{id}@{size} {what}: {all:.1e} {d:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
