//! Splits, told apart by type: what scores candidates cannot be handed the test split.

use rand::seq::SliceRandom as _;

use super::Dataset;
use mobilenas_space::seed::{Purpose, rng};

/// Positions of the images that weights are trained on, and of those that candidates are scored on; both are cut from
/// the training set, and no image is in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// InMemoryImages that weights are trained on.
    pub train: Vec<usize>,
    /// InMemoryImages that candidates are scored on.
    pub search_val: SearchVal,
}

/// Positions, in the training set, of the images that candidates are scored on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchVal(Vec<usize>);

impl SearchVal {
    /// The positions.
    pub fn indices(&self) -> &[usize] {
        &self.0
    }
}

/// Positions in the test set. Only the final score of what is trained takes it, and the judging of a written int8 file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test(Vec<usize>);

impl Test {
    /// The positions.
    pub fn indices(&self) -> &[usize] {
        &self.0
    }
}

/// Cuts `search_val` images out of the training set, an equal share of each class up to rounding, and keeps at most
/// `limit` of the others.
pub fn split(train: &Dataset, search_val: usize, limit: Option<usize>, seed: u64) -> Split {
    let mut order: Vec<usize> = (0..train.targets.len()).collect();
    order.shuffle(&mut rng(seed, Purpose::Split, 0, 0));
    let n = order.len().max(1);
    // Images of several classes are shared out as those of one.
    let mut by_class = vec![Vec::new(); train.classes.len().max(1)];
    for i in order {
        let class = train.targets[i].class().unwrap_or_default();
        by_class[class as usize].push(i);
    }
    // The k-th image of a class has rank (k + 1/2) / size: the smallest ranks of all classes are an even share of each.
    let mut ranked: Vec<(u64, usize)> = Vec::with_capacity(n);
    for class in &by_class {
        let rank = |k: usize| (2 * k as u64 + 1) * (1 << 32) / (2 * class.len().max(1) as u64);
        ranked.extend(class.iter().enumerate().map(|(k, i)| (rank(k), *i)));
    }
    ranked.sort_unstable();
    let mut positions = ranked.into_iter().map(|(_, i)| i);
    let search_val = SearchVal(positions.by_ref().take(search_val).collect());
    let train = positions.take(limit.unwrap_or(usize::MAX)).collect();
    Split { train, search_val }
}

/// The test split: the whole test set, or its first `limit` images.
pub fn test_split(test: &Dataset, limit: Option<usize>) -> Test {
    Test((0..test.targets.len().min(limit.unwrap_or(usize::MAX))).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Target;
    use crate::dataset::{ImageSource, InMemoryImages};

    fn data(n: usize) -> Dataset {
        let images = ImageSource::Memory(InMemoryImages { n, height: 1, width: 1, channels: 1, pixels: vec![0; n] });
        let classes = ["a", "b", "c", "d"].map(str::to_string).to_vec();
        Dataset {
            images,
            targets: (0..n).map(|i| Target::Class((i * i % 7 % 4) as u32)).collect(),
            classes,
            ..Dataset::default()
        }
    }

    #[test]
    fn no_image_is_in_both_and_classes_keep_their_share() {
        let all = data(1000);
        let s = split(&all, 200, None, 1);
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = (s.train.iter().collect(), s.search_val.0.iter().collect());
        assert_eq!((a.len(), b.len()), (800, 200));
        assert!(a.is_disjoint(&b));
        for class in 0..4u32 {
            let of = |v: &[usize]| v.iter().filter(|i| all.targets[**i] == Target::Class(class)).count() as f64;
            let (whole, part) = (of(&(0..1000).collect::<Vec<_>>()), of(&s.search_val.0));
            assert!((part - whole / 5.0).abs() <= 1.0, "class {class}: {part} of {whole}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let all = data(1000);
        assert_eq!(split(&all, 100, None, 1), split(&all, 100, None, 1));
        assert_ne!(split(&all, 100, None, 1), split(&all, 100, None, 2));
        assert_eq!(split(&all, 100, Some(50), 1).train.len(), 50);
        assert_eq!(split(&all, 100, Some(50), 1).search_val, split(&all, 100, None, 1).search_val);
    }
}
