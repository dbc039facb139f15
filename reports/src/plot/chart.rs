//! What a scatter plot shows, and its layout at a given size.

use std::collections::HashSet;

use super::around::{Page, shortened};
use super::label::{self, Rect, Wish};
use super::paint::{Anchor, Picture, Shape};
use super::theme::{self, Color};
use super::ticks::Ticks;

/// A scatter plot.
#[derive(Clone, Debug)]
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
    pub steps: Option<Steps>,
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
    /// Whether it is less sure than the others: its mark is hollow.
    pub soft: bool,
}

impl Point {
    /// A point with nothing but its place.
    pub fn at(x: f64, y: f64) -> Point {
        Point { x, y, ..Point::default() }
    }

    /// All values on an axis that the plot has to have room for: the point's own and the ends of its bar.
    fn span(value: f64, bar: Option<(f64, f64)>) -> impl Iterator<Item = f64> {
        let (low, high) = bar.unwrap_or((value, value));
        [value, low, high].into_iter()
    }
}

/// The shape of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Small dot, for many; the few labels that it has are always drawn.
    Speck,
    /// Large dot; labelled where there is room.
    Dot,
    /// Diamond; always labelled.
    Diamond,
    /// Square; always labelled.
    Square,
}

/// The corners between two points of a front, which show what no point beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// First along x, then along y: smaller x is better.
    AcrossFirst,
    /// First along y, then along x: larger x is better.
    DownFirst,
    /// As [`Steps::AcrossFirst`], and the points' vertical bars are the band around the line.
    Band,
    /// Straight lines, with a band likewise.
    Straight,
}

/// Width and height in px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Whether the title and the caption are part of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// With both: a file that stands alone.
    Full,
    /// With neither: the page around says them.
    Bare,
}

pub(super) const MARGIN: f64 = 18.0;
pub(super) const TEXT: f64 = 12.5;
pub(super) const LINE: f64 = 1.4;
/// Characters of a label before it is cut.
const LONGEST: usize = 32;

impl Mark {
    /// Half of its width in px.
    fn reach(self) -> f64 {
        match self {
            Mark::Speck => 2.5,
            Mark::Dot => 5.0,
            Mark::Diamond => 7.0,
            Mark::Square => 5.5,
        }
    }

    fn shape(self, at: (f64, f64), reach: f64, color: Color) -> Shape {
        let (x, y) = at;
        match self {
            Mark::Speck | Mark::Dot => Shape::Dot { at, radius: reach, color },
            Mark::Diamond => {
                Shape::Area { points: vec![(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach)], color }
            }
            Mark::Square => Shape::Area {
                points: vec![
                    (x - reach, y - reach),
                    (x + reach, y - reach),
                    (x + reach, y + reach),
                    (x - reach, y + reach),
                ],
                color,
            },
        }
    }

    /// The mark with a thin rim, so that marks on each other stay apart.
    pub(super) fn draw(self, shapes: &mut Vec<Shape>, at: (f64, f64), color: Color, soft: bool) {
        if self != Mark::Speck {
            shapes.push(self.shape(at, self.reach() + if self == Mark::Diamond { 2.0 } else { 1.5 }, theme::PAPER));
        }
        shapes.push(self.shape(at, self.reach(), color));
        if soft {
            shapes.push(self.shape(at, self.reach() * 0.6, theme::PAPER));
        }
    }
}

