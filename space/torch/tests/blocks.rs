//! Blocks as networks of their own: run one after another they give the network's logits.

use crate::covering;
use crate::seeded;
use crate::side_by_side;

use std::sync::Arc;

use mobilenas_space::families;
use mobilenas_space::latency_key::blocks;
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, Values};
use seeded::seeded;
use side_by_side::side_by_side;
use tch::{Device, Kind, Tensor};

#[test]
fn blocks_one_after_another_are_the_network() {
    side_by_side(covering::families(), |family| {
        let _guard = tch::no_grad_guard();
        let v = &family.variants()[0];
        let graph = families::plan(v.id, None, 10).unwrap().lower().unwrap();
        let store = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
        let parts = blocks(&graph);
        if parts.iter().any(|part| part.inputs().count() > 1) {
            // Two branches are no chain: the output of one block is not all that the next one reads.
            assert_eq!(family.name(), "crossvit");
            return;
        }
        let net = Net::bind(Arc::new(graph), &Owned(&store)).unwrap().freeze().unwrap();
        let side = i64::from(v.resolution);
        let images = seeded(1, || Tensor::randn([2, 3, side, side], (Kind::Float, Device::Cpu)));
        let whole = net.forward(&images, Mode::Eval).unwrap();
        let mut x = images;
        for part in parts {
            let alone = Net::bind(Arc::new(part), &Owned(&store)).unwrap().freeze().unwrap();
            x = alone.forward(&x, Mode::Eval).unwrap();
        }
        let off = f64::try_from((&x - &whole).abs().max()).unwrap();
        let scale = f64::try_from(whole.abs().max()).unwrap();
        assert!(scale > 0.0 && off <= 1e-6 * scale, "{}: off by {off} of {scale}", v.id);
    });
}
