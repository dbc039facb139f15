//! RandAugment (Cubuk et al., 2020) in timm's words: `rand-m9-mstd0.5-inc1` draws two of fifteen changes, does each every
//! other time, at magnitude 9 of 10 with normal noise of 0.5, and each gets stronger with the magnitude.

use std::fmt;

use mobilenas_space::families::Interpolation;
use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;

use mobilenas_image::Picture;
use mobilenas_image::affine::Affine;
use mobilenas_image::{enhance, levels};

/// How images are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandAugment {
    /// Magnitude of each change, 0 to 10.
    pub magnitude: f64,
    /// Standard deviation of the normal noise on it; infinite for magnitudes drawn evenly from 0 on.
    pub noise: f64,
    /// No magnitude is larger.
    pub most: f64,
    /// Changes drawn for an image, each from all.
    pub changes: usize,
    /// Probability that a drawn change is done.
    pub probability: f64,
    /// Whether all changes get stronger with the magnitude; else enhancements go from duller to stronger, and solarizing and
    /// posterizing the other way round.
    pub increasing: bool,
    /// Levels that come in from outside the image.
    pub fill: [u8; 3],
    /// How levels between pixels are found.
    pub interpolation: Interpolation,
}

/// A change; the magnitude says how strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

/// In timm's order.
const CHANGES: [Change; 15] = [
    Change::AutoContrast,
    Change::Equalize,
    Change::Invert,
    Change::Rotate,
    Change::Posterize,
    Change::Solarize,
    Change::SolarizeAdd,
    Change::Color,
    Change::Contrast,
    Change::Brightness,
    Change::Sharpness,
    Change::ShearX,
    Change::ShearY,
    Change::TranslateX,
    Change::TranslateY,
];

/// The largest magnitude that changes are scaled by.
const FULL: f64 = 10.0;

const EXPECTED: &str = "rand and any of -m0..10 (magnitude), -n1..16 (changes), -p0..1 (probability of each), -mstd0.. \
                        (noise), -mmax0..100 (largest magnitude), -inc0 or 1 (increasing), such as rand-m9-mstd0.5-inc1";

