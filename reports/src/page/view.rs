//! What the page's script draws: points with any number of axes, as data inside the page.
//!
//! The script knows nothing of runs or papers; it shows a [`View`]. All words and all numbers come from here.

pub(super) mod codes;
pub(super) mod genomes;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use codes::Codes;
pub(super) use genomes::Genomes;

/// A scatter plot that can be asked.
#[derive(Default, Serialize)]
pub(super) struct View {
    /// Id of the plot in the page.
    pub id: &'static str,
    /// What it is, for those who hear the page.
    pub title: String,
    /// Every number of a point.
    pub axes: Vec<Axis>,
    /// Axes that may lie horizontally.
    pub x: Vec<usize>,
    /// Axes that may stand upright.
    pub y: Vec<usize>,
    /// Kinds of points.
    pub groups: Vec<Group>,
    /// The kind of each point.
    pub group: Vec<usize>,
    /// What the points can be filtered by: `family` or `run`.
    pub filter: &'static str,
    /// The names to filter by.
    pub families: Vec<String>,
    /// Colour of each of these, as a number of the style's; empty if the groups have the colours.
    pub colors: Vec<usize>,
    /// Of each point.
    pub family: Vec<usize>,
    /// Numbers of the trials, if the points are trials.
    pub ids: Vec<u64>,
    /// Names of the points that have one.
    pub names: BTreeMap<usize, String>,
    /// Further facts of a point: name, value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<usize, Vec<[String; 2]>>,
    /// What a click shows of a genome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub genomes: Vec<Genomes>,
}

/// One number of every point.
#[derive(Default, Serialize)]
pub(super) struct Axis {
    /// Short name, for lists.
    pub name: String,
    /// What it is, with its unit, for the axis.
    pub label: String,
    /// Its unit after a number.
    pub unit: &'static str,
    /// How a number is written.
    pub show: Show,
    /// Whether larger is better; else smaller.
    pub larger: bool,
    /// A number a point.
    pub values: Vec<Option<f64>>,
    /// Lower ends of error bars, by point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub low: BTreeMap<usize, f64>,
    /// Upper ends.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub high: BTreeMap<usize, f64>,
    /// Points whose number is less sure than the others, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub soft: BTreeMap<usize, String>,
    /// Whether it is shown beside a point only while it is one of the plot's axes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub aside: bool,
    /// A sentence below the plot while the axis is shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// How a number is written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Show {
    /// Three significant digits.
    #[default]
    Plain,
    /// Three significant digits with k, M or G.
    Count,
    /// The same, of bytes: `6.02 MB`.
    Bytes,
    /// Two decimals.
    Percent,
    /// One decimal.
    Score,
}

/// A kind of points.
#[derive(Serialize)]
pub(super) struct Group {
    /// Name in the legend.
    pub name: String,
    /// Shape: `speck`, `dot`, `diamond`, `square`.
    pub mark: &'static str,
    /// Name of its colour in the style; empty if the filter's names have the colours.
    pub color: &'static str,
}

/// A number as it is worth sending: at most `digits` significant digits. What is not finite is nothing.
pub(super) fn short(value: f64, digits: usize) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    // Whole numbers below 2^53, such as counts, stay exact.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Some(value);
    }
    format!("{value:.*e}", digits.saturating_sub(1)).parse().ok()
}

impl View {
    /// The data as an element of the page, with nothing in them that could end it.
    pub(super) fn element(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned());
        let mut safe = String::with_capacity(json.len() + json.len() / 16);
        for c in json.chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", c as u32)),
                c => safe.push(c),
            }
        }
        format!(
            "<div class=\"view\" id=\"{id}\"></div>\n\
             <script type=\"application/json\" id=\"{id}-data\">{safe}</script>\n",
            id = self.id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_counts_exact() {
        assert_eq!(short(12.345_678_9, 4), Some(12.35));
        assert_eq!(short(5_578_632.0, 4), Some(5_578_632.0));
        assert_eq!(short(f64::NAN, 4), None);
        assert_eq!(short(-0.000_123_456, 3), Some(-0.000_123));
    }

    #[test]
    fn nothing_in_the_data_ends_them() {
        let names = BTreeMap::from([(0, "</script><!-- & \u{2028}".to_owned())]);
        let made = View { id: "v", names, ..View::default() }.element();
        assert_eq!(made.matches("</script>").count(), 1, "{made}");
        assert!(!made.contains("<!--") && made.contains("\\u003c/script\\u003e"), "{made}");
    }
}
