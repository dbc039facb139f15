//! What a class is made of: statements with places for numbers.
//!
//! Templates are Python with places: `#0` is a number, `$0` an input, `@0` an input as an operand (in parentheses if it is
//! a sum), `~` the module itself. `<, stride=#3|1>` is left out where the number is 1, and `{T|#4}` is `T` so many times.

use mobilenas_space::ir::{ActFn, Sections};

use crate::helpers::Helper;

/// The product of two matrices.
pub(crate) const MATMUL: &str = "@0 @ @1";

/// A number in a class, as one instance has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Num {
    /// Channels, which may be heads of several channels or parts of a concatenation.
    Channels(Sections),
    Int(u32),
    /// A number as Python writes it.
    Real(String),
    Bool(bool),
    /// An activation; none is the identity.
    Act(Option<ActFn>),
}

impl Num {
    /// Whether both are the same number in Python.
    pub(crate) fn same(&self, other: &Num) -> bool {
        self.plain() == other.plain()
    }

    /// The number without the sections of its channels.
    pub(crate) fn plain(&self) -> Num {
        match self {
            Num::Channels(s) => Num::Int(s.total()),
            Num::Int(_) | Num::Real(_) | Num::Bool(_) | Num::Act(_) => self.clone(),
        }
    }
}

/// What a number counts. Only numbers of the same unit are one argument. In the order of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Unit {
    Channels,
    Classes,
    Heads,
    HeadDim,
    Count,
    Side,
    Patch,
    Rows,
    Eps,
    Scale,
    Kernel,
    Stride,
    Pad,
    Groups,
    Bias,
    Flag,
    Rate,
    Act,
}

impl Unit {
    /// Whether it is an argument even if all instances agree.
    pub(crate) fn always_argument(self) -> bool {
        matches!(self, Unit::Channels | Unit::Classes | Unit::Heads | Unit::HeadDim | Unit::Side)
    }

    /// Whether calls pass it by position.
    pub(crate) fn positional(self) -> bool {
        matches!(self, Unit::Channels | Unit::Classes)
    }

    /// Its type in Python.
    pub(crate) fn annotation(self) -> &'static str {
        match self {
            Unit::Eps | Unit::Scale | Unit::Rate => "float",
            Unit::Bias | Unit::Flag => "bool",
            Unit::Act => "type[nn.Module]",
            #[rustfmt::skip]
            Unit::Channels | Unit::Classes | Unit::Heads | Unit::HeadDim | Unit::Count | Unit::Side | Unit::Patch
            | Unit::Rows | Unit::Kernel | Unit::Stride | Unit::Pad | Unit::Groups => "int",
        }
    }

    /// What an argument is if a call leaves it out.
    pub(crate) fn default(self) -> Option<&'static str> {
        match self {
            Unit::Kernel | Unit::Stride | Unit::Groups => Some("1"),
            Unit::Pad => Some("0"),
            Unit::Bias => Some("True"),
            Unit::Flag => Some("False"),
            Unit::Rate => Some("0.0"),
            Unit::Act => Some("nn.Identity"),
            #[rustfmt::skip]
            Unit::Channels | Unit::Classes | Unit::Heads | Unit::HeadDim | Unit::Count | Unit::Side | Unit::Patch
            | Unit::Rows | Unit::Eps | Unit::Scale => None,
        }
    }

    /// The number of an instance that lacks the statement.
    pub(crate) fn absent(self) -> Num {
        match self {
            Unit::Eps | Unit::Scale | Unit::Rate => Num::Real("0.0".to_string()),
            Unit::Bias | Unit::Flag => Num::Bool(false),
            Unit::Act => Num::Act(None),
            Unit::Channels => Num::Channels(Sections::plain(0)),
            #[rustfmt::skip]
            Unit::Classes | Unit::Heads | Unit::HeadDim | Unit::Count | Unit::Side | Unit::Patch | Unit::Rows
            | Unit::Kernel | Unit::Stride | Unit::Pad | Unit::Groups => Num::Int(0),
        }
    }
}

/// A place for a number, with what to call it. A smaller `rank` is a better name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) unit: Unit,
    pub(crate) hint: String,
    pub(crate) rank: u8,
    pub(crate) num: Num,
}

impl Slot {
    pub(crate) fn new(unit: Unit, hint: &str, num: Num) -> Slot {
        Slot { unit, hint: hint.to_string(), rank: 2, num }
    }

    pub(crate) fn rank(self, rank: u8) -> Slot {
        Slot { rank, ..self }
    }

    pub(crate) fn int(unit: Unit, hint: &str, number: u32) -> Slot {
        Slot::new(unit, hint, Num::Int(number))
    }

    pub(crate) fn channels(hint: &str, sections: &Sections) -> Slot {
        Slot::new(Unit::Channels, hint, Num::Channels(sections.clone()))
    }
}

/// A value in a class: an input, or a result of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Ref {
    Input(usize),
    /// Statement, and which of its results.
    Result(usize, usize),
}

/// How an instance that lacks a statement goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Skip {
    /// It cannot lack it.
    Never,
    /// The value of an input; the module is `nn.Identity`, if it is one.
    Input(usize),
    /// The value of an input; a number makes the statement the identity.
    Neutral(usize),
    /// The value of the second input; a flag says whether.
    Residual,
}

/// A line of a class, without its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Statement {
    /// The attribute that it makes, if any.
    pub(crate) name: Option<String>,
    /// The right side of the attribute in the constructor; empty if it makes none.
    pub(crate) make: String,
    /// The expression in `forward`.
    pub(crate) call: String,
    /// Names of its results; one unnamed result if empty.
    pub(crate) results: Vec<&'static str>,
    /// How often a chain of modules calls others, for the length of lines.
    pub(crate) skip: Skip,
    pub(crate) helpers: Vec<Helper>,
    /// Whether it reads heads or parts of channels, so that sums of sections are written out.
    pub(crate) divides: bool,
}

/// A module as it is in the graph: statements with their inputs and numbers.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) statements: Vec<Statement>,
    pub(crate) args: Vec<Vec<Ref>>,
    pub(crate) slots: Vec<Vec<Slot>>,
    pub(crate) outputs: Vec<Ref>,
}
