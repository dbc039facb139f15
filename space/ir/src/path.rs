//! Paths: the identity of a block, a node and a tensor.

use std::fmt;

use smallvec::SmallVec;

/// One segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathSegment {
    /// A name: `attn`.
    Name(&'static str),
    /// An index: `0`.
    Index(u32),
    /// A name that ends in a number: `layer1`.
    Numbered(&'static str, u32),
}

impl From<&'static str> for PathSegment {
    fn from(name: &'static str) -> PathSegment {
        PathSegment::Name(name)
    }
}

impl From<(&'static str, u32)> for PathSegment {
    fn from((name, number): (&'static str, u32)) -> PathSegment {
        PathSegment::Numbered(name, number)
    }
}

impl From<u32> for PathSegment {
    fn from(index: u32) -> PathSegment {
        PathSegment::Index(index)
    }
}

/// A path such as `stages.2.1.attn.qkv`; cheap to build and to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(SmallVec<[PathSegment; 6]>);

impl Path {
    /// The path without segments.
    pub fn root() -> Path {
        Path::default()
    }

    /// This path and one more segment.
    #[must_use]
    pub fn at(&self, segment: impl Into<PathSegment>) -> Path {
        let mut p = self.clone();
        p.0.push(segment.into());
        p
    }

    /// This path below a prefix.
    #[must_use]
    pub fn below(&self, prefix: &Path) -> Path {
        Path(prefix.0.iter().chain(&self.0).copied().collect())
    }

    /// Its segments.
    pub fn segments(&self) -> &[PathSegment] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            match step {
                PathSegment::Name(n) => f.write_str(n)?,
                PathSegment::Index(i) => write!(f, "{i}")?,
                PathSegment::Numbered(n, i) => write!(f, "{n}{i}")?,
            }
        }
        Ok(())
    }
}
