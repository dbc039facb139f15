//! MixUp (Zhang et al., 2017) and CutMix (Yun et al., 2019): each image of a batch is mixed with the one as far from the end
//! as it is from the beginning, all of them in the same measure, and so are their targets. As timm's mode `batch`.

use crate::Target;
use rand::{Rng, RngExt as _};
use rand_distr::{Beta, Distribution as _};

/// How batches are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Alpha of MixUp; 0 is off.
    pub mixup: f64,
    /// Alpha of CutMix; 0 is off.
    pub cutmix: f64,
    /// Probability of CutMix where both are on.
    pub switch: f64,
}

/// What was drawn for a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mixed {
    /// The share of an image's own levels.
    Up(f64),
    /// The part that comes from the other image: rows, columns, each from and to.
    Cut([usize; 2], [usize; 2]),
}

impl Mix {
    /// Draws for a batch of images of a size.
    pub fn draw(&self, (height, width): (usize, usize), rng: &mut dyn Rng) -> Mixed {
        let cut = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (true, true) => rng.random::<f64>() < self.switch,
            (_, cut) => cut,
        };
        let alpha = if cut { self.cutmix } else { self.mixup };
        // No such distribution: nothing is mixed.
        let own = Beta::new(alpha, alpha).map_or(1.0, |b| b.sample(rng));
        if !cut {
            return Mixed::Up(own);
        }
        let ratio = (1.0 - own).sqrt();
        let (middle_y, middle_x) = (rng.random_range(0..height.max(1)), rng.random_range(0..width.max(1)));
        let along = |size: usize, middle: usize| {
            let cut = (size as f64 * ratio) as usize;
            [middle.saturating_sub(cut / 2), (middle + cut.div_ceil(2)).min(size)]
        };
        Mixed::Cut(along(height, middle_y), along(width, middle_x))
    }
}

impl Mixed {
    /// The share of an image's own target.
    pub fn own(&self, (height, width): (usize, usize)) -> f64 {
        match self {
            Mixed::Up(own) => *own,
            Mixed::Cut(y, x) => 1.0 - ((y[1] - y[0]) * (x[1] - x[0])) as f64 / (height * width) as f64,
        }
    }

    /// Mixes `[B, C, H, W]` values of a size (H, W).
    pub fn images(&self, values: &mut [f32], batch: usize, (height, width): (usize, usize)) {
        let size = values.len() / batch.max(1);
        for first in 0..batch / 2 {
            let (head, tail) = values.split_at_mut((batch - 1 - first) * size);
            let (a, b) = (&mut head[first * size..(first + 1) * size], &mut tail[..size]);
            match *self {
                Mixed::Up(own) => up(a, b, own as f32),
                Mixed::Cut(rows, [from, to]) => {
                    for plane in 0..size / (height * width).max(1) {
                        for y in rows[0]..rows[1] {
                            let row = (plane * height + y) * width;
                            a[row + from..row + to].swap_with_slice(&mut b[row + from..row + to]);
                        }
                    }
                }
            }
        }
    }

    /// Targets `[B, classes]` of labels, smoothed, then mixed.
    pub fn targets(&self, targets: &[Target], classes: usize, smoothing: f64, size: (usize, usize)) -> Vec<f32> {
        let (own, off) = (self.own(size), smoothing / classes.max(1) as f64);
        let labels: Vec<usize> = targets.iter().filter_map(Target::class).map(|c| c as usize).collect();
        let mut out = vec![off as f32; labels.len() * classes];
        for (slot, label) in labels.iter().enumerate() {
            let other = labels[labels.len() - 1 - slot];
            let row = &mut out[slot * classes..(slot + 1) * classes];
            row[*label] += ((1.0 - smoothing) * own) as f32;
            row[other] += ((1.0 - smoothing) * (1.0 - own)) as f32;
        }
        out
    }
}

fn up(a: &mut [f32], b: &mut [f32], own: f32) {
    for (x, y) in a.iter_mut().zip(b) {
        (*x, *y) = (*x * own + *y * (1.0 - own), *y * own + *x * (1.0 - own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenas_space::seed::{Purpose, rng};

    #[test]
    fn first_and_last_are_mixed_and_the_middle_is_itself() {
        let mut v = vec![0., 1., 10., 11., 100., 101.];
        Mixed::Up(0.75).images(&mut v, 3, (1, 2));
        assert_eq!(v, [25., 26., 10., 11., 75., 76.]);
        let t = Mixed::Up(0.75).targets(&[0, 1, 2].map(Target::Class), 4, 0.2, (1, 2));
        let expected = [0.65, 0.05, 0.25, 0.05, 0.05, 0.85, 0.05, 0.05, 0.25, 0.05, 0.65, 0.05];
        assert!(t.iter().zip(expected).all(|(a, b)| (a - b as f32).abs() < 1e-6), "{t:?}");
    }

    #[test]
    fn a_box_changes_places_in_every_plane() {
        let mut v: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let cut = Mixed::Cut([0, 1], [1, 3]);
        cut.images(&mut v, 2, (2, 3));
        assert_eq!(v[..12], [0., 13., 14., 3., 4., 5., 6., 19., 20., 9., 10., 11.]);
        assert_eq!(cut.own((2, 3)), 1.0 - 2.0 / 6.0);
    }

    #[test]
    fn boxes_lie_inside_and_both_kinds_come_up() {
        let mix = Mix { mixup: 0.8, cutmix: 1.0, switch: 0.5 };
        let drawn: Vec<Mixed> = (0..1000).map(|s| mix.draw((7, 9), &mut rng(1, Purpose::Mix, s, 0))).collect();
        let cuts = drawn.iter().filter(|m| matches!(m, Mixed::Cut(..))).count();
        assert!((430..570).contains(&cuts), "{cuts} of 1000");
        for m in &drawn {
            if let Mixed::Cut(y, x) = m {
                assert!(y[0] <= y[1] && y[1] <= 7 && x[0] <= x[1] && x[1] <= 9, "{m:?}");
            }
            assert!((0.0..=1.0).contains(&m.own((7, 9))), "{m:?}");
        }
        let alone = Mix { mixup: 0.2, cutmix: 0.0, switch: 0.5 };
        assert!((0..50).all(|s| matches!(alone.draw((7, 9), &mut rng(1, Purpose::Mix, s, 0)), Mixed::Up(_))));
    }
}
