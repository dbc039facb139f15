//! Truths and detections of a set's images, and the numbers they give.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::curve::{Curve, curve, recall};
use super::matching::{Judged, judge};
use super::rules::{MOST, RECALLS, THRESHOLDS};
use super::{CocoScores, Found, Region, Truth};
use crate::metrics::sum::mean;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Image<R> {
    truths: Vec<Truth<R>>,
    found: Vec<Found<R>>,
}

/// Truths and detections of images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CocoEvaluator<R> {
    images: BTreeMap<u64, Image<R>>,
}

impl<R> Default for CocoEvaluator<R> {
    fn default() -> CocoEvaluator<R> {
        CocoEvaluator { images: BTreeMap::new() }
    }
}

/// Truths and detections of one image and category.
struct Pair<'a, R> {
    truths: Vec<&'a Truth<R>>,
    found: Vec<&'a Found<R>>,
}

impl<R> Default for Pair<'_, R> {
    fn default() -> Self {
        Pair { truths: Vec::new(), found: Vec::new() }
    }
}

/// The curves of one category that the numbers are made of.
struct Category {
    id: u32,
    /// By area, of the best hundred.
    areas: [Option<Curve>; 4],
    /// Recall of all areas, of the best one and the best ten.
    fewer: [Option<[f64; THRESHOLDS]>; 2],
}

impl<R: Region> CocoEvaluator<R> {
    /// Adds an image. Among equal scores the order of `found` counts, and the order of the ids across images; the order
    /// of calls does not. An image that was added before is replaced.
    pub fn add(&mut self, id: u64, truths: Vec<Truth<R>>, found: Vec<Found<R>>) {
        self.images.insert(id, Image { truths, found });
    }

    /// Adds the images of another evaluator.
    pub fn merge(&mut self, other: CocoEvaluator<R>) {
        self.images.extend(other.images);
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The numbers. Detections of a category without any truth do not count, as in pycocotools.
    pub fn scores(&self) -> CocoScores {
        let mut by_category: BTreeMap<u32, BTreeMap<u64, Pair<R>>> = BTreeMap::new();
        for (id, image) in &self.images {
            for truth in &image.truths {
                by_category.entry(truth.category).or_default().entry(*id).or_default().truths.push(truth);
            }
        }
        for (id, image) in &self.images {
            for found in &image.found {
                if let Some(images) = by_category.get_mut(&found.category) {
                    images.entry(*id).or_default().found.push(found);
                }
            }
        }
        let by_category: Vec<_> = by_category.into_iter().collect();
        let categories: Vec<Category> = by_category
            .into_par_iter()
            .map(|(id, images)| {
                let judged: Vec<Judged> = images.into_values().map(|p| judge(&p.truths, p.found)).collect();
                Category::of(id, &judged)
            })
            .collect();
        summary(&categories)
    }
}

impl Category {
    fn of(id: u32, images: &[Judged]) -> Category {
        let [one, ten, hundred] = MOST;
        let areas = std::array::from_fn(|area| curve(images, area, hundred));
        let fewer = [one, ten].map(|most| recall(images, 0, most));
        Category { id, areas, fewer }
    }
}

/// The means, in pycocotools' order of additions: by threshold, then by point of recall, then by category.
fn summary(categories: &[Category]) -> CocoScores {
    let precision = |area: usize, thresholds: Range<usize>| {
        let curves: Vec<&Curve> = categories.iter().filter_map(|c| c.areas[area].as_ref()).collect();
        let points = thresholds.flat_map(|t| (0..RECALLS).map(move |r| (t, r)));
        mean(&points.flat_map(|(t, r)| curves.iter().map(move |c| c.precision[t][r])).collect::<Vec<_>>())
    };
    let recall = |of: &dyn Fn(&Category) -> Option<[f64; THRESHOLDS]>| {
        let recalls: Vec<[f64; THRESHOLDS]> = categories.iter().filter_map(of).collect();
        mean(&(0..THRESHOLDS).flat_map(|t| recalls.iter().map(move |r| r[t])).collect::<Vec<_>>())
    };
    let of_area = |area: usize| recall(&move |c: &Category| c.areas[area].as_ref().map(|c| c.recall));
    let all = 0..THRESHOLDS;
    CocoScores {
        ap: precision(0, all.clone()),
        ap50: precision(0, 0..1),
        ap75: precision(0, 5..6),
        ap_small: precision(1, all.clone()),
        ap_medium: precision(2, all.clone()),
        ap_large: precision(3, all),
        ar1: recall(&|c: &Category| c.fewer[0]),
        ar10: recall(&|c: &Category| c.fewer[1]),
        ar100: of_area(0),
        ar_small: of_area(1),
        ar_medium: of_area(2),
        ar_large: of_area(3),
        ap_of_category: categories.iter().filter_map(|c| Some((c.id, c.areas[0].as_ref()?.mean()?))).collect(),
    }
}
