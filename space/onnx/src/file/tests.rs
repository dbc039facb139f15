//! Tests of reading files: hand-made models, and those that the exporter writes.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::proto::{Attribute, Dim, Entry, Node, OpsetId, Shape, Size, Tensor, TensorType, ValueInfo, kind};

fn value(name: &str, element: i32, dims: &[&str]) -> ValueInfo {
    let size = |d: &&str| match d.parse() {
        Ok(n) => Size::Value(n),
        Err(_) => Size::Param(d.to_string()),
    };
    let dim = dims.iter().map(|d| Dim { size: (*d != "?").then(|| size(d)) }).collect();
    let tensor = TensorType { elem_type: Some(element), shape: Some(Shape { dim }) };
    ValueInfo { name: Some(name.to_string()), kind: Some(tensor.into()) }
}

fn floats(name: &str, dims: &[i64]) -> Tensor {
    let n = dims.iter().product::<i64>() as usize;
    Tensor::raw(name, kind::FLOAT, dims, (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect())
}

fn ints(name: &str, values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::raw(name, kind::INT64, &[values.len() as i64], bytes)
}

/// A node from `Op in,in -> out,out`.
fn node(line: &str, attribute: Vec<Attribute>) -> Node {
    let (left, right) = line.split_once(" -> ").unwrap();
    let (op, inputs) = left.split_once(' ').unwrap_or((left, ""));
    let list = |text: &str| text.split(',').map(str::to_string).collect::<Vec<_>>();
    let (domain, op) = op.rsplit_once('.').map_or((None, op), |(d, op)| (Some(d.to_string()), op));
    let input = if inputs.is_empty() { Vec::new() } else { list(inputs) };
    Node { input, output: list(right), name: None, op_type: Some(op.to_string()), attribute, domain }
}

fn model(node: Vec<Node>, initializer: Vec<Tensor>, input: Vec<ValueInfo>, output: Vec<ValueInfo>) -> Model {
    let graph = Graph { node, initializer, input, output, ..Graph::default() };
    let opset_import = vec![OpsetId { domain: None, version: Some(17) }];
    Model { graph: Some(graph), opset_import, ..Model::default() }
}

/// A convolution, its result flattened by the sizes that operators compute, and a classifier.
fn small() -> Model {
    let nodes = vec![
        node("Conv x,w,b -> c", vec![Attribute::ints("strides", &[2, 2]), Attribute::ints("pads", &[1, 1, 1, 1])]),
        node("Relu c -> r", vec![]),
        node("Shape r -> s", vec![]),
        node("Gather s,zero -> n", vec![]),
        node("Unsqueeze n,zeros -> n1", vec![]),
        node("Concat n1,rest -> size", vec![Attribute::int("axis", 0)]),
        node("Reshape r,size -> flat", vec![]),
        node("Gemm flat,g -> y", vec![Attribute::int("transB", 1)]),
    ];
    let mut zero = ints("zero", &[0]);
    zero.dims = vec![];
    let weights = vec![floats("w", &[4, 1, 3, 3]), floats("b", &[4]), floats("g", &[5, 64]), zero];
    let weights = [weights, vec![ints("zeros", &[0]), ints("rest", &[-1])]].concat();
    let x = value("x", kind::FLOAT, &["batch", "1", "8", "8"]);
    model(nodes, weights, vec![x], vec![value("y", kind::FLOAT, &["batch", "5"])])
}

fn here(_: &Location) -> Result<Vec<u8>, String> {
    Err("not here".to_string())
}

fn sizes(dims: &[(&str, i64)], inputs: &[(&str, &[i64])]) -> Sizes {
    Sizes {
        dims: dims.iter().map(|(n, d)| (n.to_string(), *d)).collect(),
        inputs: inputs.iter().map(|(n, d)| (n.to_string(), d.to_vec())).collect(),
    }
}

fn counted(of: &Model, given: &Sizes) -> Macs {
    macs(of, &inputs(of.graph.as_ref().unwrap(), given).unwrap())
}

#[test]
fn a_file_in_numbers() {
    let seen = facts(&small(), &mut here).unwrap();
    assert_eq!((seen.params, seen.weight_bytes), (36 + 4 + 320, 4 * 360 + 3 * 8));
    assert_eq!((seen.ops["Conv"], seen.ops.len(), seen.opsets["ai.onnx"]), (1, 8, 17));
    assert_eq!(seen.inputs, ["x: float32[batch, 1, 8, 8]"]);
    assert_eq!(seen.outputs, ["y: float32[batch, 5]"]);
    // 4 channels of 4x4 with 9 weights each; then 64 x 5: each for two images.
    let twice = counted(&small(), &sizes(&[("batch", 2)], &[]));
    assert_eq!(twice, Macs { total: 2 * (64 * 9 + 320), unknown: vec![] });
}

#[test]
fn digests_follow_what_is_computed_and_not_what_it_is_called() {
    let was = facts(&small(), &mut here).unwrap();
    let digests = |change: &dyn Fn(&mut Graph)| {
        let mut model = small();
        change(model.graph.as_mut().unwrap());
        let is = facts(&model, &mut here).unwrap();
        (is.graph == was.graph, is.weights == was.weights)
    };
    let renamed = |g: &mut Graph| {
        g.initializer[0].name = Some("other".to_string());
        g.node[0].input[1] = "other".to_string();
        g.initializer.reverse();
    };
    assert_eq!(digests(&renamed), (true, true));
    assert_eq!(digests(&|g| g.initializer[0].raw_data.as_mut().unwrap()[5] ^= 1), (true, false));
    assert_eq!(digests(&|g| g.node[0].attribute[0] = Attribute::ints("strides", &[1, 1])), (false, true));
    assert_eq!(digests(&|g| g.node[1].op_type = Some("Sigmoid".into())), (false, true));
    assert_eq!(digests(&|g| g.node[1].input = vec!["x".into()]), (false, true));
    // The same values in the fields that older exporters use.
    let typed = |g: &mut Graph| {
        let w = &mut g.initializer[0];
        w.float_data =
            w.raw_data.take().unwrap().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    };
    assert_eq!(digests(&typed), (true, true));
}

#[test]
fn weights_in_other_files_are_read_from_there() {
    let mut outside = small();
    let w = &mut outside.graph.as_mut().unwrap().initializer[0];
    let bytes = w.raw_data.take().unwrap();
    let entry = |k: &str, v: &str| Entry { key: Some(k.into()), value: Some(v.into()) };
    w.data_location = Some(1);
    w.external_data = vec![entry("location", "w.bin"), entry("offset", "64"), entry("length", "144")];
    let mut asked = Vec::new();
    let seen = facts(&outside, &mut |at| {
        asked.push(at.clone());
        Ok(bytes.clone())
    });
    assert_eq!(seen, facts(&small(), &mut here));
    assert_eq!(asked, [Location { file: "w.bin".into(), offset: 64, length: 144 }]);
    assert_eq!(
        facts(&outside, &mut here).unwrap_err().to_string(),
        "tensor w: its values stand in w.bin: not here, expected that file beside the model"
    );
}

#[test]
fn files_that_are_none() {
    let fails = |change: &dyn Fn(&mut Model)| {
        let mut model = small();
        change(&mut model);
        facts(&model, &mut here).unwrap_err().to_string()
    };
    assert_eq!(fails(&|m| m.graph = None), "found no graph with outputs, expected an ONNX model");
    let short = |m: &mut Model| m.graph.as_mut().unwrap().initializer[0].raw_data.as_mut().unwrap().truncate(9);
    assert_eq!(fails(&short), "tensor w: found 9 bytes, expected 144 bytes of float32[4, 1, 3, 3]");
    let custom = |m: &mut Model| m.graph.as_mut().unwrap().node.push(node("acme.Magic c -> d", vec![]));
    assert_eq!(
        fails(&custom),
        "node \"\": found the custom operator acme.Magic, expected operators of ONNX or ONNX Runtime"
    );
}

#[test]
fn sizes_are_the_files_or_given() {
    let x = value("x", kind::FLOAT, &["batch", "3", "?", "8"]);
    let ids = value("ids", kind::INT64, &["batch", "n"]);
    let of = model(vec![], vec![], vec![x, ids], vec![value("y", kind::FLOAT, &["1"])]);
    let read = |given: &Sizes| match inputs(of.graph.as_ref().unwrap(), given) {
        Ok(all) => all.into_iter().map(|i| format!("{} {:?}", i.name, i.dims)).collect::<Vec<_>>().join("; "),
        Err(e) => e.to_string(),
    };
    assert_eq!(
        read(&sizes(&[("n", 7)], &[("x", &[2, 3, 4, 8])])),
        "x [2, 3, 4, 8]; ids [2, 7]",
        "the batch of x is that of ids"
    );
    insta::assert_snapshot!(read(&sizes(&[], &[])), @"input x: found the dynamic axis batch in [batch, 3, ?, 8], expected its size: --dim batch=1, or dims: in the config");
    insta::assert_snapshot!(read(&sizes(&[("batch", 1)], &[])), @"input x: found a dynamic axis without a name in [batch, 3, ?, 8], expected a size: --size x=batchx3x?x8, with numbers for each ?");
    insta::assert_snapshot!(read(&sizes(&[], &[("x", &[2, 3, 8])])), @"input x: found the size 2x3x8, expected float32[batch, 3, ?, 8]");
    insta::assert_snapshot!(read(&sizes(&[("batch", 3)], &[("x", &[2, 3, 4, 8])])), @"input x: found 2 for the axis batch, expected 3 as elsewhere");
    insta::assert_snapshot!(read(&sizes(&[("length", 3)], &[])), @"found a size for axis length, expected axis batch, n");
    insta::assert_snapshot!(read(&sizes(&[], &[("mask", &[1])])), @"found a size for input mask, expected input x, ids");
}

/// The product of the sizes that one operator gives, by a matrix product behind it whose sizes tell.
fn elements_after(line: &str, attribute: Vec<Attribute>, more: Vec<Tensor>) -> Option<u64> {
    let x = value("x", kind::FLOAT, &["2", "3", "8", "9"]);
    let nodes = vec![
        node(line, attribute),
        node("Flatten y -> flat", vec![Attribute::int("axis", 0)]),
        node("Transpose flat -> column", vec![]),
        node("MatMul column,one -> z", vec![]),
    ];
    let one = floats("one", &[1, 1]);
    let of = model(nodes, [vec![one], more].concat(), vec![x], vec![value("z", kind::FLOAT, &["?"])]);
    let counted = counted(&of, &Sizes::default());
    counted.unknown.is_empty().then_some(counted.total)
}

#[test]
fn sizes_after_each_kind_of_operator() {
    let ints = |name, values: &[i64]| vec![ints(name, values)];
    let two = |name: &str, a: i64, b: i64| Attribute::ints(name, &[a, b]);
    let pool = || vec![two("kernel_shape", 3, 3), two("strides", 2, 2)];
    let all = [
        ("Relu x -> y", vec![], vec![], 432),
        ("Add x,b -> y", vec![], vec![floats("b", &[5, 1, 1, 1, 1])], 5 * 432),
        ("ReduceMean x -> y", vec![two("axes", 2, 3)], vec![], 6),
        ("GlobalAveragePool x -> y", vec![], vec![], 6),
        ("MaxPool x -> y", pool(), vec![], 6 * 3 * 4),
        ("MaxPool x -> y", [pool(), vec![Attribute::int("ceil_mode", 1)]].concat(), vec![], 6 * 4 * 4),
        ("AveragePool x -> y", [pool(), vec![Attribute::text("auto_pad", "SAME_UPPER")]].concat(), vec![], 6 * 4 * 5),
        ("Slice x,a,e,ax -> y", vec![], [ints("a", &[-3]), ints("e", &[i64::MAX]), ints("ax", &[2])].concat(), 162),
        (
            "Slice x,a,e,ax,st -> y",
            vec![],
            { [ints("a", &[-1]), ints("e", &[i64::MIN]), ints("ax", &[3]), ints("st", &[-2])].concat() },
            48 * 5,
        ),
        ("Pad x,p -> y", vec![], ints("p", &[0, 0, 1, 1, 0, 0, 1, 1]), 6 * 10 * 11),
        ("Split x,p -> y,rest", vec![Attribute::int("axis", 3)], ints("p", &[4, 5]), 48 * 4),
        ("Concat x,x -> y", vec![Attribute::int("axis", 1)], vec![], 864),
        ("DepthToSpace d -> y", vec![Attribute::int("blocksize", 2)], vec![floats("d", &[1, 4, 2, 2])], 16),
        ("Expand o,e -> y", vec![], [vec![floats("o", &[1])], ints("e", &[4, 6])].concat(), 24),
        ("Tile x,t -> y", vec![], ints("t", &[1, 2, 1, 3]), 6 * 432),
        ("Resize x,,,s -> y", vec![], ints("s", &[2, 3, 16, 4]), 6 * 64),
        (
            "Resize x,,s -> y",
            vec![],
            vec![{
                let scales = [1f32, 1.0, 2.0, 0.5].iter().flat_map(|v| v.to_le_bytes()).collect();
                Tensor::raw("s", kind::FLOAT, &[4], scales)
            }],
            6 * 16 * 4,
        ),
        ("Gather x,i -> y", vec![Attribute::int("axis", 2)], ints("i", &[0, 0, 5]), 54 * 3),
        ("TopK x,k -> y,i", vec![], ints("k", &[2]), 96),
        ("ArgMax x -> y", vec![Attribute::int("axis", 1), Attribute::int("keepdims", 0)], vec![], 144),
        ("Einsum x,m -> y", vec![Attribute::text("equation", "bchw,wk->bchk")], vec![floats("m", &[9, 2])], 96),
        ("Squeeze u -> y", vec![], vec![floats("u", &[1, 4, 1])], 4),
        ("Range a,e,s -> y", vec![], [ints("a", &[3]), ints("e", &[11]), ints("s", &[2])].concat(), 4),
    ];
    for (line, attributes, more, expected) in all {
        // The equation multiplies, too.
        let own = if line.starts_with("Einsum") { 2 * 3 * 8 * 9 * 2 } else { 0 };
        assert_eq!(elements_after(line, attributes, more), Some(expected + own), "{line}");
    }
    assert_eq!(elements_after("NonZero x -> y", vec![], vec![]), None);
    assert_eq!(elements_after("MaxPool x -> y", vec![two("kernel_shape", 1 << 40, 1)], vec![]), None, "no overflow");
}

/// PyTorch writes the sizes of a padding in its own order, which operators then turn around.
#[test]
fn small_tables_of_sizes_are_sliced_and_transposed() {
    let nodes = vec![
        node("Reshape pads,pairs -> rows", vec![]),
        node("Slice rows,last,before,first,back -> turned", vec![]),
        node("Transpose turned -> columns", vec![Attribute::ints("perm", &[1, 0])]),
        node("Reshape columns,flat -> all", vec![]),
        node("Pad x,all -> y", vec![]),
        node("MatMul y,w -> z", vec![]),
    ];
    let sizes = [ints("pads", &[1, 2, 3, 4, 0, 0, 0, 0]), ints("pairs", &[-1, 2]), ints("last", &[-1])];
    let more = [ints("before", &[i64::MIN]), ints("first", &[0]), ints("back", &[-1]), ints("flat", &[-1])];
    // Both ends of the last axis grow by 1 and 2, of the one before it by 3 and 4.
    let weights = [sizes.to_vec(), more.to_vec(), vec![floats("w", &[8, 1])]].concat();
    let x = value("x", kind::FLOAT, &["1", "1", "3", "5"]);
    let of = model(nodes, weights, vec![x], vec![value("z", kind::FLOAT, &["?"])]);
    assert_eq!(counted(&of, &Sizes::default()), Macs { total: 10 * 8, unknown: vec![] });
}

#[test]
fn products_are_counted_as_they_are_defined() {
    let x = || vec![value("x", kind::FLOAT, &["2", "6", "8", "8"])];
    let count = |line: &str, attribute: Vec<Attribute>, weights: Vec<Tensor>| {
        let of = model(vec![node(line, attribute)], weights, x(), vec![value("y", kind::FLOAT, &["?"])]);
        counted(&of, &Sizes::default())
    };
    let group = |n| vec![Attribute::int("group", n)];
    assert_eq!(count("Conv x,w -> y", group(6), vec![floats("w", &[6, 1, 3, 3])]).total, 2 * 6 * 36 * 9);
    assert_eq!(count("Conv x,w -> y", group(2), vec![floats("w", &[4, 3, 1, 1])]).total, 2 * 4 * 64 * 3);
    assert_eq!(count("ConvTranspose x,w -> y", group(1), vec![floats("w", &[6, 5, 2, 2])]).total, 2 * 6 * 64 * 20);
    assert_eq!(count("MatMul x,w -> y", vec![], vec![floats("w", &[8, 10])]).total, 2 * 6 * 8 * 10 * 8);
    let unknown = count("com.microsoft.Attention x,w -> y", vec![], vec![floats("w", &[1])]);
    assert_eq!((unknown.total, unknown.unknown), (0, vec!["com.microsoft.Attention y".to_string()]));
}
