//! Paints a [`Picture`] with plotters: SVG as text, PNG from one large bitmap that is averaged down.

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, ShapeStyle};

use super::chart::Mark;
use super::theme::{self, Color};
use crate::escape::{escape, shown};

/// Device units per px in both formats: plotters counts in whole units, so a px has to be several.
const UNITS: u32 = 4;

/// One shape; all lengths in px from the top left corner.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A line through points.
    Line {
        /// Its corners.
        points: Vec<(f64, f64)>,
        /// Its width.
        width: f64,
        /// Its colour.
        color: Color,
    },
    /// A filled polygon.
    Area {
        /// Its corners.
        points: Vec<(f64, f64)>,
        /// Its colour.
        color: Color,
        /// Its opacity, 0 to 1.
        opacity: f64,
    },
    /// A filled circle.
    Dot {
        /// Its centre.
        at: (f64, f64),
        /// Its radius.
        radius: f64,
        /// Its colour.
        color: Color,
    },
    /// One line of text.
    Text {
        /// Where it is anchored, on its baseline.
        at: (f64, f64),
        /// Which part of the text that is.
        anchor: Anchor,
        /// Font size: 1 em.
        size: f64,
        /// Whether the text is bold.
        bold: bool,
        /// Its colour.
        color: Color,
        /// What it says.
        text: String,
    },
}

impl Shape {
    /// An opaque polygon.
    pub fn area(points: Vec<(f64, f64)>, color: Color) -> Shape {
        Shape::Area { points, color, opacity: 1.0 }
    }
}

impl Mark {
    /// Half of its width in px.
    pub(super) fn radius(self) -> f64 {
        match self {
            Mark::Small => 2.5,
            Mark::Dot => 5.0,
            Mark::Diamond => 7.0,
            Mark::Square => 5.5,
        }
    }

    fn shape(self, (x, y): (f64, f64), r: f64, color: Color) -> Shape {
        match self {
            Mark::Small | Mark::Dot => Shape::Dot { at: (x, y), radius: r, color },
            Mark::Diamond => Shape::area(vec![(x - r, y), (x, y - r), (x + r, y), (x, y + r)], color),
            Mark::Square => Shape::area(vec![(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)], color),
        }
    }
}

/// Draws a mark with a thin rim, so that overlapping marks stay apart; an uncertain one is hollow.
pub(super) fn mark(shapes: &mut Vec<Shape>, mark: Mark, at: (f64, f64), color: Color, uncertain: bool) {
    if mark != Mark::Small {
        let rim = if mark == Mark::Diamond { 2.0 } else { 1.5 };
        shapes.push(mark.shape(at, mark.radius() + rim, theme::PAPER));
    }
    shapes.push(mark.shape(at, mark.radius(), color));
    if uncertain {
        shapes.push(mark.shape(at, mark.radius() * 0.6, theme::PAPER));
    }
}

/// Which part of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Where it begins.
    Left,
    /// Its middle.
    Middle,
    /// Where it ends.
    Right,
}

/// Shapes on a page, first ones lowest.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Width and height in px.
    pub size: (u32, u32),
    /// The shapes.
    pub shapes: Vec<Shape>,
}

/// What differs between the two formats: how plotters counts a font's size and where it puts the baseline.
#[derive(Clone, Copy)]
enum Format {
    Svg,
    Bitmap,
}

impl Format {
    /// The size plotters wants for a font of `em`, and the drop from the top of its text to the baseline.
    fn font(self, em: f64) -> (f64, f64) {
        match self {
            Format::Svg => (em * 1.24, em * 0.76),
            Format::Bitmap => (em * theme::HEIGHT_EM, em * theme::HEIGHT_EM / 2.0),
        }
    }
}

/// The picture as an SVG document with `title` as its accessible name.
///
/// # Errors
/// In words, if plotters cannot draw.
pub fn svg(picture: &Picture, title: &str) -> Result<String, String> {
    let (w, h) = picture.size;
    let mut drawn = String::new();
    {
        let mut backend = SVGBackend::with_string(&mut drawn, (w * UNITS, h * UNITS));
        paint(picture, &mut backend, Format::Svg)?;
        backend.present().map_err(|e| e.to_string())?;
    }
    // plotters makes the document as large as its units; the reader should see it in px.
    let body = drawn.split_once(">\n").map_or("", |(_, body)| body);
    // Default attributes on every dot would double the size of a plot with many points.
    let body = body.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "");
    Ok(format!(
        "<svg width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {} {}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\">\n\
         <title>{}</title>\n{body}",
        w * UNITS,
        h * UNITS,
        escape(title)
    ))
}

/// A picture as pixels, at a higher resolution than any file it is saved to.
pub struct Bitmap {
    /// Width and height in pixels.
    size: (u32, u32),
    /// RGB, row by row.
    pixels: Vec<u8>,
}

/// The picture as a bitmap.
///
/// # Errors
/// In words, if plotters cannot draw.
pub fn bitmap(picture: &Picture) -> Result<Bitmap, String> {
    let size = (picture.size.0 * UNITS, picture.size.1 * UNITS);
    let mut pixels = vec![255; 3 * size.0 as usize * size.1 as usize];
    let mut backend = BitMapBackend::with_buffer(&mut pixels, size);
    paint(picture, &mut backend, Format::Bitmap)?;
    backend.present().map_err(|e| e.to_string())?;
    drop(backend);
    Ok(Bitmap { size, pixels })
}

