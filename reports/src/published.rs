//! The published landscape: what papers print about networks for phones, each figure with its source and confidence.
//!
//! The data are `data/published.yaml`, which explains its fields. They are other people's measurements; none was made by this
//! program.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::ReportError;

const DATA: &str = include_str!("../data/published.yaml");

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub version: u32,
    /// Where figures are from, by key.
    pub sources: BTreeMap<String, String>,
    /// Sets of latencies measured together, by key.
    pub latencies: BTreeMap<String, LatencySet>,
    pub networks: Vec<PublishedNetwork>,
}

/// Latencies that one group measured on one device with one toolchain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencySet {
    pub device: String,
    /// Who measured: a key of [`Published::sources`].
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedNetwork {
    pub name: String,
    pub family: String,
    /// Its name in this program, if it is there.
    pub id: Option<String>,
    pub year: u32,
    pub arxiv: String,
    /// Side of the images in pixels.
    pub px: Option<u32>,
    pub epochs: Option<u32>,
    #[serde(default)]
    pub distilled: bool,
    /// Top-1 on ImageNet-1k, percent.
    pub top1: PublishedFigure,
    /// Parameters, millions.
    pub params_m: Option<PublishedFigure>,
    /// Multiply-accumulates, billions.
    pub macs_g: Option<PublishedFigure>,
    /// Latency in ms by the key of its set.
    #[serde(default)]
    pub latency_ms: BTreeMap<String, PublishedFigure>,
}

/// A printed figure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedFigure {
    pub value: f64,
    /// A key of [`Published::sources`], and the place in it.
    pub source: String,
    pub confidence: Confidence,
    pub note: Option<String>,
}

/// How reliable a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Printed by the network's authors, or by those who measured.
    Seen,
    /// Printed in another paper's table.
    SeenSecondary,
    /// Read off a plot, to about 0.1 ms or 0.1 %.
    ReadOffFigure,
    /// Printed, but another printed figure says otherwise.
    Doubtful,
}

impl Confidence {
    pub fn words(self) -> &'static str {
        match self {
            Confidence::Seen => "printed",
            Confidence::SeenSecondary => "printed by others",
            Confidence::ReadOffFigure => "read off a figure",
            Confidence::Doubtful => "doubtful",
        }
    }

    /// Whether plots mark it as uncertain.
    pub fn is_uncertain(self) -> bool {
        matches!(self, Confidence::ReadOffFigure | Confidence::Doubtful)
    }
}

impl Published {
    /// The data that this program ships.
    ///
    /// # Errors
    /// Never with the shipped file, as a test checks.
    pub fn load() -> Result<Published, ReportError> {
        serde_yaml::from_str(DATA).map_err(|e| ReportError::Data { name: "published.yaml", why: e.to_string() })
    }

    /// A source in words, with the place in it.
    pub fn source(&self, of: &str) -> String {
        let (key, place) = of.split_once(' ').unwrap_or((of, ""));
        let name = self.sources.get(key).map_or(key, String::as_str);
        if place.is_empty() { name.to_owned() } else { format!("{name}, {place}") }
    }

    /// A set of latencies in words: `iPhone 12, Core ML, by ...`.
    pub fn latency_name(&self, key: &str) -> String {
        self.latencies.get(key).map_or_else(|| key.to_owned(), |l| format!("{}; {}", l.device, self.source(&l.by)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_has_a_source_and_every_set_its_networks() {
        let p = Published::load().unwrap();
        let mut used = BTreeSet::new();
        for n in &p.networks {
            let own = [Some(&n.top1), n.params_m.as_ref(), n.macs_g.as_ref()].into_iter().flatten();
            for f in own.chain(n.latency_ms.values()) {
                let key = f.source.split(' ').next().unwrap();
                assert!(p.sources.contains_key(key), "{}: {key}", n.name);
                assert!(f.value.is_finite() && f.value > 0.0, "{}", n.name);
                assert_eq!(f.confidence == Confidence::ReadOffFigure, key.ends_with("_fig1"), "{}: {key}", n.name);
                used.insert(key.to_owned());
            }
            assert!((50.0..90.0).contains(&n.top1.value), "{}", n.name);
            assert!(n.latency_ms.keys().all(|k| p.latencies.contains_key(k)), "{}", n.name);
        }
        used.extend(p.latencies.values().map(|l| l.by.clone()));
        assert_eq!(used, p.sources.keys().cloned().collect());
        for set in p.latencies.keys() {
            assert!(p.networks.iter().filter(|n| n.latency_ms.contains_key(set)).count() >= 3, "{set}");
        }
        let names: BTreeSet<&str> = p.networks.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names.len(), p.networks.len());
    }

    #[test]
    fn the_figures_agree_with_the_families_own() {
        let p = Published::load().unwrap();
        let mut found = 0;
        for n in p.networks.iter().filter(|n| n.id.is_some()) {
            let (family, info) = mobilenas_space::families::variant(n.id.as_ref().unwrap()).unwrap();
            assert_eq!((family.name(), Some(info.resolution)), (n.family.as_str(), n.px), "{}", n.name);
            let near = |a: f64, b: Option<f64>, by: f64| b.is_none_or(|b| (a - b).abs() <= by);
            // Some families print their figures to fewer digits.
            assert!(near(n.top1.value, info.published.top1, 0.051), "{}", n.name);
            let figures = [(&n.params_m, info.published.params_m, 0.051), (&n.macs_g, info.published.macs_g, 0.0051)];
            for (figure, own, by) in figures {
                assert!(own.is_none() || figure.is_some(), "{}", n.name);
                assert!(figure.as_ref().is_none_or(|f| near(f.value, own, by)), "{}", n.name);
            }
            let ms = n.latency_ms.get("iphone12_efficientformerv2").map(|f| f.value);
            assert_eq!(ms, info.published.iphone12_ms, "{}", n.name);
            found += 1;
        }
        let all = mobilenas_space::families::FAMILIES.iter().flat_map(|f| f.variants());
        let printed = all.filter(|v| v.published.top1.is_some()).count();
        assert_eq!(found, printed, "every network of the families with printed figures is there");
    }
}
