//! Outputs of networks with heads against their references, with weights by a formula.

use crate::common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_torch::{FixedKernels, Formula, Mode, Net, NetError, Params, TunedNet, formula, keep_freed_memory};
use serde_json::Value;
use tch::{Kind, Tensor};

/// The formula by a golden's names, times a factor for some endings of names.
struct Golden<'a>(&'a Value);

impl Params for Golden<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let name = common::name_in(self.0, &p.name);
        let scaled: BTreeMap<String, f64> = serde_json::from_value(self.0["scaled"].clone()).unwrap_or_default();
        let factor = scaled.iter().find(|(ending, _)| name.ends_with(*ending)).map(|(_, f)| *f);
        let made = Formula::PLAIN.get(&ParamSpec { name, ..p.clone() })?;
        Ok(factor.map_or_else(|| made.shallow_clone(), |f| &made * f))
    }
}

fn distance(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied())
}

/// The farther of the 64 values that a golden tells and of the two images' norms; and how far the norm of the difference of
/// the images is.
pub fn distances(ours: &Tensor, golden: &Value) -> [f64; 2] {
    let shape: Vec<i64> = serde_json::from_value(golden["shape"].clone()).unwrap();
    assert_eq!(ours.size(), shape);
    let numbers = |key: &str| serde_json::from_value::<Vec<f64>>(golden[key].clone()).unwrap();
    let flat = ours.to_kind(Kind::Double).contiguous().view([-1]);
    let places: Vec<i64> = (0..64).map(|j| (j * 2_654_435_761 + 97) % flat.numel() as i64).collect();
    let at: Vec<f64> = Vec::try_from(flat.index_select(0, &Tensor::from_slice(&places))).unwrap();
    let norm = |t: &Tensor| t.norm().double_value(&[]);
    let images: Vec<f64> = (0..2).map(|i| norm(&ours.get(i).to_kind(Kind::Double))).collect();
    let apart = norm(&(ours.get(0) - ours.get(1)).to_kind(Kind::Double));
    let off = distance(&at, &numbers("at")).max(distance(&images, &numbers("l2_image")));
    [off, distance(&[apart], &[golden["l2_difference"].as_f64().unwrap()])]
}

/// The block whose value the goldens call `low`: logits before they are resized.
fn low(graph: &Graph) -> Option<usize> {
    let ends = |b: &&mobilenas_space::ir::BlockRange| {
        let path = b.path.to_string();
        path == "seg_head.classifier" || path == "decode_head"
    };
    graph.blocks.iter().find(ends).map(|b| b.output)
}

/// The outputs of a network by the goldens' names.
fn outputs(net: &Net, x: &Tensor) -> BTreeMap<&'static str, Tensor> {
    let (graph, seen) = (net.graph(), RefCell::new(BTreeMap::new()));
    let low = low(graph);
    let hook = |node: usize, value: &Tensor| {
        if Some(node) == low {
            seen.borrow_mut().insert("low", value.shallow_clone());
        }
        for o in graph.outputs.iter().filter(|o| o.node == node) {
            let name = if o.name == "auxiliary" { "aux" } else { o.name };
            seen.borrow_mut().insert(name, value.shallow_clone());
        }
        Ok(())
    };
    net.forward_with_hook(x, Mode::Eval, hook).unwrap();
    seen.into_inner()
}

/// Networks of more multiplications are compared by the test that is ignored.
const MANY_MACS: u64 = 900_000_000;

fn compare(small: bool) -> usize {
    keep_freed_memory();
    let _guard = tch::no_grad_guard();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for g in common::goldens().iter().filter(|g| (g["macs_batch1"].as_u64().unwrap() <= MANY_MACS) == small) {
        let case = g["case"].as_str().unwrap();
        let graph = Arc::new(common::plan(g, true).lower().unwrap());
        let net = Net::bind(graph, &Golden(g)).unwrap().to_kind(Kind::Double).unwrap();
        let x = formula::images(2, net.graph().input().dims[1]).unwrap().to_kind(Kind::Double);
        let frozen = if small { Some(net.freeze().unwrap()) } else { None };
        for (what, net) in [("float64", Some(&net)), ("batch norms folded", frozen.as_ref())] {
            let Some(net) = net else { continue };
            for (name, value) in outputs(net, &x) {
                let [off, apart] = distances(&value, &g["outputs"][name]);
                // Written past the capture of test output, so that everyone sees it.
                let _ =
                    writeln!(std::io::stderr(), "{case} {what} {name}: off by {off:.1e}, difference by {apart:.1e}");
                if !(off <= 1e-9 && apart <= 1e-7) {
                    wrong.push(format!("{case} {what} {name}: {off:.1e} {apart:.1e}"));
                }
                compared += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    compared
}

#[test]
fn outputs_equal_the_reference() {
    // Boxes and scores of seven detectors, two outputs of three segmenters and three of the five with auxiliary heads.
    assert_eq!(compare(true), 2 * (7 * 2 + 3 * 2 + 5 * 3));
}

#[test]
#[ignore = "takes minutes: most of the published networks on images of their own size"]
fn outputs_on_large_images_equal_the_reference() {
    assert!(compare(false) > 0);
}

/// The tuned reading knows dilation and several outputs, too.
#[test]
fn tuned_networks_give_the_same_outputs() {
    let _guard = tch::no_grad_guard();
    for case in ["ssdlite/mobilevit_xxs", "deeplabv3/mobilevitv2_050", "pspnet/mobilevitv2_050"] {
        let mut g = common::goldens().into_iter().find(|g| g["case"] == case).unwrap();
        g["resolution"] = Value::from(128);
        let graph = Arc::new(common::plan(&g, true).lower().unwrap());
        let net = Net::bind(graph, &Golden(&g)).unwrap().freeze().unwrap();
        let x = formula::images(2, 128).unwrap();
        let tuned = TunedNet::new(&net, 2, &mut FixedKernels).unwrap();
        let (ours, plain) = (tuned.outputs(&x).unwrap(), net.outputs(&x, Mode::Eval).unwrap());
        assert_eq!(ours.len(), plain.len());
        assert!(ours.len() >= 2 || case.starts_with("pspnet"));
        for (a, b) in ours.iter().zip(&plain) {
            assert_eq!(a.size(), b.size());
            let off = ((a - b).norm() / b.norm()).double_value(&[]);
            // Rounding in single precision, as the goldens allow it.
            assert!(off <= 1e-5, "{case}: off by {off:.1e}");
        }
    }
}
