//! A network with its tensors as an ONNX file.

use mobilenas_space::onnx::int8::Int8;
use mobilenas_space::onnx::{self, Arrays, Options};
use tch::Kind;

use crate::error::{NetError, torch};
use crate::net::Net;

/// The floating tensors of a network by name, in single precision.
///
/// # Errors
/// When libtorch refuses.
pub fn arrays(net: &Net) -> Result<Arrays, NetError> {
    let mut all = Arrays::new();
    for (name, tensor) in net.named().into_iter().filter(|(_, t)| t.is_floating_point()) {
        let flat = tensor.f_to_kind(Kind::Float).and_then(|t| t.f_reshape([-1])).map_err(torch(&name))?;
        let values = Vec::<f32>::try_from(flat).map_err(torch(&name))?;
        all.insert(name, values);
    }
    Ok(all)
}

/// The ONNX file of a network as it is: give a frozen one for the deployed form.
///
/// # Errors
/// When libtorch refuses.
pub fn to_onnx(net: &Net, options: &Options) -> Result<Vec<u8>, NetError> {
    Ok(onnx::write(net.graph(), &arrays(net)?, options)?)
}

/// A frozen network on its way to an int8 ONNX file.
///
/// # Errors
/// When libtorch refuses.
pub fn to_int8(net: &Net, options: &Options) -> Result<Int8, NetError> {
    Ok(Int8::new(net.graph(), &arrays(net)?, options)?)
}
