//! Run lengths of a mask, column by column from the upper left: first of pixels outside, then of pixels inside, and so
//! on.

use crate::{BBox, DenseError};

/// A mask as run lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    height: usize,
    width: usize,
    runs: Vec<u32>,
}

/// What the program takes for damage: masks of more pixels.
const MOST_PIXELS: usize = 1 << 30;

pub(super) fn damaged(found: impl Into<String>, expected: impl Into<String>) -> DenseError {
    DenseError::Mask { found: found.into(), expected: expected.into() }
}

impl Rle {
    /// From run lengths, which have to cover the mask.
    ///
    /// # Errors
    /// When they do not.
    pub fn new(height: usize, width: usize, runs: Vec<u32>) -> Result<Rle, DenseError> {
        let pixels = height.checked_mul(width).filter(|n| *n <= MOST_PIXELS);
        let pixels =
            pixels.ok_or_else(|| damaged(format!("{width} x {height} pixels"), format!("at most {MOST_PIXELS}")))?;
        let sum: u64 = runs.iter().map(|r| u64::from(*r)).sum();
        if sum != pixels as u64 {
            let found = format!("run lengths of {sum} pixels");
            return Err(damaged(found, format!("{pixels}, those of {width} x {height}")));
        }
        Ok(Rle { height, width, runs })
    }

    /// From levels, row by row; what is not 0 is inside.
    pub fn encode(levels: &[u8], width: usize, height: usize) -> Rle {
        let (mut runs, mut inside, mut long) = (Vec::new(), false, 0);
        for x in 0..width {
            for y in 0..height {
                let pixel = levels[y * width + x] != 0;
                if pixel != inside {
                    runs.push(long);
                    (inside, long) = (pixel, 0);
                }
                long += 1;
            }
        }
        runs.push(long);
        Rle { height, width, runs }
    }

    /// Levels, row by row: 1 inside, 0 outside.
    pub fn decode(&self) -> Vec<u8> {
        let mut levels = vec![0; self.width * self.height];
        for (from, to) in self.spans() {
            for at in from..to {
                levels[at % self.height * self.width + at / self.height] = 1;
            }
        }
        levels
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The run lengths.
    pub fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// From where to where the pixels inside go, column by column.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut at = 0;
        self.runs.chunks(2).map(move |pair| {
            let from = at + pair[0] as usize;
            at = from + pair.get(1).map_or(0, |long| *long as usize);
            (from, at)
        })
    }

    /// Pixels inside.
    pub fn area(&self) -> u64 {
        self.runs.iter().skip(1).step_by(2).map(|r| u64::from(*r)).sum()
    }

    /// The smallest box around the pixels inside; without any, one without area at the upper left.
    pub fn bbox(&self) -> BBox {
        let (mut left, mut right, mut top, mut bottom) = (self.width, 0, self.height, 0);
        for (from, to) in self.spans().filter(|(from, to)| from < to) {
            let (first, last) = (from / self.height, (to - 1) / self.height);
            (left, right) = (left.min(first), right.max(last + 1));
            let (above, below) =
                if first == last { (from % self.height, (to - 1) % self.height) } else { (0, self.height - 1) };
            (top, bottom) = (top.min(above), bottom.max(below + 1));
        }
        if right == 0 { BBox::default() } else { BBox::new(left as f64, top as f64, right as f64, bottom as f64) }
    }

    /// Pixels inside both masks, which are of one size.
    pub fn intersection(&self, other: &Rle) -> u64 {
        let (mut ours, mut theirs) = (self.spans().peekable(), other.spans().peekable());
        let mut shared = 0;
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            shared += a.1.min(b.1).saturating_sub(a.0.max(b.0)) as u64;
            if a.1 < b.1 {
                ours.next();
            } else {
                theirs.next();
            }
        }
        shared
    }

    /// The pixels inside any of some masks of a size.
    pub fn union(height: usize, width: usize, masks: &[Rle]) -> Rle {
        let mut spans: Vec<(usize, usize)> = masks.iter().flat_map(Rle::spans).filter(|(from, to)| from < to).collect();
        spans.sort_unstable();
        Rle::of_spans(height, width, spans)
    }

    /// From rising spans of pixels inside, which may overlap.
    pub(super) fn of_spans(height: usize, width: usize, spans: impl IntoIterator<Item = (usize, usize)>) -> Rle {
        let (mut runs, mut end) = (Vec::new(), 0);
        for (from, to) in spans {
            match runs.last_mut() {
                Some(last) if from <= end => *last += to.saturating_sub(end) as u32,
                _ => runs.extend([(from - end) as u32, (to - from) as u32]),
            }
            end = end.max(to);
        }
        if height * width > end || runs.is_empty() {
            runs.push((height * width - end) as u32);
        }
        Rle { height, width, runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let levels = [0, 1, 1, 0, 1, 0, 0, 0, 9];
        let mask = Rle::encode(&levels, 3, 3);
        assert_eq!((mask.runs(), mask.area()), ([3, 2, 1, 1, 1, 1].as_slice(), 4));
        assert_eq!(mask.decode(), levels.map(|l| u8::from(l > 0)));
        assert_eq!(mask.bbox(), BBox::new(1.0, 0.0, 3.0, 3.0));
        let row = Rle::encode(&[0, 0, 0, 1, 1, 0, 0, 0, 0], 3, 3);
        assert_eq!((row.bbox(), row.intersection(&mask)), (BBox::new(0.0, 1.0, 2.0, 2.0), 1));
        assert_eq!(Rle::union(3, 3, &[row.clone(), mask.clone()]).decode(), [0, 1, 1, 1, 1, 0, 0, 0, 1]);
        let none = Rle::encode(&[0; 9], 3, 3);
        assert_eq!((none.runs(), none.bbox(), none.intersection(&mask)), ([9].as_slice(), BBox::default(), 0));
        assert_eq!(Rle::union(3, 3, &[]), none);
        let all = Rle::encode(&[1; 9], 3, 3);
        assert_eq!(all.runs(), [0, 9]);
        assert_eq!(Rle::union(3, 3, &[mask, all.clone()]), all);
    }

    #[test]
    fn runs_have_to_cover_the_mask() {
        let e = Rle::new(3, 2, vec![1, 2]).unwrap_err().to_string();
        assert_eq!(e, "mask: found run lengths of 3 pixels, expected 6, those of 2 x 3");
        assert!(Rle::new(3, 2, vec![4, 2]).is_ok());
        assert!(Rle::new(usize::MAX, 2, vec![4, 2]).is_err());
    }
}
