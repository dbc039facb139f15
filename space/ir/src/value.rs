//! The type of a value: its shape without the batch, and its channels.

use std::fmt;

use smallvec::{SmallVec, smallvec};

/// Sizes of all axes but the batch.
pub type Dims = SmallVec<[u32; 4]>;

/// `count` equal runs of `len` channels: `(3 * heads) x head_dim` for a fused q|k|v, `1 x width` for plain channels.
///
/// A narrower network uses the leading channels of the leading runs of a wider one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Section {
    /// Number of runs.
    pub count: u32,
    /// Channels in each.
    pub len: u32,
}

/// The sections of a channel axis, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sections(pub SmallVec<[Section; 2]>);

impl Sections {
    /// One undivided run of `len` channels.
    pub fn plain(len: u32) -> Sections {
        Sections(smallvec![Section { count: 1, len }])
    }

    /// `count` runs of `len` channels, such as attention heads.
    pub fn runs(count: u32, len: u32) -> Sections {
        Sections(smallvec![Section { count, len }])
    }

    /// Two halves of `len` channels; the first has the odd one.
    pub fn halves(len: u32) -> Sections {
        Sections::plain(len.div_ceil(2)).join(&Sections::plain(len / 2))
    }

    /// The sections of `self` followed by those of `other`.
    pub fn join(&self, other: &Sections) -> Sections {
        Sections(self.0.iter().chain(&other.0).copied().collect())
    }

    /// The number of channels.
    pub fn total(&self) -> u32 {
        self.0.iter().map(|s| s.count * s.len).sum()
    }

    /// The sections of the `len` channels from `start` on; `None` if the range splits a run.
    pub fn piece(&self, start: u32, len: u32) -> Option<Sections> {
        let (mut at, end, mut out) = (0, start + len, SmallVec::new());
        for s in &self.0 {
            let (from, to) = (start.max(at), end.min(at + s.count * s.len));
            if from < to {
                if (from - at) % s.len != 0 || (to - at) % s.len != 0 {
                    return None;
                }
                out.push(Section { count: (to - from) / s.len, len: s.len });
            }
            at += s.count * s.len;
        }
        (at >= end).then_some(Sections(out))
    }
}

/// A value: its shape without the batch, its channel axis, and the sections of that axis.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value {
    /// Sizes without the batch: `[C, H, W]`, `[P, N, C]`, `[N, C]` or `[C]`.
    pub dims: Dims,
    /// The channel axis, not counting the batch.
    pub axis: usize,
    /// The sections of the channels.
    pub sections: Sections,
    /// How many of these one image has: more than 1 after a map was cut into windows, each an image of its own.
    pub windows: u32,
}

impl Value {
    /// An image or feature map `[C, H, W]`.
    pub fn map(sections: Sections, h: u32, w: u32) -> Value {
        Value { dims: smallvec![sections.total(), h, w], axis: 0, sections, windows: 1 }
    }

    /// Rows: the given leading sizes, channels last.
    pub fn rows(leading: &[u32], sections: Sections) -> Value {
        let dims: Dims = leading.iter().copied().chain([sections.total()]).collect();
        Value { axis: dims.len() - 1, dims, sections, windows: 1 }
    }

    /// A matrix of `rows` x `columns` for each head.
    pub fn heads(heads: u32, rows: u32, columns: u32) -> Value {
        Value { dims: smallvec![heads, rows, columns], axis: 0, sections: Sections::runs(heads, 1), windows: 1 }
    }

    /// The number of channels.
    pub fn channels(&self) -> u32 {
        self.dims[self.axis]
    }

    /// The number of elements for one image.
    pub fn elements(&self) -> u64 {
        self.dims.iter().map(|&d| u64::from(d)).product::<u64>() * u64::from(self.windows)
    }

    /// The number of positions: elements per channel.
    pub fn positions(&self) -> u64 {
        self.elements() / u64::from(self.channels()).max(1)
    }

    /// Height and width of a map.
    pub fn hw(&self) -> Option<(u32, u32)> {
        match (self.axis, self.dims.as_slice()) {
            (0, &[_, h, w]) => Some((h, w)),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value { dims, axis, sections, windows } = self;
        let mut all = f.debug_struct("Value");
        all.field("dims", dims).field("axis", axis).field("sections", sections);
        // Left out where nothing is cut, as in digests from before there were windows.
        if *windows > 1 {
            all.field("windows", windows);
        }
        all.finish()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.dims.iter().enumerate() {
            write!(f, "{}{d}", if i == 0 { "" } else { "x" })?;
        }
        if self.windows > 1 {
            write!(f, " of {} windows", self.windows)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_the_cuts() {
        let qkv = Sections::runs(12, 16);
        assert_eq!(qkv.total(), 192);
        assert_eq!(qkv.piece(64, 64), Some(Sections::runs(4, 16)));
        assert_eq!(qkv.piece(8, 64), None);
        assert_eq!(qkv.piece(128, 128), None);
        let both = Sections::plain(24).join(&Sections::plain(40));
        assert_eq!(both.piece(24, 40), Some(Sections::plain(40)));
        assert_eq!(both.piece(0, 64), Some(both.clone()));
    }
}
