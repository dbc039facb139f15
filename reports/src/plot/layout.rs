//! The layout of a chart at a given size.

use std::collections::HashSet;

use super::chart::{Chart, LineStyle, Mark, Point, Series};
use super::label::{self, LabelRequest, Rect};
use super::paint::{Anchor, Picture, Shape, mark};
use super::surround::{MARGIN, Surround, TEXT, shortened};
use super::theme::{self, Color};
use super::ticks::Ticks;

/// Width and height in px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Where a picture is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In a file of its own: with title and caption.
    Standalone,
    /// In a page, which has title and caption as text.
    Embedded,
}

/// Characters of a label before it is cut.
const LONGEST: usize = 32;

/// The chart laid out at a size.
pub fn picture(chart: &Chart, size: Size, placement: Placement) -> Picture {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let mut around = Surround { shapes: Vec::new(), width };
    let corners = vec![(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)];
    around.shapes.push(Shape::area(corners, theme::PAPER));
    let standalone = placement == Placement::Standalone;
    let mut top = if standalone { around.title(&chart.title) } else { MARGIN * 0.5 };
    top = around.legend(&chart.series, top);
    top = around.paragraph(&chart.y_label, TEXT, theme::INK, MARGIN, top + 8.0) + 8.0;
    let bottom = around.foot(&chart.x_label, if standalone { &chart.caption } else { &[] }, height);

    let points = || chart.series.iter().flat_map(|s| &s.points);
    // An axis has room for its points and the ends of their error bars.
    let span = |value: f64, bar: Option<(f64, f64)>| [value, bar.map_or(value, |b| b.0), bar.map_or(value, |b| b.1)];
    let y = Ticks::around(points().flat_map(|p| span(p.y, p.bars.y)), ((bottom - top) / 55.0) as usize);
    let widest = y.marks.iter().map(|(_, l)| theme::text_width(l, TEXT, false)).fold(0.0, f64::max);
    let (left, right) = (MARGIN + widest + 8.0, width - MARGIN);
    let values = points().flat_map(|p| span(p.x, p.bars.x));
    let x = match chart.log_x && values.clone().all(|v| v > 0.0) {
        true => Ticks::logarithmic(values),
        false => Ticks::around(values, ((right - left) / 80.0) as usize),
    };
    let plane = Plane { x, y, sides: [left, top, right, bottom] };
    plane.grid(&mut around.shapes);
    plane.draw(&chart.series, &mut around.shapes);
    Picture { size: (size.width, size.height), shapes: around.shapes }
}

/// The area inside the axes: left, top, right, bottom in px, and the range of each axis.
struct Plane {
    x: Ticks,
    y: Ticks,
    sides: [f64; 4],
}

impl Plane {
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

    /// The area between the lower and the upper ends of a series' error bars.
    fn band(&self, s: &Series, line: LineStyle) -> Shape {
        let ends = |of: fn((f64, f64)) -> f64| -> Vec<(f64, f64)> {
            let at: Vec<_> = s.points.iter().map(|p| self.place(p.x, of(p.bars.y.unwrap_or((p.y, p.y))))).collect();
            corners(&at, line)
        };
        let (low, high) = (ends(|(low, _)| low), ends(|(_, high)| high));
        Shape::Area { points: low.into_iter().chain(high.into_iter().rev()).collect(), color: s.color, opacity: 0.2 }
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
        let (mut small, mut taken, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for s in series {
            let at: Vec<(f64, f64)> = s.points.iter().map(|p| self.place(p.x, p.y)).collect();
            let banded = s.line.filter(|l| l.banded());
            shapes.extend(banded.map(|line| self.band(s, line)));
            if let Some(line) = s.line {
                let corners = corners(&at, line);
                if line != LineStyle::Straight {
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
                    mark(shapes, s.mark, *p, s.color, point.uncertain);
                }
            }
            match s.mark {
                Mark::Small => small.extend(&at),
                _ => taken.extend(at.iter().map(|p| Rect::around(*p, s.mark.radius() + 1.0))),
            }
            // The series on top get their labels first.
            let own = s.points.iter().zip(at).filter_map(|(p, at)| request(s, p, at));
            labels.splice(0..0, own.collect::<Vec<_>>());
        }
        self.labels(&labels, &taken, &small, shapes);
    }

    fn labels(
        &self,
        labels: &[(LabelRequest, String, Color)],
        taken: &[Rect],
        small: &[(f64, f64)],
        shapes: &mut Vec<Shape>,
    ) {
        let [left, top, right, bottom] = self.sides;
        let area = Rect { sides: [left + 2.0, top - 6.0, right + MARGIN * 0.8, bottom - 2.0] };
        let requests: Vec<LabelRequest> = labels.iter().map(|(r, ..)| r.clone()).collect();
        for ((request, text, color), place) in labels.iter().zip(label::place(&requests, taken, small, area)) {
            let Some(rect) = place else { continue };
            let end = rect.nearest(request.at);
            let far = (end.0 - request.at.0).hypot(end.1 - request.at.1);
            if far > request.gap + 6.0 {
                let start = towards(request.at, end, request.gap / far);
                shapes.push(Shape::Line { points: vec![start, end], width: 0.75, color: *color });
            }
            let [x, y, ..] = rect.sides;
            let (size, bold) = (font_size(request.needed), request.needed);
            let at = (x, y + size * 0.95);
            shapes.push(Shape::Text { at, anchor: Anchor::Left, size, bold, color: theme::INK, text: text.clone() });
        }
    }
}

/// A point's label with the space that it needs, and the colour of the line to its point.
fn request(series: &Series, point: &Point, at: (f64, f64)) -> Option<(LabelRequest, String, Color)> {
    let text = shortened(point.label.as_ref()?, LONGEST);
    let needed = series.mark != Mark::Dot;
    let size = font_size(needed);
    let size = (theme::text_width(&text, size, needed), size * 1.2);
    Some((LabelRequest { at, size, gap: series.mark.radius() + 4.0, needed }, text, series.color))
}

fn font_size(needed: bool) -> f64 {
    if needed { 12.0 } else { 10.5 }
}

/// The points with the corners of the steps between them.
fn corners(at: &[(f64, f64)], line: LineStyle) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = at.first().copied().into_iter().collect();
    for pair in at.windows(2) {
        match line {
            LineStyle::StepsPost | LineStyle::Band => out.push((pair[1].0, pair[0].1)),
            LineStyle::StepsPre => out.push((pair[0].0, pair[1].1)),
            LineStyle::Straight => {}
        }
        out.push(pair[1]);
    }
    out
}

/// The thin rectangle that a horizontal or vertical line covers.
fn segment(a: (f64, f64), b: (f64, f64)) -> Rect {
    Rect { sides: [a.0.min(b.0) - 1.5, a.1.min(b.1) - 1.5, a.0.max(b.0) + 1.5, a.1.max(b.1) + 1.5] }
}

fn towards(from: (f64, f64), to: (f64, f64), part: f64) -> (f64, f64) {
    (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part)
}
