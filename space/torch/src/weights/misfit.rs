//! One difference between a network and a list of tensors.

use std::fmt;

use tch::Kind;

/// One difference between a network and a list of tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The network's, not in the list.
    Missing(String, Vec<i64>),
    /// In the list, not the network's.
    Unexpected(String),
    /// Of another shape: found and expected.
    Shape(String, Vec<i64>, Vec<i64>),
    /// Of another type: found, and whether whole numbers were expected.
    Type(String, Kind, bool),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Missing(name, shape) => write!(f, "{name} is missing, expected with shape {shape:?}"),
            Misfit::Unexpected(name) => write!(f, "{name} is not part of it"),
            Misfit::Shape(name, found, expected) => write!(f, "{name} has shape {found:?}, expected {expected:?}"),
            Misfit::Type(name, found, whole) => {
                let expected = if *whole { "whole numbers" } else { "floating-point numbers" };
                write!(f, "{name} has type {found:?}, expected {expected}")
            }
        }
    }
}