impl Chart {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|s| s.points.is_empty())
    }

    /// The chart with at most some thousand specks, for where its size counts: of those in one cell of a fine grid, the
    /// first.
    pub fn thinned(&self) -> Chart {
        const CELLS: f64 = 120.0;
        let all = || self.series.iter().flat_map(|s| &s.points);
        let range = |of: fn(&Point) -> f64| {
            let (low, high) = all().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            (low, (high - low).max(f64::MIN_POSITIVE))
        };
        let ((left, width), (bottom, height)) = (range(|p| p.x), range(|p| p.y));
        let mut chart = self.clone();
        for s in chart.series.iter_mut().filter(|s| s.mark == Mark::Speck && s.steps.is_none()) {
            let mut cells = HashSet::new();
            let cell = |v: f64, from: f64, size: f64| ((v - from) / size * CELLS) as i64;
            s.points.retain(|p| cells.insert((cell(p.x, left, width), cell(p.y, bottom, height))));
        }
        chart
    }

    /// The chart laid out at a size.
    pub fn picture(&self, size: Size, dress: Dress) -> Picture {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let mut page = Page { shapes: Vec::new(), width };
        let corners = vec![(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)];
        page.shapes.push(Shape::Area { points: corners, color: theme::PAPER });
        let mut top = if dress == Dress::Full { page.title(&self.title) } else { MARGIN * 0.5 };
        top = page.legend(&self.series, top);
        top = page.paragraph(&self.y_label, TEXT, theme::INK, MARGIN, top + 8.0) + 8.0;
        let bottom = page.foot(self, height, dress);

        let points = || self.series.iter().flat_map(|s| &s.points);
        let y = Ticks::around(points().flat_map(|p| Point::span(p.y, p.bars.y)), ((bottom - top) / 55.0) as usize);
        let widest = y.marks.iter().map(|(_, l)| theme::text_width(l, TEXT, false)).fold(0.0, f64::max);
        let (left, right) = (MARGIN + widest + 8.0, width - MARGIN);
        let x = Ticks::around(points().flat_map(|p| Point::span(p.x, p.bars.x)), ((right - left) / 80.0) as usize);
        let plane = Plane { x, y, sides: [left, top, right, bottom] };
        plane.grid(&mut page.shapes);
        plane.draw(&self.series, &mut page.shapes);
        Picture { size: (size.width, size.height), shapes: page.shapes }
    }
}

/// The plot itself: left, top, right, bottom, and what its axes show.
struct Plane {
    x: Ticks,
    y: Ticks,
    sides: [f64; 4],
}

impl Plane {
    fn at(&self, p: &Point) -> (f64, f64) {
        self.place(p.x, p.y)
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let [left, top, right, bottom] = self.sides;
        (left + self.x.position(x) * (right - left), bottom - self.y.position(y) * (bottom - top))
    }

    /// Draws the error bars of a point and returns what they cover.
    fn bars(&self, p: &Point, color: Color, shapes: &mut Vec<Shape>) -> Vec<Rect> {
        let along_x = p.bars.x.map(|(a, b)| (self.place(a, p.y), self.place(b, p.y)));
        let along_y = p.bars.y.map(|(a, b)| (self.place(p.x, a), self.place(p.x, b)));
        let ends: Vec<_> = [along_x, along_y].into_iter().flatten().collect();
        shapes.extend(ends.iter().map(|(a, b)| Shape::Line { points: vec![*a, *b], width: 1.25, color }));
        ends.into_iter().map(|(a, b)| segment(a, b)).collect()
    }

    /// The area between the lower and the upper ends of a series' bars.
    fn band(&self, s: &Series, steps: Steps) -> Shape {
        let ends = |of: fn((f64, f64)) -> f64| -> Vec<(f64, f64)> {
            let at: Vec<_> = s.points.iter().map(|p| self.place(p.x, of(p.bars.y.unwrap_or((p.y, p.y))))).collect();
            corners(&at, steps)
        };
        let (low, high) = (ends(|(low, _)| low), ends(|(_, high)| high));
        Shape::Veil { points: low.into_iter().chain(high.into_iter().rev()).collect(), color: s.color }
    }

    fn grid(&self, shapes: &mut Vec<Shape>) {
        let [left, top, right, bottom] = self.sides;
        let text = |at, anchor, label: &String| {
            let text = label.clone();
            Shape::Text { at, anchor, size: TEXT, bold: false, color: theme::MUTED, text }
        };
        for (value, label) in &self.y.marks {
            let y = bottom - self.y.position(*value) * (bottom - top);
            shapes.push(Shape::Line { points: vec![(left, y), (right, y)], width: 1.0, color: theme::GRID });
            shapes.push(text((left - 8.0, y + TEXT * 0.36), Anchor::Right, label));
        }
        for (value, label) in &self.x.marks {
            let x = left + self.x.position(*value) * (right - left);
            shapes.push(Shape::Line { points: vec![(x, top), (x, bottom)], width: 1.0, color: theme::GRID });
            shapes.push(text((x, bottom + TEXT * 1.4), Anchor::Middle, label));
        }
        shapes.push(Shape::Line { points: vec![(left, bottom), (right, bottom)], width: 1.25, color: theme::MUTED });
    }

