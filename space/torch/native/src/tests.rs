use tch::{Device, Kind, Tensor};

use super::{Arg, Inference, Operation, Script, Watch};

#[test]
fn an_operation_outside_tch_is_called() {
    tch::manual_seed(1);
    let x = Tensor::randn([2, 8, 6, 6], (Kind::Float, Device::Cpu));
    let w = Tensor::randn([16, 8, 3, 3], (Kind::Float, Device::Cpu));
    let conv = Operation::find("mkldnn::_convolution_pointwise", "").unwrap();
    let ones = [1i64, 1];
    let y = conv.tensor(&[
        Arg::Tensor(&x),
        Arg::Tensor(&w),
        Arg::None,
        Arg::Ints(&ones),
        Arg::Ints(&ones),
        Arg::Ints(&ones),
        Arg::Int(1),
        Arg::Text("hardtanh"),
        Arg::Scalars(&[0.0, 6.0]),
        Arg::Text(""),
    ]);
    let want = x.conv2d(&w, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1).clamp(0.0, 6.0);
    assert!(y.unwrap().allclose(&want, 1e-4, 1e-4, false));
}

#[test]
fn mistakes_come_back_as_messages() {
    let error = Operation::find("mkldnn::no_such", "").unwrap_err().to_string();
    assert!(error.contains("mkldnn::no_such"), "{error}");
    let relu = Operation::find("aten::relu", "").unwrap();
    assert!(relu.call(&[]).unwrap_err().to_string().contains("0 arguments"));
    let error = relu.call(&[Arg::Text("x")]).unwrap_err().to_string();
    assert!(error.contains("Tensor"), "{error}");
    assert!(Script::load(std::path::Path::new("/no/such/file.pt"), true).is_err());
}

#[test]
fn inference_ends_with_its_guard() {
    let x = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    {
        let _guard = Inference::begin();
        assert!(!(&x * 2.0).requires_grad());
    }
    assert!((&x * 2.0).requires_grad());
}

#[test]
fn the_watch_counts_what_is_held_at_once() {
    let megabyte = || Tensor::zeros([1 << 18], (Kind::Float, Device::Cpu));
    let before = megabyte();
    let watch = Watch::begin();
    assert_eq!(watch.peak(), 0);
    drop(megabyte());
    drop(megabyte());
    assert_eq!(watch.peak(), 1 << 20, "one after the other");
    drop(before);
    let two = [megabyte(), megabyte()];
    assert_eq!(watch.peak(), 2 << 20, "at once");
    drop(two);
    drop(watch);
    let again = Watch::begin();
    assert_eq!(again.peak(), 0);
}
