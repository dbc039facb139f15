//! Networks that wait for regions, against their reference.

#[path = "../../heads/tests/common/rcnn.rs"]
mod rcnn;

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::ir::ParamSpec;
use mobilenas_torch::{FixedKernels, Formula, Mode, Net, NetError, Params, Region, TunedNet, formula};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::heads::distances;

/// The formula, times a factor for some endings of names.
struct Golden<'a>(&'a Value);

impl Params for Golden<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let scaled: BTreeMap<String, f64> = serde_json::from_value(self.0["scaled"].clone()).unwrap();
        let tensor = Formula::PLAIN.get(p)?;
        // A table of indices stays one of whole numbers.
        Ok(match scaled.iter().find(|(ending, _)| p.name.ends_with(*ending)) {
            Some((_, factor)) => tensor * *factor,
            None => tensor,
        })
    }
}

fn bound(g: &Value) -> (Net, Tensor) {
    let net = Net::bind(Arc::new(rcnn::graph(g)), &Golden(g)).unwrap().to_kind(Kind::Double).unwrap();
    let x = formula::images(2, net.graph().input().dims[1]).unwrap().to_kind(Kind::Double);
    (net, x)
}

fn regions(g: &Value) -> Vec<Region> {
    let rows: Vec<[f64; 5]> = serde_json::from_value(g["regions"].clone()).unwrap();
    rows.into_iter()
        .map(|[image, x1, y1, x2, y2]| Region { image: image as usize, corners: [x1, y1, x2, y2] })
        .collect()
}

#[test]
fn outputs_of_images_and_of_regions_equal_the_reference() {
    let _guard = tch::no_grad_guard();
    for g in rcnn::goldens() {
        let (plain, x) = bound(&g);
        let frozen = plain.freeze().unwrap();
        for net in [&plain, &frozen] {
            let waiting = net.until_regions(&x, Mode::Eval).unwrap().unwrap();
            let names: Vec<&str> = net.graph().outputs.iter().map(|o| o.name).collect();
            let after = |stage| waiting.outputs_of(stage, &regions(&g)).unwrap().into_iter();
            let halves = |t: Tensor| t.unflatten(0, [2, -1]);
            let before = waiting.outputs.iter().map(Tensor::shallow_clone);
            let values: Vec<Tensor> = before.chain(after(0).map(halves)).chain(after(1).map(halves)).collect();
            assert_eq!(values.len(), names.len());
            for (name, value) in names.iter().zip(&values) {
                let off = distances(value, &g["outputs"][*name]);
                assert!(off[0] <= 1e-9 && off[1] <= 1e-7, "{} {name}: {off:?}", g["case"]);
            }
            let none = waiting.outputs_of(1, &[]).unwrap();
            assert_eq!(none[0].size(), [0, 6, 28, 28]);
            assert!(waiting.outputs_of(2, &[]).is_err());
        }
    }
}

/// Regions share maps, and each adds to their gradients: the gradient of a sum is the sum of the gradients.
#[test]
fn gradients_flow_through_regions() {
    let g = rcnn::goldens().remove(0);
    let (net, x) = bound(&g);
    let gradient = |regions: &[Region]| {
        let x = x.copy().set_requires_grad(true);
        let waiting = net.until_regions(&x, Mode::Train).unwrap().unwrap();
        let outputs = waiting.outputs_of(0, regions).unwrap();
        outputs[0].sum(Kind::Double).backward();
        x.grad()
    };
    let all = regions(&g);
    let (whole, parts) = (gradient(&all[..3]), [gradient(&all[..1]), gradient(&all[1..3])]);
    let off = (&whole - (&parts[0] + &parts[1])).norm() / whole.norm();
    // Batch statistics are those of the images, whatever the regions.
    assert!(off.double_value(&[]) < 1e-9 && whole.norm().double_value(&[]) > 0.0);
}

/// Where nobody names regions, as many run as the graph says, so that a whole network can be timed.
#[test]
fn a_network_runs_whole_on_regions_that_nobody_names() {
    let _guard = tch::no_grad_guard();
    let g = rcnn::goldens().remove(0);
    let (net, x) = bound(&g);
    let outputs = net.outputs(&x, Mode::Eval).unwrap();
    assert_eq!(outputs.iter().map(|t| t.size()[0]).collect::<Vec<_>>(), [2, 2, 2000, 2000, 200]);
    let _logits = net.check(&x).unwrap();
    let frozen = net.to_kind(Kind::Float).unwrap().freeze().unwrap();
    let (x, one) = (x.to_kind(Kind::Float), x.to_kind(Kind::Float).narrow(0, 0, 1));
    let tuned = TunedNet::new(&frozen, 1, &mut FixedKernels).unwrap().outputs(&one).unwrap();
    for (a, b) in tuned.iter().zip(frozen.outputs(&x, Mode::Eval).unwrap()) {
        let b = b.narrow(0, 0, b.size()[0] / 2);
        assert!((((a - &b).norm() / b.norm()).double_value(&[])) <= 1e-5);
    }
}
