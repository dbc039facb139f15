//! How near logits must be.

use mobilenas_torch::{Mode, Net};
use tch::{Kind, Tensor};

/// The largest difference over the largest value.
pub fn off(ours: &Tensor, reference: &Tensor) -> f64 {
    let (ours, reference) = (ours.to_kind(Kind::Double), reference.to_kind(Kind::Double));
    assert_eq!(ours.size(), reference.size());
    (ours - &reference).abs().max().double_value(&[]) / reference.abs().max().double_value(&[])
}

/// Rounding, and nothing else.
const BOUND: f64 = 1e-5;

/// Two ways of rounding the same sums differ so much by chance: the largest of twenty errors, on one batch. A wrong
/// operation is off by far more.
const FACTOR: f64 = 10.0;

/// How far logits are from libtorch's; `Err` if farther than [`BOUND`]. Under these weights some networks turn a change
/// of their input in the seventh digit into one of their logits in the fourth, whoever computes it: there the logits
/// must be as near to libtorch's in double precision as libtorch's own in single precision are, within [`FACTOR`].
/// Libtorch's own differ too, with batch norms apart and folded, and by the processor: the farther of the two counts.
pub fn agree(what: &str, net: &Net, x: &Tensor, logits: &Tensor) -> Result<String, String> {
    let single = net.forward(x, Mode::Eval).unwrap();
    let d = off(logits, &single);
    let line = format!("{what}: logits off by {d:.1e}");
    if d <= BOUND {
        return Ok(line);
    }
    let double = net.to_kind(Kind::Double).unwrap().forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
    let folded = net.freeze().unwrap().forward(x, Mode::Eval).unwrap();
    let (ours, theirs) = (off(logits, &double), off(&single, &double).max(off(&folded, &double)));
    let line = format!("{line}; from double precision by {ours:.1e}, libtorch by {theirs:.1e}");
    if ours <= BOUND.max(FACTOR * theirs) { Ok(line) } else { Err(line) }
}
