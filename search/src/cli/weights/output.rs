//! Writes what leaves: tensors and ONNX files.

use std::path::Path;

use anyhow::Result;
use mobilenas_onnx::{Batch, OPSET};
use mobilenas_torch::weights::{About, Named, save};
use mobilenas_torch::{Net, NetError};
use tch::{Kind, Tensor};

use super::super::{Input, destination};

/// A tensor in single precision, if all its numbers are finite there.
pub(super) fn finite(name: &str, tensor: &Tensor) -> Result<Tensor> {
    let single = if tensor.is_floating_point() { tensor.f_to_kind(Kind::Float)? } else { tensor.shallow_clone() };
    match bool::try_from(single.f_isfinite()?.f_all()?)? {
        true => Ok(single),
        false => Err(Input(format!("{name} holds values that are not finite, expected sound weights")).into()),
    }
}

/// The tensors of a network, if all their numbers are finite.
pub(super) fn sound(net: &Net) -> Result<Named> {
    let tensors = net.named();
    tensors.iter().try_for_each(|(name, t)| finite(name, t).map(drop))?;
    Ok(tensors)
}

/// Weights that an ONNX file cannot hold are a fault of the input.
pub(super) fn unfit(error: NetError) -> anyhow::Error {
    match error {
        NetError::Onnx(e) => Input(e.to_string()).into(),
        e => e.into(),
    }
}

/// Writes tensors and says so.
pub(super) fn write(out: &Path, named: &Named, about: &About, title: &str) -> Result<()> {
    save(&destination::place(out), named, about).map_err(|e| Input(e.to_string()))?;
    destination::say(out, format!("{title}: {} tensors written to {}", named.len(), out.display()))?;
    Ok(())
}

/// Writes an ONNX file and says so.
pub(super) fn written(out: &Path, bytes: &[u8], what: &str) -> Result<()> {
    destination::write(out, bytes)?;
    destination::say(out, format!("{what}, opset {OPSET}, {} bytes written to {}", bytes.len(), out.display()))?;
    Ok(())
}

/// A batch in words.
pub(super) fn in_words(batch: Batch) -> String {
    match batch {
        Batch::Dynamic => "any number of images".to_string(),
        Batch::Fixed(n) => format!("batch {n}"),
    }
}
