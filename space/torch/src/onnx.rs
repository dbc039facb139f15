//! Writes a network with its tensors as an ONNX file.

use mobilenas_onnx::int8::Int8Exporter;
use mobilenas_onnx::{Arrays, Options};
use tch::Kind;

use crate::error::{NetError, torch};
use crate::net::Net;

/// The floating-point tensors of a network by name, in float32.
///
/// # Errors
/// When the graph cannot be written, or libtorch fails.
pub fn arrays(net: &Net) -> Result<Arrays, NetError> {
    let mut all = Arrays::new();
    for (name, tensor) in net.named().into_iter().filter(|(_, t)| t.is_floating_point()) {
        let flat = tensor.f_to_kind(Kind::Float).and_then(|t| t.f_reshape([-1])).map_err(torch(&name))?;
        let values = Vec::<f32>::try_from(flat).map_err(torch(&name))?;
        all.insert(name, values);
    }
    Ok(all)
}

/// The ONNX file of a network; for the deployed form pass a frozen one.
///
/// # Errors
/// When the graph cannot be written, weights are not finite, or libtorch fails.
pub fn to_onnx(net: &Net, options: &Options) -> Result<Vec<u8>, NetError> {
    Ok(mobilenas_onnx::write(net.graph(), &arrays(net)?, options)?)
}

/// The exporter of a frozen network to an int8 ONNX file.
///
/// # Errors
/// When the graph cannot be written, or libtorch fails.
pub fn to_int8(net: &Net, options: &Options) -> Result<Int8Exporter, NetError> {
    Ok(Int8Exporter::new(net.graph(), &arrays(net)?, options)?)
}
