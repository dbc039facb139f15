//! Paths: the identity of a block, a node and a tensor.

use std::fmt;

use smallvec::SmallVec;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A name, `attn`.
    Name(&'static str),
    /// A position, `0`.
    Index(u32),
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Step {
        Step::Name(name)
    }
}

impl From<u32> for Step {
    fn from(index: u32) -> Step {
        Step::Index(index)
    }
}

/// `stages.2.1.attn.qkv`: cheap to build and to copy, written out with dots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(SmallVec<[Step; 6]>);

impl Path {
    /// The path without steps.
    pub fn root() -> Path {
        Path::default()
    }

    /// This path and one more step.
    #[must_use]
    pub fn at(&self, step: impl Into<Step>) -> Path {
        let mut p = self.clone();
        p.0.push(step.into());
        p
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            match step {
                Step::Name(n) => f.write_str(n)?,
                Step::Index(i) => write!(f, "{i}")?,
            }
        }
        Ok(())
    }
}