impl RandAugment {
    /// Reads timm's words.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn parse(words: &str) -> Result<RandAugment, String> {
        let wrong = |part: &str| format!("found {words:?} ({part:?}), expected {EXPECTED}");
        let mut parts = words.split('-');
        let kind = parts.next().unwrap_or_default();
        if kind != "rand" {
            return Err(wrong(kind));
        }
        let mut how = RandAugment {
            magnitude: FULL,
            noise: 0.0,
            most: FULL,
            changes: 2,
            probability: 0.5,
            increasing: false,
            fill: [128; 3],
            interpolation: Interpolation::Bilinear,
        };
        let mut seen = Vec::new();
        for part in parts {
            let (key, number) = part.split_at(part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len()));
            let x = number.parse::<f64>().ok().filter(|x| *x >= 0.0).ok_or_else(|| wrong(part))?;
            let whole = x.fract() == 0.0;
            match key {
                _ if seen.contains(&key) => return Err(wrong(part)),
                "m" if whole && x <= FULL => how.magnitude = x,
                "n" if whole && (1.0..=16.0).contains(&x) => how.changes = x as usize,
                "p" if x <= 1.0 => how.probability = x,
                // As timm reads it.
                "mstd" => how.noise = if x > 100.0 { f64::INFINITY } else { x },
                "mmax" if whole && x <= 100.0 => how.most = if x == 0.0 { FULL } else { x },
                "inc" if x == 0.0 || x == 1.0 => how.increasing = x == 1.0,
                _ => return Err(wrong(part)),
            }
            seen.push(key);
        }
        Ok(how)
    }

    /// Draws changes and does them.
    pub fn apply(&self, picture: &mut Picture, rng: &mut dyn Rng) {
        let drawn: Vec<Change> = (0..self.changes).map(|_| CHANGES[rng.random_range(0..CHANGES.len())]).collect();
        for change in drawn {
            if rng.random::<f64>() < self.probability {
                let magnitude = self.draw(rng);
                let sign = if rng.random_bool(0.5) { -1.0 } else { 1.0 };
                self.change(picture, change, magnitude, sign);
            }
        }
    }

    fn draw(&self, rng: &mut dyn Rng) -> f64 {
        let drawn = match self.noise {
            0.0 => self.magnitude,
            n if n.is_infinite() => self.magnitude * rng.random::<f64>(),
            n => self.magnitude + n * rng.sample::<f64, _>(StandardNormal),
        };
        drawn.clamp(0.0, self.most)
    }

    /// Factor of an enhancement: 1 leaves the picture as it is.
    fn factor(&self, share: f64, sign: f64) -> f32 {
        let factor = if self.increasing { (1.0 + sign * 0.9 * share).max(0.1) } else { 0.1 + 1.8 * share };
        factor as f32
    }

    /// Does one change at a magnitude; the sign is for those that go both ways.
    fn change(&self, picture: &mut Picture, change: Change, magnitude: f64, sign: f64) {
        let (share, size) = (magnitude / FULL, (picture.width, picture.height));
        let factor = self.factor(share, sign);
        // Whole numbers are cut off, not rounded.
        let up_to = |most: f64, limit: u32| ((share * most) as u32).min(limit);
        let map = match change {
            Change::AutoContrast => return levels::auto_contrast(picture),
            Change::Equalize => return levels::equalize(picture),
            Change::Invert => return levels::invert(picture),
            Change::Posterize => {
                let bits = up_to(4.0, u32::MAX);
                return levels::posterize(picture, if self.increasing { 4u32.saturating_sub(bits) } else { bits });
            }
            Change::Solarize => {
                let from = up_to(256.0, 256);
                return levels::solarize(picture, if self.increasing { 256 - from } else { from });
            }
            Change::SolarizeAdd => return levels::solarize_add(picture, up_to(110.0, 128) as u8),
            Change::Color => return enhance::saturation(picture, factor),
            Change::Contrast => return enhance::contrast(picture, factor),
            Change::Brightness => return enhance::brightness(picture, factor),
            Change::Sharpness => return enhance::sharpness(picture, factor),
            Change::Rotate => Affine::turn(sign * 30.0 * share, size),
            Change::ShearX => Affine::shear_x(sign * 0.3 * share),
            Change::ShearY => Affine::shear_y(sign * 0.3 * share),
            Change::TranslateX => Affine::shift(sign * 0.45 * share * size.0 as f64, 0.0),
            Change::TranslateY => Affine::shift(0.0, sign * 0.45 * share * size.1 as f64),
        };
        *picture = map.apply(picture, &self.fill, self.interpolation);
    }
}

