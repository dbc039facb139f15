//! Logits of every published variant against its reference implementation, with weights by a formula.

use crate::side_by_side;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use mobilenas_space::families;
use mobilenas_space::ir::{ParamSpec, Role};
use mobilenas_torch::{Formula, Mode, Net, NetError, Params, formula, keep_freed_memory};
use serde_json::Value;
use side_by_side::side_by_side;
use tch::{Device, Kind, Tensor};

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// What rounding to nine decimals, as the goldens are, may add to each logit.
const ROUNDED: f64 = 0.5e-9;

/// Relative distances of the first logits, and of their difference between the two images, beyond what the goldens' own
/// rounding makes.
fn distances(ours: &Tensor, theirs: &Value) -> (f64, f64) {
    let ours = ours.to_kind(Kind::Double);
    let rows: Vec<Vec<f64>> = (0..2).map(|i| Vec::try_from(ours.get(i).narrow(0, 0, 16)).unwrap()).collect();
    let golden: Vec<Vec<f64>> = serde_json::from_value(theirs["logits_head"].clone()).unwrap();
    let off: Vec<f64> = rows.iter().flatten().zip(golden.iter().flatten()).map(|(a, b)| a - b).collect();
    let reference: Vec<f64> = golden.iter().flatten().copied().collect();
    let differ = |r: &[Vec<f64>]| -> Vec<f64> { r[0].iter().zip(&r[1]).map(|(a, b)| a - b).collect() };
    let (d, d_ref) = (differ(&rows), differ(&golden));
    let d_off: Vec<f64> = d.iter().zip(&d_ref).map(|(a, b)| a - b).collect();
    let beyond = |off: &[f64], rounded: f64| (norm(off) - rounded * (off.len() as f64).sqrt()).max(0.0);
    (beyond(&off, ROUNDED) / norm(&reference), beyond(&d_off, 2.0 * ROUNDED) / norm(&d_ref))
}

/// The formula as it was applied for the goldens: to the tables of indices too, which it rounds to 0.
struct Golden(Formula);

impl Params for Golden {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        match p.role {
            Role::Index => Ok(Tensor::zeros(p.shape(), (Kind::Int64, Device::Cpu))),
            _ => self.0.get(p),
        }
    }
}

/// Networks whose every golden multiplies more are compared by the test that is ignored, unless they are the smallest of their
/// family.
const MANY_MACS: u64 = 100_000_000;

/// Networks that multiply more are compared in float64 alone, before batch norms are folded, unless they are the smallest of
/// their family; the test that is ignored does the rest.
const SOME_MACS: u64 = 25_000_000;

/// Each network on the smallest images of its goldens.
#[test]
fn logits_equal_the_reference() {
    equal_the_reference(true);
}

#[test]
#[ignore = "takes minutes: goldens on larger images, the largest networks, and large ones in float32 and folded"]
fn logits_of_large_goldens_equal_the_reference() {
    equal_the_reference(false);
}

fn family(model: &str) -> &'static str {
    families::variant(model).unwrap().0.name()
}

fn equal_the_reference(small: bool) {
    // Networks follow each other: memory given back between them would be paged in anew.
    keep_freed_memory();
    let text = include_str!("../../tests/goldens.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let macs = |g: &Value| g["macs_batch1"].as_u64().unwrap();
    let mut least = BTreeMap::new();
    for g in all["goldens"].as_array().unwrap() {
        let known = least.entry(g["model"].as_str().unwrap()).or_insert(u64::MAX);
        *known = macs(g).min(*known);
    }
    let mut smallest = BTreeMap::new();
    for (model, macs) in &least {
        let known = smallest.entry(family(model)).or_insert(u64::MAX);
        *known = (*known).min(*macs);
    }
    let up_to = |most: u64, g: &Value| macs(g) <= most.max(smallest[family(g["model"].as_str().unwrap())]);
    let whole = |g: &Value| up_to(SOME_MACS, g);
    let is_small = |g: &&Value| macs(g) == least[g["model"].as_str().unwrap()] && up_to(MANY_MACS, g);
    let mut taken: Vec<&Value> = all["goldens"].as_array().unwrap().iter().collect();
    taken.retain(|g| is_small(g) == small || !small && !whole(g));
    // The largest first, so that none is waited for alone.
    taken.sort_by_key(|g| std::cmp::Reverse(macs(g)));
    let wrong = side_by_side(taken, |g| equals_the_reference(g, !small || whole(g))).concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with a network on the images of one golden: in float64 and, where `whole`, in float32 and folded.
fn equals_the_reference(g: &Value, whole: bool) -> Vec<String> {
    let _guard = tch::no_grad_guard();
    let id = g["model"].as_str().unwrap();
    let size = g["resolution"].as_u64().unwrap() as u32;
    let graph = families::plan(id, Some(size), 1000).unwrap().lower().unwrap();
    let net = Net::bind(Arc::new(graph), &Golden(Formula::of(id))).unwrap();
    let x = formula::images(2, size).unwrap();
    let in_double = net.to_kind(Kind::Double).unwrap();
    let double = in_double.forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
    let single = || net.check(&x).unwrap();
    // Folding is checked in float64: with these weights one large network amplifies a change in the seventh digit of its input
    // to the second digit of its logits, in any implementation.
    let frozen = || in_double.freeze().unwrap().forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
    let mut outputs = vec![("float64", double, 1e-9, 1e-7)];
    if whole {
        outputs.push(("float32", single(), 1e-4, 1e-3));
        outputs.push(("float64, batch norms folded", frozen(), 1e-9, 1e-7));
    }
    let mut wrong = Vec::new();
    for (what, out, bound, bound_d) in outputs {
        let (all, d) = distances(&out, g);
        // Written past the capture of test output, so that everyone sees it.
        let _ = writeln!(std::io::stderr(), "{id}@{size} {what}: logits off by {all:.1e}, their difference by {d:.1e}");
        if all > bound || d > bound_d || all.is_nan() || d.is_nan() {
            wrong.push(format!("{id}@{size} {what}: {all:.1e} {d:.1e}"));
        }
    }
    wrong
}
