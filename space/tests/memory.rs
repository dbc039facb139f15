//! Peak memory of published networks.

use mobilenas_space::families;
use mobilenas_space::ir::Op;
use mobilenas_space::memory;

/// MobileNetV2 at 224 px: the widest moment is its second block's depthwise convolution with stride 2, from 96 x 112 x
/// 112 to 96 x 56 x 56. Its deployed weights are the published ones less one factor for each normed channel.
#[test]
fn mobilenet_v2_by_hand() {
    let graph = families::plan("mobilenetv2_100", None, 1000).unwrap().lower().unwrap();
    let normed: u64 = graph.nodes.iter().filter(|n| n.op == Op::BatchNorm).map(|n| u64::from(n.value.channels())).sum();
    let found = memory(&graph);
    assert_eq!(found.activations, 96 * 112 * 112 + 96 * 56 * 56);
    assert_eq!(found.weights, 3_504_872 - normed);
    assert_eq!(found.bytes(), 4 * (found.weights + 1_505_280));
}

/// Never below the largest operation with what it reads, never above all values together.
#[test]
fn every_published_network_is_between_its_bounds() {
    for v in families::FAMILIES.iter().flat_map(|f| f.variants()) {
        let graph = families::plan(v.id, None, 1000).unwrap().lower().unwrap();
        let all: u64 = graph.nodes.iter().map(|n| n.value.elements()).sum();
        let least = graph.nodes.iter().filter(|n| matches!(n.op, Op::Conv { .. }));
        let least = least.map(|n| n.value.elements() + graph.nodes[n.inputs[0] as usize].value.elements()).max();
        let peak = memory(&graph).activations;
        assert!(least.unwrap() <= peak && peak < all, "{}: {peak}", v.id);
    }
}