impl fmt::Display for RandAugment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rand-m{}-n{}-p{}", self.magnitude, self.changes, self.probability)?;
        write!(f, "-mstd{}-mmax{}-inc{}", self.noise.min(101.0), self.most, u8::from(self.increasing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenas_space::seed::{Purpose, rng};

    fn usual() -> RandAugment {
        RandAugment::parse("rand-m9-mstd0.5-inc1").unwrap()
    }

    fn picture() -> Picture {
        let levels = (0..20 * 20 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        Picture { width: 20, height: 20, channels: 3, levels }
    }

    #[test]
    fn timms_words() {
        let how = usual();
        assert_eq!((how.magnitude, how.noise, how.most, how.changes), (9.0, 0.5, 10.0, 2));
        assert_eq!((how.probability, how.increasing), (0.5, true));
        let how = RandAugment::parse("rand-n3-p1-mstd101-mmax12").unwrap();
        assert_eq!((how.magnitude, how.noise, how.most, how.changes), (10.0, f64::INFINITY, 12.0, 3));
        assert_eq!((how.probability, how.increasing), (1.0, false));
        assert_eq!(RandAugment::parse(&how.to_string()).unwrap(), how);
        for words in [
            "",
            "rand-",
            "augmix-m3",
            "rand-m9.5",
            "rand-m11",
            "rand-m",
            "rand-m-1",
            "rand-n0",
            "rand-x3",
            "rand-m9-m9",
        ] {
            let said = RandAugment::parse(words).unwrap_err();
            assert!(
                said.starts_with(&format!("found {words:?} (")) && said.contains("expected rand and any"),
                "{said}"
            );
        }
    }

    fn grey(how: &RandAugment, change: Change, magnitude: f64, sign: f64, levels: &[u8]) -> Vec<u8> {
        let mut p = Picture { width: levels.len(), height: 1, channels: 1, levels: levels.to_vec() };
        how.change(&mut p, change, magnitude, sign);
        p.levels
    }

    #[test]
    fn increasing_changes_by_hand() {
        let at = |change, magnitude, sign, levels: &[u8]| grey(&usual(), change, magnitude, sign, levels);
        // 4 - int(0.9 * 4) = 1 bit, 256 - int(0.9 * 256) = 26, int(0.9 * 110) = 99, 1 +- 0.81.
        assert_eq!(at(Change::Posterize, 9.0, 1.0, &[127, 200]), [0, 128]);
        assert_eq!(at(Change::Solarize, 9.0, 1.0, &[25, 26, 255]), [25, 229, 0]);
        assert_eq!(at(Change::SolarizeAdd, 9.0, 1.0, &[0, 127, 128]), [99, 226, 128]);
        assert_eq!(at(Change::Brightness, 9.0, 1.0, &[100, 200]), [181, 255]);
        assert_eq!(at(Change::Brightness, 9.0, -1.0, &[100, 200]), [19, 38]);
        assert_eq!(at(Change::Brightness, 10.0, -1.0, &[100]), [10], "0.1 is the least");
        // 0.45 * 10 pixels at full magnitude: half of a pixel lies between two.
        let row: Vec<u8> = (0..10).map(|i| 20 * i).collect();
        assert_eq!(at(Change::TranslateX, 10.0, 1.0, &row), [90, 110, 130, 150, 170, 128, 128, 128, 128, 128]);
        assert_eq!(at(Change::TranslateX, 0.0, 1.0, &row), row);
        assert_eq!(at(Change::Invert, 0.0, 1.0, &[7]), [248], "some know no magnitude");
    }

    #[test]
    fn the_other_set_by_hand() {
        let how = RandAugment::parse("rand-m9").unwrap();
        let at = |change, magnitude, levels: &[u8]| grey(&how, change, magnitude, 1.0, levels);
        assert_eq!(at(Change::Posterize, 9.0, &[127, 255]), [96, 224]);
        assert_eq!(at(Change::Solarize, 9.0, &[229, 230]), [229, 25]);
        // 0.1 + 1.8 * 0.5 = 1
        assert_eq!(at(Change::Brightness, 5.0, &[100]), [100]);
        assert_eq!(at(Change::Brightness, 10.0, &[100]), [190]);
    }

    #[test]
    fn image_and_seed_alone_decide_and_half_of_the_changes_are_done() {
        let run = |slot| {
            let mut p = picture();
            usual().apply(&mut p, &mut rng(1, Purpose::Augment, 0, slot));
            p
        };
        assert_eq!(run(3), run(3));
        let same = (0..2000).filter(|s| run(*s) == picture()).count();
        // A quarter has neither change; a few draw one that leaves this picture as it is.
        assert!((450..800).contains(&same), "{same} of 2000");
        let all = RandAugment::parse("rand-m9-n1-p1-inc1").unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for slot in 0..400 {
            let mut p = picture();
            all.apply(&mut p, &mut rng(1, Purpose::Augment, 0, slot));
            kinds.insert(p.levels);
        }
        // Nine go both ways, six do not, and one changes nothing here: 15 changes give 9 * 2 + 6 pictures.
        assert_eq!(kinds.len(), 24);
    }

    #[test]
    fn the_noise_stays_within_bounds() {
        let mut draws: Vec<f64> = (0..4000).map(|s| usual().draw(&mut rng(2, Purpose::Augment, 0, s))).collect();
        draws.sort_by(f64::total_cmp);
        assert!(
            (draws[2000] - 9.0).abs() < 0.05 && draws[0] > 6.0 && draws[3999] == 10.0,
            "{} {}",
            draws[0],
            draws[3999]
        );
        let even = RandAugment::parse("rand-m8-mstd101").unwrap();
        let mean = (0..4000).map(|s| even.draw(&mut rng(2, Purpose::Augment, 0, s))).sum::<f64>() / 4000.0;
        assert!((mean - 4.0).abs() < 0.15, "{mean}");
    }
}
