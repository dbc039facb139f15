//! The part of each batch that one of several processes makes.

/// The part of each batch that a process makes: the `rank`-th of `ranks`. All parts together are the batch that one process
/// alone would make, image by image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Counts from 0.
    pub rank: usize,
    /// How many there are.
    pub ranks: usize,
}

impl Share {
    /// All of it.
    pub const WHOLE: Share = Share { rank: 0, ranks: 1 };

    /// The slots of a batch of `n` that are in this part, in ascending order. Where images are mixed `in_pairs`, each with
    /// the one as far from the end as it is from the beginning, both are in the same part, and as far from its ends.
    pub fn slots(self, n: usize, in_pairs: bool) -> Vec<usize> {
        let Share { rank, ranks } = self;
        let part = |n: usize| n * rank / ranks..n * (rank + 1) / ranks;
        if !in_pairs {
            return part(n).collect();
        }
        let front = part(n / 2);
        let middle = (n % 2 == 1 && rank + 1 == ranks).then_some(n / 2);
        let back = n - front.end..n - front.start;
        front.chain(middle).chain(back).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_batch_and_pairs_stay_together() {
        for (n, ranks) in [(1, 1), (8, 2), (9, 2), (10, 3), (64, 4), (7, 3)] {
            for in_pairs in [false, true] {
                let parts: Vec<Vec<usize>> = (0..ranks).map(|rank| Share { rank, ranks }.slots(n, in_pairs)).collect();
                let mut all = parts.concat();
                all.sort_unstable();
                assert_eq!(all, (0..n).collect::<Vec<_>>(), "{n} for {ranks}");
                for part in parts {
                    assert!(part.is_sorted());
                    let mirrored: Vec<usize> = part.iter().rev().map(|slot| n - 1 - slot).collect();
                    assert!(!in_pairs || mirrored == part, "{part:?} of {n}");
                }
            }
        }
        assert_eq!(Share::WHOLE.slots(5, true), [0, 1, 2, 3, 4]);
    }
}