impl Bitmap {
    /// Red, green and blue of the picture, row by row, at `scale` (1, 2 or 4) pixels per px.
    pub fn levels(&self, scale: u32) -> Vec<u8> {
        averaged(&self.pixels, self.size.0 as usize, (UNITS / scale.clamp(1, UNITS)) as usize)
    }

    /// Saves the picture as a PNG file of `scale` (1, 2 or 4) pixels per px.
    ///
    /// # Errors
    /// In words, if the file cannot be written.
    pub fn save(&self, path: &Path, scale: u32) -> Result<(), String> {
        let every = UNITS / scale.clamp(1, UNITS);
        let size = (self.size.0 / every, self.size.1 / every);
        let (levels, kind) = (self.levels(scale), image::ExtendedColorType::Rgb8);
        image::save_buffer_with_format(path, &levels, size.0, size.1, kind, image::ImageFormat::Png)
            .map_err(|e| e.to_string())
    }
}

/// Pixels of the result that are looked at together: most are paper.
const PIECE: usize = 32;

/// A row of paper, as long as a piece of any scale.
const BLANK: [u8; 3 * PIECE * UNITS as usize] = [255; 3 * PIECE * UNITS as usize];

/// The bitmap (RGB, `width` pixels a row) with each square of `every` (1, 2 or 4) pixels averaged to one. Plain loops,
/// which are fast without much optimisation; comparing with paper is faster still.
fn averaged(fine: &[u8], width: usize, every: usize) -> Vec<u8> {
    if every == 1 {
        return fine.to_vec();
    }
    let (stride, across) = (3 * width, width / every);
    let mut out = vec![255; (fine.len() / (stride * every)) * 3 * across];
    for (y, row) in out.chunks_exact_mut(3 * across).enumerate() {
        let block = &fine[y * every * stride..(y + 1) * every * stride];
        for (i, piece) in row.chunks_mut(3 * PIECE).enumerate() {
            let first = 3 * PIECE * i * every;
            let blank = &BLANK[..piece.len() * every];
            if (0..every).any(|line| block[line * stride + first..][..blank.len()] != *blank) {
                average(&block[first..], stride, every, piece);
            }
        }
    }
    out
}

/// Averages the squares that begin in the first row of `block` into a piece of the result.
fn average(block: &[u8], stride: usize, every: usize, piece: &mut [u8]) {
    let shift = 2 * every.trailing_zeros();
    let mut at = 0;
    while at < piece.len() {
        let (first, mut sum) = ((at / 3) * 3 * every + at % 3, 1 << (shift - 1));
        let mut line = 0;
        while line < every {
            let mut column = 0;
            while column < every {
                sum += u32::from(block[line * stride + first + 3 * column]);
                column += 1;
            }
            line += 1;
        }
        piece[at] = (sum >> shift) as u8;
        at += 1;
    }
}

fn paint<B: DrawingBackend>(picture: &Picture, backend: &mut B, format: Format) -> Result<(), String> {
    theme::fonts();
    picture.shapes.iter().try_for_each(|shape| paint_one(shape, backend, format))
}

/// Two opposite corners of a polygon that is a rectangle along the axes.
fn rectangle(points: &[(i32, i32)]) -> Option<[(i32, i32); 2]> {
    let [a, b, c, d] = points else { return None };
    let sides = (a.0 == b.0 && b.1 == c.1 && c.0 == d.0 && d.1 == a.1)
        || (a.1 == b.1 && b.0 == c.0 && c.1 == d.1 && d.0 == a.0);
    sides.then(|| [(a.0.min(c.0), a.1.min(c.1)), (a.0.max(c.0), a.1.max(c.1))])
}

fn paint_one<B: DrawingBackend>(shape: &Shape, backend: &mut B, format: Format) -> Result<(), String> {
    let unit = |v: f64| (v * f64::from(UNITS)).round() as i32;
    let units = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (unit(*x), unit(*y))).collect::<Vec<_>>();
    let filled = |color: &Color, opacity| ShapeStyle { color: color.mix(opacity), filled: true, stroke_width: 1 };
    match shape {
        Shape::Line { points, width, color } => {
            let stroke_width = unit(*width).max(1) as u32;
            let style = ShapeStyle { color: color.to_rgba(), filled: false, stroke_width };
            backend.draw_path(units(points), &style)
        }
        Shape::Area { points, color, opacity } => {
            let (points, style) = (units(points), filled(color, *opacity));
            match (format, rectangle(&points)) {
                // A polygon's columns lie far apart in a bitmap, a rectangle's rows do not.
                (Format::Bitmap, Some([a, b])) => backend.draw_rect(a, b, &style, true),
                _ => backend.fill_polygon(points, &style),
            }
        }
        Shape::Dot { at, radius, color } => {
            backend.draw_circle((unit(at.0), unit(at.1)), unit(*radius) as u32, &filled(color, 1.0), true)
        }
        Shape::Text { at, anchor, size, bold, color, text } => {
            let (points, drop) = format.font(size * f64::from(UNITS));
            let font = FontDesc::new(FontFamily::Name(theme::FAMILY), points, theme::style(*bold));
            let anchor = match anchor {
                Anchor::Left => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::Right => HPos::Right,
            };
            let style = font.color(color).pos(Pos::new(anchor, VPos::Top));
            let top = (at.1 * f64::from(UNITS) - drop).round() as i32;
            // plotters escapes markup and nothing else.
            let text: String = text.chars().map(shown).collect();
            backend.draw_text(&text, &style, (unit(at.0), top))
        }
    }
    .map_err(|e| e.to_string())
}
