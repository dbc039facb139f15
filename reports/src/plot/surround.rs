//! What stands around a plot: its title, legend, axis labels and caption.

use super::chart::Series;
use super::paint::{Anchor, Shape, mark};
use super::theme::{self, Color};

pub(super) const MARGIN: f64 = 18.0;
pub(super) const TEXT: f64 = 12.5;
const LINE: f64 = 1.4;
const TITLE: f64 = 18.0;
const SMALL: f64 = 11.0;

/// The shapes so far, and the picture's width.
pub(super) struct Surround {
    pub(super) shapes: Vec<Shape>,
    pub(super) width: f64,
}

impl Surround {
    fn text(&mut self, text: &str, at: (f64, f64), size: f64, bold: bool, color: Color) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text { at, anchor: Anchor::Left, size, bold, color, text });
    }

    /// Draws the title, smaller if it is too long, and returns its lower edge.
    pub(super) fn title(&mut self, title: &str) -> f64 {
        let title = shortened(title, 90);
        let room = self.width - 2.0 * MARGIN;
        let size = (TITLE * room / theme::text_width(&title, TITLE, true).max(1.0)).min(TITLE);
        self.text(&title, (MARGIN, MARGIN + TITLE), size, true, theme::INK);
        MARGIN + TITLE * LINE
    }

    /// Draws the legend in as many rows as it needs and returns its lower edge.
    pub(super) fn legend(&mut self, series: &[Series], top: f64) -> f64 {
        let (mut x, mut y) = (MARGIN, top + 14.0);
        for s in series.iter().filter(|s| !s.points.is_empty()) {
            let entry = 26.0 + theme::text_width(&s.name, TEXT, false);
            if x > MARGIN && x + entry > self.width - MARGIN {
                (x, y) = (MARGIN, y + TEXT * 1.7);
            }
            let centre = (x + 10.0, y - TEXT * 0.35);
            if s.line.is_some() {
                let points = vec![(x, centre.1), (x + 20.0, centre.1)];
                self.shapes.push(Shape::Line { points, width: 1.75, color: s.color });
            }
            if !s.line.is_some_and(|l| l.banded()) {
                mark(&mut self.shapes, s.mark, centre, s.color, false);
            }
            self.text(&s.name, (x + 26.0, y), TEXT, false, theme::INK);
            x += entry + 18.0;
        }
        y + TEXT * 0.4
    }

    /// Draws wrapped text and returns its lower edge.
    pub(super) fn paragraph(&mut self, text: &str, size: f64, color: Color, left: f64, top: f64) -> f64 {
        let mut y = top;
        for line in theme::wrap(text, size, self.width - left - MARGIN) {
            y += size * LINE;
            self.text(&line, (left, y - size * 0.4), size, false, color);
        }
        y
    }

    /// Draws the label of the x axis and the caption, and returns the lower edge of the plot itself.
    pub(super) fn foot(&mut self, x_label: &str, caption: &[String], height: f64) -> f64 {
        let lines =
            |text: &str, size: f64| theme::wrap(text, size, self.width - 2.0 * MARGIN).len() as f64 * size * LINE;
        let caption_height: f64 = caption.iter().map(|c| lines(c, SMALL)).sum();
        let label_height = lines(x_label, TEXT);
        let mut y = height - MARGIN * 0.6 - caption_height;
        let label_top = y - label_height - if caption.is_empty() { 0.0 } else { 8.0 };
        for paragraph in caption {
            y = self.paragraph(paragraph, SMALL, theme::MUTED, MARGIN, y);
        }
        let indent = (self.width - MARGIN - theme::text_width(x_label, TEXT, false)).max(MARGIN);
        self.paragraph(x_label, TEXT, theme::INK, indent - 1.0, label_top);
        label_top - TEXT * LINE - 6.0
    }
}

/// At most `longest` characters.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    match text.chars().count() {
        n if n <= longest => text.to_owned(),
        _ => text.chars().take(longest.saturating_sub(1)).chain(['…']).collect(),
    }
}
