//! What a network is given: images or, where a block runs alone, the values that it reads.

use mobilenas_space::ir::{Graph, Value};
use tch::{TchError, Tensor};

use crate::error::{NetError, torch};
use crate::layout;

/// The images as the graph reads them: channels-last, which convolutions on a CPU prefer and every later map keeps, with a
/// single channel repeated. A block that runs alone may take rows instead of images, and those stay as they are.
fn input(images: &Tensor, channels: u32) -> Result<Tensor, TchError> {
    let x = match images.size()[..] {
        [b, 1, h, w] if channels > 1 => images.f_expand([b, i64::from(channels), h, w], false)?,
        _ => images.shallow_clone(),
    };
    if x.dim() == 4 && channels > 1 { layout::channels_last(&x) } else { Ok(x) }
}

/// The values of the nodes that a graph's inputs are.
pub(crate) fn values(graph: &Graph, given: &[&Tensor]) -> Result<Vec<Option<Tensor>>, NetError> {
    let expected = graph.inputs().count();
    if given.len() != expected {
        return Err(NetError::Inputs { found: given.len(), expected });
    }
    let mut values = Vec::with_capacity(graph.nodes.len());
    for (value, x) in graph.inputs().zip(given) {
        values.push(Some(input(x, image_channels(value)).map_err(torch("input"))?));
    }
    Ok(values)
}

/// The channels of the images that a graph reads; 1, which asks for no repetition, if it is a block that reads rows.
fn image_channels(input: &Value) -> u32 {
    if input.hw().is_some() { input.channels() } else { 1 }
}
