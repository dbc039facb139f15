//! Inputs with their sizes: those of the file, and those given for its dynamic axes.

use std::collections::BTreeMap;

use super::ReadError;
use super::nodes::type_in_words;
use crate::proto::{Dim, Graph, Size, TensorType, ValueInfo};

/// Sizes that a user gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    /// Of dynamic axes by their names.
    pub dims: BTreeMap<String, i64>,
    /// Of whole inputs by their names.
    pub inputs: BTreeMap<String, Vec<i64>>,
}

/// An input with every size known.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its element type, as the format numbers them.
    pub kind: i32,
    /// Its sizes.
    pub dims: Vec<i64>,
}

/// The inputs that a user feeds: older files list initialisers as inputs too.
pub(super) fn real(graph: &Graph) -> impl Iterator<Item = &ValueInfo> {
    graph.input.iter().filter(|i| !graph.initializer.iter().any(|t| t.name == i.name))
}

/// The dynamic axes of an input by position, with their names; an axis without a name has an empty one.
fn dynamic(tensor: &TensorType) -> Vec<(usize, &str)> {
    let dims = tensor.shape.iter().flat_map(|s| &s.dim).enumerate();
    dims.filter_map(|(i, d)| match &d.size {
        Some(Size::Value(n)) if *n >= 0 => None,
        Some(Size::Param(name)) => Some((i, name.as_str())),
        Some(Size::Value(_)) | None => Some((i, "")),
    })
    .collect()
}

/// The inputs of a file with the sizes that were given for its dynamic axes.
///
/// # Errors
/// When a size is missing, does not fit the file, or is of something that the file does not have.
pub fn inputs(graph: &Graph, given: &Sizes) -> Result<Vec<Input>, ReadError> {
    let mut tensors = Vec::new();
    for input in real(graph) {
        let name = input.name.clone().unwrap_or_default();
        let words = || input.kind.as_ref().map_or_else(|| "no type".to_string(), type_in_words);
        let tensor = input.kind.as_ref().and_then(|k| k.tensor_type.as_ref());
        let expected = "a tensor".to_string();
        tensors.push((tensor.ok_or_else(|| ReadError::Input { name: name.clone(), found: words(), expected })?, name));
    }
    known(given, &tensors)?;
    let mut axes = given.dims.clone();
    // The size of a whole input tells the axes that it shares with others.
    for (tensor, name) in &tensors {
        let Some(size) = given.inputs.get(name) else { continue };
        fits(tensor, name, size)?;
        for (i, axis) in dynamic(tensor).into_iter().filter(|(_, axis)| !axis.is_empty()) {
            let before = *axes.entry(axis.to_string()).or_insert(size[i]);
            if before != size[i] {
                let (found, expected) = (format!("{} for the axis {axis}", size[i]), format!("{before} as elsewhere"));
                return Err(ReadError::Input { name: name.clone(), found, expected });
            }
        }
    }
    tensors
        .into_iter()
        .map(|(tensor, name)| {
            let dims = match given.inputs.get(&name) {
                Some(size) => size.clone(),
                None => of_axes(tensor, &name, &axes)?,
            };
            Ok(Input { name, kind: tensor.elem_type.unwrap_or_default(), dims })
        })
        .collect()
}

/// Refuses sizes of inputs and axes that the file does not have.
fn known(given: &Sizes, tensors: &[(&TensorType, String)]) -> Result<(), ReadError> {
    let listed = |all: Vec<&str>| match all.is_empty() {
        true => "none: there is none in this file".to_string(),
        false => all.join(", "),
    };
    if let Some(name) = given.inputs.keys().find(|n| !tensors.iter().any(|(_, t)| t == *n)) {
        let expected = listed(tensors.iter().map(|(_, n)| n.as_str()).collect());
        return Err(ReadError::Unknown { what: "input", name: name.clone(), expected });
    }
    let mut axes: Vec<&str> = tensors.iter().flat_map(|(t, _)| dynamic(t)).map(|(_, axis)| axis).collect();
    axes.retain(|a| !a.is_empty());
    axes.sort_unstable();
    axes.dedup();
    match given.dims.keys().find(|d| !axes.contains(&d.as_str())) {
        Some(name) => Err(ReadError::Unknown { what: "axis", name: name.clone(), expected: listed(axes) }),
        None => Ok(()),
    }
}

/// Refuses a size that the file excludes.
fn fits(tensor: &TensorType, name: &str, size: &[i64]) -> Result<(), ReadError> {
    let Some(shape) = &tensor.shape else { return Ok(()) };
    let same = |(n, d): (&i64, &Dim)| match &d.size {
        Some(Size::Value(fixed)) if *fixed >= 0 => n == fixed,
        Some(Size::Value(_) | Size::Param(_)) | None => true,
    };
    if shape.dim.len() == size.len() && size.iter().zip(&shape.dim).all(same) {
        return Ok(());
    }
    let expected = type_in_words(&tensor.clone().into());
    Err(ReadError::Input { name: name.to_string(), found: format!("the size {}", joined(size)), expected })
}

fn joined(size: &[i64]) -> String {
    size.iter().map(i64::to_string).collect::<Vec<_>>().join("x")
}

fn of_axes(tensor: &TensorType, name: &str, axes: &BTreeMap<String, i64>) -> Result<Vec<i64>, ReadError> {
    let missing = |found: String, expected: String| ReadError::Input { name: name.to_string(), found, expected };
    let Some(shape) = &tensor.shape else {
        let expected = format!("a size, such as --size {name}=1x3x224x224");
        return Err(missing("no shape in the file".to_string(), expected));
    };
    let example: Vec<String> = shape.dim.iter().map(|d| super::nodes::dim_in_words(d.size.as_ref())).collect();
    let size = |d: &Dim| match &d.size {
        Some(Size::Value(n)) if *n >= 0 => Ok(*n),
        Some(Size::Param(axis)) if !axis.is_empty() => axes.get(axis).copied().ok_or_else(|| {
            let expected = format!("its size: --dim {axis}=1, or dims: in the config");
            missing(format!("the dynamic axis {axis} in [{}]", example.join(", ")), expected)
        }),
        Some(Size::Value(_) | Size::Param(_)) | None => {
            let expected = format!("a size: --size {name}={}, with numbers for each ?", example.join("x"));
            Err(missing(format!("a dynamic axis without a name in [{}]", example.join(", ")), expected))
        }
    };
    shape.dim.iter().map(size).collect()
}
