//! Numbers as they stand in memory.

use half::f16;

use crate::values::{Input, Kind};

/// An input's values.
pub(crate) fn bytes(of: &Input) -> Vec<u8> {
    let values = of.values();
    match of.kind {
        Kind::Float32 => values.iter().flat_map(|v| (*v as f32).to_ne_bytes()).collect(),
        Kind::Float16 => values.iter().flat_map(|v| f16::from_f64(*v).to_ne_bytes()).collect(),
        Kind::Float64 => values.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        Kind::Int64 => values.iter().flat_map(|v| (*v as i64).to_ne_bytes()).collect(),
        Kind::Int32 => values.iter().flat_map(|v| (*v as i32).to_ne_bytes()).collect(),
        Kind::Int8 => values.iter().flat_map(|v| (*v as i8).to_ne_bytes()).collect(),
        Kind::Uint8 => values.iter().map(|v| *v as u8).collect(),
        Kind::Bool => values.iter().map(|v| u8::from(*v != 0.0)).collect(),
    }
}

/// The numbers of a kind in some bytes.
pub(crate) fn numbers(kind: Kind, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
    }
    match kind {
        Kind::Float32 => each(bytes, |b| f64::from(f32::from_ne_bytes(b))),
        Kind::Float16 => each(bytes, |b| f16::from_ne_bytes(b).to_f64()),
        Kind::Float64 => each(bytes, f64::from_ne_bytes),
        Kind::Int64 => each(bytes, |b| i64::from_ne_bytes(b) as f64),
        Kind::Int32 => each(bytes, |b| f64::from(i32::from_ne_bytes(b))),
        Kind::Int8 => each(bytes, |b| f64::from(i8::from_ne_bytes(b))),
        Kind::Uint8 | Kind::Bool => bytes.iter().map(|v| f64::from(*v)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for kind in Kind::ALL {
            let input = Input { name: "x".into(), kind, dims: vec![2, 3], low: Some(0.0), high: Some(1.0) };
            let back = numbers(kind, &bytes(&input));
            let apart = input.values().iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(back.len() == 6 && apart < 1e-3, "{kind:?} {back:?}");
        }
    }
}
