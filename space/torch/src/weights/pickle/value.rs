//! What a pickle holds, and why one is refused.

use std::fmt;
use std::rc::Rc;

/// The most values that a pickle may make: a state dict takes some dozens a tensor.
pub const MOST_VALUES: usize = 4 << 20;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float,
    /// Text.
    Text(Rc<str>),
    /// A tuple, list, set, dictionary or tensor in [`Pickle::parts`].
    Part(usize),
    /// A class or function that was not called.
    Name(Rc<str>),
    /// An object of a class, or a function's value, which was not made.
    Opaque(Rc<str>),
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A tuple, list or set.
    Items(Vec<Value>),
    /// A dictionary, in its order.
    Dict(Vec<(Value, Value)>),
    /// What a persistent id names: for PyTorch a storage. Its tuple.
    Persistent(Vec<Value>),
    /// A tensor over a storage: the arguments of the function that rebuilds it.
    Tensor(Vec<Value>),
}

/// A pickle, read.
#[derive(Debug)]
pub struct Pickle {
    /// Its value.
    pub root: Value,
    /// The containers.
    pub parts: Vec<Part>,
    /// Bytes that it took.
    pub len: usize,
}

impl Pickle {
    /// The container that a value is.
    pub fn part(&self, value: &Value) -> Option<(usize, &Part)> {
        let Value::Part(i) = value else { return None };
        self.parts.get(*i).map(|p| (*i, p))
    }

    /// The items of a tuple, list or set.
    pub fn items(&self, value: &Value) -> Option<&[Value]> {
        match self.part(value)? {
            (_, Part::Items(items)) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dictionary.
    pub fn entries(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match self.part(value)? {
            (_, Part::Dict(entries)) => Some(entries),
            _ => None,
        }
    }
}

/// Why a pickle was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It names something that runs programs or code.
    Name(String),
    /// An opcode that no state dict has.
    Opcode(u8, usize),
    /// It is cut short or makes no sense.
    Damaged(usize),
    /// It makes more values than any state dict has.
    Large,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Name(name) => write!(f, "its pickle wants to use {name:?}; nothing in it was run"),
            Refused::Opcode(op, at) => write!(f, "its pickle has the opcode {op:#04x} at byte {at}"),
            Refused::Damaged(at) => write!(f, "its pickle is damaged at byte {at}"),
            Refused::Large => write!(f, "its pickle makes more than {} values", MOST_VALUES),
        }
    }
}
