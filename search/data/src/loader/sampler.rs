//! Which images a step takes, and at which size: a function of (seed, step) alone.

use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use mobilenas_space::seed::{Purpose, rng};

/// How many images a step takes when sides vary; `b` is the batch at the base side `B`, `s` the step's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formula {
    /// `B² b / s²`; the base is the largest side (MobileViT, Mehta and Rastegari, 2021).
    Paper,
    /// `max(b, B² b / s²)`: larger sides do not take fewer (ml-cvnets 0.1, which trained MobileViT).
    CvnetsV01,
    /// `B² b / s²` (ml-cvnets since).
    Cvnets,
}

/// Sides of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiScale {
    /// How many images a step takes.
    pub formula: Formula,
    /// The side at which a step takes the batch; the paper's formula takes the largest.
    pub base: u32,
    /// The sides, each as likely as the others.
    pub sides: Vec<u32>,
}

impl MultiScale {
    /// Images in a step of a side.
    pub fn count(&self, batch: usize, side: u32) -> usize {
        let base = match self.formula {
            Formula::Paper => self.sides.iter().copied().max().unwrap_or(self.base),
            _ => self.base,
        };
        let (base, side) = (u64::from(base), u64::from(side.max(1)));
        let count = (base * base * batch as u64 / (side * side)) as usize;
        if self.formula == Formula::CvnetsV01 { count.max(batch) } else { count.max(1) }
    }
}

/// How images are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Images in a step.
    pub batch: usize,
    /// Views of one image in a row: repeated augmentation (Hoffer et al., 2020). An epoch keeps its length.
    pub repeats: usize,
    /// Steps of several sizes.
    pub scale: Option<MultiScale>,
}

/// The images of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Their positions in the set.
    pub indices: Vec<usize>,
    /// The step's side in pixels, where sides vary.
    pub side: Option<u32>,
}

/// A sampler over a split: a fresh shuffle each epoch. Steps of one size leave out an epoch's last, short batch; steps of
/// several sizes fill it up from the epoch's beginning.
#[derive(Debug)]
pub(super) struct Order {
    indices: Vec<usize>,
    how: Sampler,
    seed: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// First step of each epoch seen so far, and of the one after, where sizes vary.
    firsts: Vec<u64>,
    /// The shuffle of the last epoch asked for.
    shuffled: Option<(u64, Arc<Vec<usize>>)>,
}

impl Order {
    pub(super) fn new(indices: Vec<usize>, how: Sampler, seed: u64) -> Order {
        let batch = how.batch.clamp(1, indices.len().max(1));
        Order { indices, how: Sampler { batch, ..how }, seed, known: Mutex::default() }
    }

    /// Images an epoch passes.
    pub(super) fn images(&self) -> usize {
        self.indices.len()
    }

    /// Any image of the split.
    pub(super) fn other(&self, rng: &mut dyn rand::Rng) -> usize {
        self.indices[rng.random_range(0..self.indices.len())]
    }

    /// The most images of a step, and its side: the largest in bytes.
    pub(super) fn largest(&self) -> (usize, Option<u32>) {
        let Some(scale) = &self.how.scale else { return (self.how.batch, None) };
        let of = |s: &u32| (scale.count(self.how.batch, *s), Some(*s));
        let bytes = |(n, s): &(usize, Option<u32>)| *n as u64 * u64::from(s.unwrap_or(1)).pow(2);
        scale.sides.iter().map(of).max_by_key(bytes).unwrap_or((self.how.batch, None))
    }

    /// The fewest images of a step.
    pub(super) fn smallest(&self) -> usize {
        let counts = self.how.scale.iter().flat_map(|s| s.sides.iter().map(|side| s.count(self.how.batch, *side)));
        counts.min().unwrap_or(self.how.batch).min(self.indices.len())
    }

    /// Sides and first places of an epoch's steps, where sizes vary.
    fn steps_of(&self, scale: &MultiScale, epoch: u64) -> Vec<(usize, usize, u32)> {
        let (mut rng, mut at, mut out) = (rng(self.seed, Purpose::Scale, epoch, 0), 0, Vec::new());
        while at < self.indices.len() {
            let side = scale.sides.get(rng.random_range(0..scale.sides.len().max(1))).copied().unwrap_or(scale.base);
            let count = scale.count(self.how.batch, side).min(self.indices.len());
            out.push((at, count, side));
            at += count;
        }
        out
    }

    /// Steps of an epoch.
    fn length(&self, epoch: u64) -> u64 {
        match &self.how.scale {
            None => (self.indices.len() / self.how.batch).max(1) as u64,
            Some(scale) => self.steps_of(scale, epoch).len().max(1) as u64,
        }
    }

