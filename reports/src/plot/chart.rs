//! What a chart with one pair of axes shows.

use std::collections::HashSet;

use super::theme::Color;

/// A chart: series of points on one pair of axes.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Headline.
    pub title: String,
    /// What the horizontal axis shows, with its unit.
    pub x_label: String,
    /// What the vertical axis shows, with its unit.
    pub y_label: String,
    /// Where the numbers come from; each a paragraph below the plot.
    pub caption: Vec<String>,
    /// What is drawn, first ones lowest.
    pub series: Vec<Series>,
    /// Whether the horizontal axis is logarithmic; one with a value that is not positive is linear.
    pub log_x: bool,
}

/// Points of one kind, with one entry in the legend.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Shape of its marks.
    pub mark: Mark,
    /// Colour of its marks.
    pub color: Color,
    /// Its points.
    pub points: Vec<Point>,
    /// How its points (sorted by x) are joined, if they are.
    pub line: Option<LineStyle>,
}

/// Ends of a point's error bars in the units of the axes: (lower, upper), finite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bars {
    /// Along the horizontal axis.
    pub x: Option<(f64, f64)>,
    /// Along the vertical axis.
    pub y: Option<(f64, f64)>,
}

/// A point in the units of the axes; both values are finite.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Value on the horizontal axis.
    pub x: f64,
    /// Value on the vertical axis.
    pub y: f64,
    /// Text beside it.
    pub label: Option<String>,
    /// Its error bars.
    pub bars: Bars,
    /// Whether it is less certain than the others: its mark is hollow.
    pub uncertain: bool,
}

impl Point {
    /// A point without label or error bars.
    pub fn at(x: f64, y: f64) -> Point {
        Point { x, y, ..Point::default() }
    }
}

/// The shape of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Small dot, for many points; its few labels are always drawn.
    Small,
    /// Large dot; labelled where there is room.
    Dot,
    /// Diamond; always labelled.
    Diamond,
    /// Square; always labelled.
    Square,
}

/// How the points of a series are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStyle {
    /// Steps, first along x: the front where smaller x is better, or a curve that only rises.
    StepsPost,
    /// Steps, first along y: the front where larger x is better.
    StepsPre,
    /// As [`LineStyle::StepsPost`]; the vertical error bars are a band around the line.
    Band,
    /// Straight lines, with a band likewise.
    Straight,
}

impl LineStyle {
    /// Whether error bars are drawn as a band, without marks.
    pub(super) fn banded(self) -> bool {
        matches!(self, LineStyle::Band | LineStyle::Straight)
    }
}

impl Series {
    /// A series of points that are not joined.
    pub fn new(name: impl Into<String>, mark: Mark, color: Color, points: Vec<Point>) -> Series {
        Series { name: name.into(), mark, color, points, line: None }
    }

    /// The series with its points joined.
    pub fn joined(self, line: LineStyle) -> Series {
        Series { line: Some(line), ..self }
    }
}

impl Chart {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|s| s.points.is_empty())
    }

    /// The chart with at most some thousand small marks, for where the file's size counts: the first in each cell of a
    /// fine grid.
    pub fn thinned(&self) -> Chart {
        const CELLS: f64 = 120.0;
        let all = || self.series.iter().flat_map(|s| &s.points);
        let range = |of: fn(&Point) -> f64| {
            let (low, high) = all().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            (low, (high - low).max(f64::MIN_POSITIVE))
        };
        let ((left, width), (bottom, height)) = (range(|p| p.x), range(|p| p.y));
        let mut chart = self.clone();
        for s in chart.series.iter_mut().filter(|s| s.mark == Mark::Small && s.line.is_none()) {
            let mut cells = HashSet::new();
            let cell = |v: f64, from: f64, size: f64| ((v - from) / size * CELLS) as i64;
            s.points.retain(|p| cells.insert((cell(p.x, left, width), cell(p.y, bottom, height))));
        }
        chart
    }
}
