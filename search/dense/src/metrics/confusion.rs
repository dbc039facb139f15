//! Intersection over union of class maps.

use serde::{Deserialize, Serialize};

use crate::DenseError;
use crate::metrics::sum::mean;

/// How often each class was taken for each: of all pixels of a set, not image by image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    classes: usize,
    /// `[truth][guess]`.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// An empty one.
    pub fn new(classes: usize) -> ConfusionMatrix {
        ConfusionMatrix { classes, counts: vec![0; classes * classes] }
    }

    /// Counts the pixels of an image, or of several; both maps are of the image's own size. Pixels whose truth is
    /// `ignored` are left out, whatever the guess.
    ///
    /// # Errors
    /// When the maps differ in size, or a pixel is no class. Nothing is counted then.
    pub fn update(&mut self, guess: &[u8], truth: &[u8], ignored: u8) -> Result<(), DenseError> {
        let wrong = |found: String, expected: String| Err(DenseError::ClassMap { found, expected });
        if guess.len() != truth.len() {
            return wrong(format!("a class map of {} pixels", guess.len()), format!("{}", truth.len()));
        }
        let known = |(_, t): &(&u8, &u8)| **t != ignored;
        let strange = |label: &u8| usize::from(*label) >= self.classes;
        let pairs = guess.iter().zip(truth).filter(known);
        if let Some(label) = pairs.flat_map(|(g, t)| [g, t]).find(|l| strange(l)) {
            return wrong(
                format!("class {label}"),
                format!("classes below {}, or {ignored} for ignored", self.classes),
            );
        }
        for (g, t) in guess.iter().zip(truth).filter(known) {
            self.counts[usize::from(*t) * self.classes + usize::from(*g)] += 1;
        }
        Ok(())
    }

    /// Adds the counts of another matrix of the same classes.
    pub fn merge(&mut self, other: &ConfusionMatrix) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// Pixels counted.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn hit(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    /// Of each class: pixels that both have, over pixels that either has. None for a class that neither has.
    pub fn iou(&self) -> Vec<Option<f64>> {
        let of = |class: usize| {
            let truth: u64 = self.counts[class * self.classes..(class + 1) * self.classes].iter().sum();
            let guess: u64 = self.counts.iter().skip(class).step_by(self.classes).sum();
            let union = truth + guess - self.hit(class);
            (union > 0).then(|| self.hit(class) as f64 / union as f64)
        };
        (0..self.classes).map(of).collect()
    }

    /// The mean over the classes that occur.
    pub fn mean_iou(&self) -> Option<f64> {
        mean(&self.iou().into_iter().flatten().collect::<Vec<_>>())
    }

    /// The share of pixels whose class is right.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let all = self.pixels();
        (all > 0).then(|| (0..self.classes).map(|c| self.hit(c)).sum::<u64>() as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut m = ConfusionMatrix::new(4);
        m.update(&[0, 0, 1, 1, 2, 9], &[0, 1, 1, 1, 0, 255], 255).unwrap();
        assert_eq!(m.iou(), [Some(1.0 / 3.0), Some(2.0 / 3.0), Some(0.0), None]);
        assert_eq!((m.mean_iou(), m.pixel_accuracy(), m.pixels()), (Some(1.0 / 3.0), Some(0.6), 5));
        let mut twice = m.clone();
        twice.merge(&m);
        assert_eq!((twice.mean_iou(), twice.pixels()), (m.mean_iou(), 10));
        assert_eq!(ConfusionMatrix::new(2).mean_iou(), None);
    }

    #[test]
    fn what_is_no_class_is_said_and_not_counted() {
        let mut m = ConfusionMatrix::new(3);
        let mut said = |guess: &[u8], truth: &[u8]| m.update(guess, truth, 255).unwrap_err().to_string();
        assert_eq!(said(&[0], &[0, 1]), "class map: found a class map of 1 pixels, expected 2");
        assert_eq!(said(&[0, 3], &[0, 1]), "class map: found class 3, expected classes below 3, or 255 for ignored");
        assert_eq!(said(&[0, 1], &[0, 7]), "class map: found class 7, expected classes below 3, or 255 for ignored");
        assert_eq!(m.pixels(), 0);
    }
}