    /// Draws the points, the lines that join them and the labels.
    fn draw(&self, series: &[Series], shapes: &mut Vec<Shape>) {
        let (mut specks, mut taken, mut wishes) = (Vec::new(), Vec::new(), Vec::new());
        for s in series {
            let at: Vec<(f64, f64)> = s.points.iter().map(|p| self.at(p)).collect();
            let banded = s.steps.filter(|s| matches!(s, Steps::Band | Steps::Straight));
            shapes.extend(banded.map(|steps| self.band(s, steps)));
            if let Some(steps) = s.steps {
                let corners = corners(&at, steps);
                if steps != Steps::Straight {
                    taken.extend(corners.windows(2).map(|w| segment(w[0], w[1])));
                }
                shapes.push(Shape::Line { points: corners, width: 1.75, color: s.color });
            }
            for point in s.points.iter().filter(|_| banded.is_none()) {
                taken.extend(self.bars(point, s.color, shapes));
            }
            // Marks that would cover each other to the pixel are drawn once.
            let mut drawn = HashSet::new();
            for (p, point) in at.iter().zip(&s.points).filter(|_| banded.is_none()) {
                if drawn.insert((p.0.round() as i64, p.1.round() as i64)) {
                    s.mark.draw(shapes, *p, s.color, point.soft);
                }
            }
            match s.mark {
                Mark::Speck => specks.extend(&at),
                _ => taken.extend(at.iter().map(|p| Rect::around(*p, s.mark.reach() + 1.0))),
            }
            // The series on top get their labels first.
            let own = s.points.iter().zip(at).filter_map(|(p, at)| wish(s, p, at));
            wishes.splice(0..0, own.collect::<Vec<_>>());
        }
        self.labels(&wishes, &taken, &specks, shapes);
    }

    fn labels(&self, wishes: &[(Wish, String, Color)], taken: &[Rect], specks: &[(f64, f64)], shapes: &mut Vec<Shape>) {
        let [left, top, right, bottom] = self.sides;
        let area = Rect { sides: [left + 2.0, top - 6.0, right + MARGIN * 0.8, bottom - 2.0] };
        let only: Vec<Wish> = wishes.iter().map(|(w, ..)| w.clone()).collect();
        for ((wish, text, color), place) in wishes.iter().zip(label::place(&only, taken, specks, area)) {
            let Some(rect) = place else { continue };
            let end = rect.nearest(wish.at);
            let far = (end.0 - wish.at.0).hypot(end.1 - wish.at.1);
            if far > wish.gap + 6.0 {
                let start = towards(wish.at, end, wish.gap / far);
                shapes.push(Shape::Line { points: vec![start, end], width: 0.75, color: *color });
            }
            let [x, y, ..] = rect.sides;
            let (size, bold) = (font_size(wish.needed), wish.needed);
            let at = (x, y + size * 0.95);
            shapes.push(Shape::Text { at, anchor: Anchor::Left, size, bold, color: theme::INK, text: text.clone() });
        }
    }
}

/// A label's wish for a place, its text, and the colour of the line to its point.
fn wish(series: &Series, point: &Point, at: (f64, f64)) -> Option<(Wish, String, Color)> {
    let text = shortened(point.label.as_ref()?, LONGEST);
    let needed = series.mark != Mark::Dot;
    let size = font_size(needed);
    let size = (theme::text_width(&text, size, needed), size * 1.2);
    Some((Wish { at, size, gap: series.mark.reach() + 4.0, needed }, text, series.color))
}

fn font_size(needed: bool) -> f64 {
    if needed { 12.0 } else { 10.5 }
}

/// The points with the corners of the steps between them.
fn corners(at: &[(f64, f64)], steps: Steps) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = at.first().copied().into_iter().collect();
    for pair in at.windows(2) {
        match steps {
            Steps::AcrossFirst | Steps::Band => out.push((pair[1].0, pair[0].1)),
            Steps::DownFirst => out.push((pair[0].0, pair[1].1)),
            Steps::Straight => {}
        }
        out.push(pair[1]);
    }
    out
}

/// The thin rectangle that a level or upright line covers.
fn segment(a: (f64, f64), b: (f64, f64)) -> Rect {
    Rect { sides: [a.0.min(b.0) - 1.5, a.1.min(b.1) - 1.5, a.0.max(b.0) + 1.5, a.1.max(b.1) + 1.5] }
}

fn towards(from: (f64, f64), to: (f64, f64), part: f64) -> (f64, f64) {
    (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part)
}