    /// First step of an epoch.
    fn first(&self, epoch: u64) -> u64 {
        if self.how.scale.is_none() {
            return epoch * self.length(0);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.firsts.is_empty() {
            known.firsts.push(0);
        }
        while known.firsts.len() as u64 <= epoch {
            let last = known.firsts.len() - 1;
            let next = known.firsts[last] + self.length(last as u64);
            known.firsts.push(next);
        }
        known.firsts[epoch as usize]
    }

    /// The epoch of a step, and the step's place in it.
    fn place(&self, step: u64) -> (u64, u64) {
        if self.how.scale.is_none() {
            let length = self.length(0);
            return (step / length, step % length);
        }
        let mut epoch = 0;
        while self.first(epoch + 1) <= step {
            epoch += 1;
        }
        (epoch, step - self.first(epoch))
    }

    /// Steps of a number of epochs, which may be a fraction.
    pub(super) fn steps(&self, epochs: f64) -> u64 {
        if self.how.scale.is_none() {
            return (epochs * self.length(0) as f64).round() as u64;
        }
        let whole = epochs.floor() as u64;
        let rest = ((epochs - epochs.floor()) * self.length(whole) as f64).round() as u64;
        self.first(whole) + rest
    }

    /// Epochs done when so many steps are.
    pub(super) fn epochs(&self, steps: u64) -> f64 {
        let (epoch, within) = self.place(steps);
        epoch as f64 + within as f64 / self.length(epoch) as f64
    }

    fn shuffled(&self, epoch: u64) -> Arc<Vec<usize>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((e, order)) = &known.shuffled
            && *e == epoch
        {
            return order.clone();
        }
        let mut order = self.indices.clone();
        order.shuffle(&mut rng(self.seed, Purpose::Order, epoch, 0));
        if self.how.repeats > 1 {
            let n = order.len();
            order = order.into_iter().flat_map(|i| std::iter::repeat_n(i, self.how.repeats)).take(n).collect();
        }
        let order = Arc::new(order);
        known.shuffled = Some((epoch, order.clone()));
        order
    }

    /// The images of a step, counted from 0 over all epochs.
    pub(super) fn at(&self, step: u64) -> Draw {
        let (epoch, within) = self.place(step);
        let order = self.shuffled(epoch);
        let (from, count, side) = match &self.how.scale {
            None => (within as usize * self.how.batch, self.how.batch, None),
            Some(scale) => {
                let steps = self.steps_of(scale, epoch);
                steps.get(within as usize).map_or((0, 0, None), |(from, count, side)| (*from, *count, Some(*side)))
            }
        };
        let indices = order.iter().cycle().skip(from).take(count.min(order.len())).copied().collect();
        Draw { indices, side }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn scale(formula: Formula) -> MultiScale {
        MultiScale { formula, base: 256, sides: vec![160, 192, 256, 288, 320] }
    }

    #[test]
    fn both_published_formulas() {
        let of = |f| [160, 192, 256, 288, 320].map(|s| scale(f).count(128, s));
        assert_eq!(of(Formula::CvnetsV01), [327, 227, 128, 128, 128]);
        assert_eq!(of(Formula::Cvnets), [327, 227, 128, 101, 81]);
        // 320² · 128 / s²
        assert_eq!(of(Formula::Paper), [512, 355, 200, 158, 128]);
    }

    #[test]
    fn steps_of_one_size_pass_each_image_once_an_epoch() {
        let order = Order::new((0..103).collect(), Sampler { batch: 10, repeats: 1, scale: None }, 1);
        assert_eq!((order.steps(1.0), order.steps(2.5), order.steps(0.01)), (10, 25, 0));
        let seen: BTreeSet<usize> = (10..20).flat_map(|s| order.at(s).indices).collect();
        assert_eq!(seen.len(), 100);
        assert_ne!(order.at(0), order.at(10));
        assert_eq!(order.epochs(15), 1.5);
    }

    #[test]
    fn steps_of_several_sizes_pass_all_images_and_the_step_alone_decides() {
        let how = Sampler { batch: 8, repeats: 1, scale: Some(scale(Formula::Cvnets)) };
        let order = Order::new((0..500).collect(), how.clone(), 7);
        let first = order.steps(1.0);
        let seen: BTreeSet<usize> = (0..first).flat_map(|s| order.at(s).indices).collect();
        assert_eq!(seen.len(), 500, "an epoch passes every image");
        let sides: BTreeSet<_> = (0..first).map(|s| order.at(s).side).collect();
        assert_eq!(sides.len(), 5);
        assert!(
            (0..first).all(|s| order.at(s).indices.len() == scale(Formula::Cvnets).count(8, order.at(s).side.unwrap()))
        );
        let late = order.steps(3.0) - 1;
        assert_eq!(Order::new((0..500).collect(), how, 7).at(late), order.at(late), "whatever was asked for before");
        assert!(order.steps(2.5) > order.steps(2.0) && order.steps(2.5) < order.steps(3.0));
        assert_eq!(order.epochs(order.steps(2.0)), 2.0);
    }

    #[test]
    fn repeats_follow_each_other_and_an_epoch_keeps_its_length() {
        let order = Order::new((0..90).collect(), Sampler { batch: 9, repeats: 3, scale: None }, 1);
        let all: Vec<usize> = (0..order.steps(1.0)).flat_map(|s| order.at(s).indices).collect();
        assert_eq!(all.len(), 90);
        assert!(all.chunks(3).all(|c| c[0] == c[1] && c[1] == c[2]));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 30);
    }
}
