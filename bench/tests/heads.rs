//! ONNX files of networks with heads on ONNX Runtime: their named outputs are libtorch's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_heads::{HeadOptions, attach, head};
use mobilenas_onnx::{Batch, Options};
use mobilenas_space::families;
use mobilenas_space::ir::Graph;
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Formula, Mode, Net, formula};
use tch::Tensor;

/// Backbone, head, side of the image and output stride.
const NETWORKS: [(&str, &str, u32, Option<u32>); 6] = [
    ("mobilevit_xxs", "ssdlite", 96, None),
    ("mobilenetv2_100", "ssdlite", 96, None),
    ("mobilevitv2_050", "deeplabv3", 96, Some(8)),
    ("mobilevitv2_050", "pspnet", 128, Some(16)),
    ("mobilevitv2_050", "pspnet", 96, Some(16)),
    ("efficientformer_l1", "semantic_fpn", 64, None),
];

fn graph((id, name, side, output_stride): (&str, &str, u32, Option<u32>)) -> Graph {
    let head = head(name).unwrap();
    let options = HeadOptions { output_stride, auxiliary: true, ..HeadOptions::new(head.classes()) };
    attach(head, families::plan(id, Some(side), 10).unwrap(), &options).unwrap().lower().unwrap()
}

/// What ONNX Runtime gives, by name.
fn given(net: &Net, batch: Batch, x: &Tensor) -> BTreeMap<String, Vec<f32>> {
    let bytes = to_onnx(net, &Options { batch, ..Options::default() }).unwrap();
    let (mut file, mut found) = (File::load(&bytes, 1).unwrap(), BTreeMap::new());
    file.outputs(x, |name, values| drop(found.insert(name.to_string(), values.to_vec()))).unwrap();
    found
}

#[test]
fn named_outputs_are_libtorchs() {
    let _guard = tch::no_grad_guard();
    for network in NETWORKS {
        let plain = Net::bind(Arc::new(graph(network)), &Formula::PLAIN).unwrap();
        let frozen = plain.freeze().unwrap();
        for (net, batch, n) in
            [(&plain, Batch::Dynamic, 2), (&frozen, Batch::Dynamic, 3), (&frozen, Batch::Fixed(1), 1)]
        {
            let x = formula::images(n, network.2).unwrap();
            let found = given(net, batch, &x);
            let expected = net.outputs(&x, Mode::Eval).unwrap();
            assert_eq!(found.len(), expected.len(), "{network:?}");
            for (output, expected) in net.graph().outputs.iter().zip(expected) {
                let ours = Tensor::from_slice(&found[output.name]);
                let expected = expected.contiguous().view([-1]);
                let off = ((ours - &expected).norm() / expected.norm()).double_value(&[]);
                assert!(off <= 1e-5, "{network:?} {batch:?} {}: off by {off:.1e}", output.name);
            }
        }
    }
}
