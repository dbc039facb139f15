//! The type of a value on an edge of the graph: its size without the batch, and where its channels are.

use std::fmt;

use smallvec::{SmallVec, smallvec};

/// Sizes of all axes but the batch.
pub type Dims = SmallVec<[u32; 4]>;

/// `count` equal runs of `len` channels: `(3 * heads) x head_dim` for a fused q|k|v, `1 x width` for plain channels.
///
/// A narrower network takes the leading `len` of each of the leading `count` runs of a wider one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Section {
    /// Number of runs.
    pub count: u32,
    /// Channels in each.
    pub len: u32,
}

/// How an axis of channels is cut, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sections(pub SmallVec<[Section; 2]>);

impl Sections {
    /// One undivided run of `len` channels.
    pub fn plain(len: u32) -> Sections {
        Sections(smallvec![Section { count: 1, len }])
    }

    /// `count` runs of `len` channels, as of attention heads.
    pub fn runs(count: u32, len: u32) -> Sections {
        Sections(smallvec![Section { count, len }])
    }

    /// The sections of `self` followed by those of `other`.
    pub fn join(&self, other: &Sections) -> Sections {
        Sections(self.0.iter().chain(&other.0).copied().collect())
    }

    /// Channels in all.
    pub fn total(&self) -> u32 {
        self.0.iter().map(|s| s.count * s.len).sum()
    }

    /// The piece of `len` channels from `start` on, cut where sections or their runs end; `None` if it cuts a run.
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

/// A value: its size without the batch, which axis holds the channels, and how they are cut.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    /// Sizes without the batch: `[C, H, W]`, `[P, N, C]`, `[N, C]` or `[C]`.
    pub dims: Dims,
    /// The axis of the channels, counted without the batch.
    pub axis: usize,
    /// How the channels are cut.
    pub sections: Sections,
}

impl Value {
    /// An image or feature map `[C, H, W]`.
    pub fn map(sections: Sections, h: u32, w: u32) -> Value {
        Value { dims: smallvec![sections.total(), h, w], axis: 0, sections }
    }

    /// Rows of channels: the given leading sizes, channels last.
    pub fn rows(leading: &[u32], sections: Sections) -> Value {
        let dims: Dims = leading.iter().copied().chain([sections.total()]).collect();
        Value { axis: dims.len() - 1, dims, sections }
    }

    /// Channels.
    pub fn channels(&self) -> u32 {
        self.dims[self.axis]
    }

    /// Elements in one image's value.
    pub fn elements(&self) -> u64 {
        self.dims.iter().map(|&d| u64::from(d)).product()
    }

    /// Positions: elements over channels.
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

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.dims.iter().enumerate() {
            write!(f, "{}{d}", if i == 0 { "" } else { "x" })?;
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
