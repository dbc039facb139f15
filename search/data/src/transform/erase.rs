//! Random erasing (Zhong et al., 2017) of normalised images: each erased value is normal noise, as timm's mode `pixel`.

use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;

use super::crop::between;

/// Shares of the area that are erased.
const AREA: [f64; 2] = [0.02, 1.0 / 3.0];
/// Smallest ratio of the sides; the largest is its inverse.
const RATIO: f64 = 0.3;
const TRIES: usize = 10;

/// Corner (row, column) and size (rows, columns) of what is erased in an image of a size; `None` if nothing fits.
fn draw((height, width): (usize, usize), rng: &mut dyn Rng) -> Option<((usize, usize), (usize, usize))> {
    let log = RATIO.ln();
    for _ in 0..TRIES {
        let area = between(AREA[0], AREA[1], rng) * (height * width) as f64;
        let ratio = between(log, -log, rng).exp();
        let (h, w) =
            ((area * ratio).sqrt().round_ties_even() as usize, (area / ratio).sqrt().round_ties_even() as usize);
        if w < width && h < height {
            return Some(((rng.random_range(0..=height - h), rng.random_range(0..=width - w)), (h, w)));
        }
    }
    None
}

/// Erases a part of `[C, H, W]` values with a probability.
pub fn erase(values: &mut [f32], (channels, height, width): (usize, usize, usize), p: f64, rng: &mut dyn Rng) {
    if !rng.random_bool(p.clamp(0.0, 1.0)) {
        return;
    }
    let Some(((top, left), (h, w))) = draw((height, width), rng) else { return };
    for c in 0..channels {
        for y in top..top + h {
            let from = (c * height + y) * width + left;
            values[from..from + w].fill_with(|| rng.sample(StandardNormal));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenas_space::seed::{Purpose, rng};

    #[test]
    fn one_box_the_same_in_all_planes_of_normal_noise() {
        let (mut noise, mut shares) = (Vec::new(), Vec::new());
        for slot in 0..300 {
            let mut v = vec![9f32; 3 * 40 * 50];
            erase(&mut v, (3, 40, 50), 1.0, &mut rng(1, Purpose::Augment, 0, slot));
            let gone = |c: usize| (0..2000).filter(|i| v[c * 2000 + i] != 9.0).collect::<Vec<_>>();
            assert!(gone(0) == gone(1) && gone(0) == gone(2));
            let (rows, columns) = (
                gone(0).iter().map(|i| i / 50).collect::<Vec<_>>(),
                gone(0).iter().map(|i| i % 50).collect::<Vec<_>>(),
            );
            let side = |s: &[usize]| s.iter().max().unwrap() - s.iter().min().unwrap() + 1;
            assert_eq!(side(&rows) * side(&columns), gone(0).len(), "a box");
            shares.push(gone(0).len() as f64 / 2000.0);
            noise.extend(gone(0).iter().map(|i| f64::from(v[*i])));
        }
        assert!(shares.iter().all(|s| (0.015..0.36).contains(s)));
        let mean = noise.iter().sum::<f64>() / noise.len() as f64;
        let var = noise.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / noise.len() as f64;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.02, "mean {mean}, variance {var}");
    }

    #[test]
    fn the_probability_counts() {
        let hit = |slot| {
            let mut v = vec![9f32; 400];
            erase(&mut v, (1, 20, 20), 0.25, &mut rng(2, Purpose::Augment, 0, slot));
            v.iter().any(|x| *x != 9.0)
        };
        let hits = (0..4000).filter(|s| hit(*s)).count();
        assert!((900..1100).contains(&hits), "{hits} of 4000");
    }
}
