//! Paints a [`Picture`] with plotters: SVG as text, PNG from one fine bitmap that is averaged down.

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, ShapeStyle};

use super::theme::{self, Color};

/// Device units a px, in both formats: plotters counts in whole units, so a px has to be several.
const FINE: u32 = 4;

/// How much of a [`Shape::Veil`]'s colour is seen.
const VEIL: f64 = 0.2;

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
    },
    /// A filled polygon that what is below shines through.
    Veil {
        /// Its corners.
        points: Vec<(f64, f64)>,
        /// Its colour.
        color: Color,
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
        let mut backend = SVGBackend::with_string(&mut drawn, (w * FINE, h * FINE));
        paint(picture, &mut backend, Format::Svg)?;
        backend.present().map_err(|e| e.to_string())?;
    }
    // plotters makes the document as large as its units; the reader should see it in px.
    let body = drawn.split_once(">\n").map_or("", |(_, body)| body);
    // Defaults said once more on every dot double the size of a plot of many.
    let body = body.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "");
    Ok(format!(
        "<svg width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {} {}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\">\n\
         <title>{}</title>\n{body}",
        w * FINE,
        h * FINE,
        crate::page::escape(title)
    ))
}

/// A picture as dots, finer than any file it is saved to.
pub struct Bitmap {
    /// Width and height in dots.
    size: (u32, u32),
    /// RGB, row by row.
    dots: Vec<u8>,
}

/// The picture as dots.
///
/// # Errors
/// In words, if plotters cannot draw.
pub fn bitmap(picture: &Picture) -> Result<Bitmap, String> {
    let size = (picture.size.0 * FINE, picture.size.1 * FINE);
    let mut dots = vec![255; 3 * size.0 as usize * size.1 as usize];
    let mut backend = BitMapBackend::with_buffer(&mut dots, size);
    paint(picture, &mut backend, Format::Bitmap)?;
    backend.present().map_err(|e| e.to_string())?;
    drop(backend);
    Ok(Bitmap { size, dots })
}

impl Bitmap {
    /// Red, green and blue of the picture, row by row, at `scale` (1, 2 or 4) dots a px.
    pub fn levels(&self, scale: u32) -> Vec<u8> {
        averaged(&self.dots, self.size.0 as usize, (FINE / scale.clamp(1, FINE)) as usize)
    }

    /// Saves the picture as a PNG file of `scale` (1, 2 or 4) dots a px.
    ///
    /// # Errors
    /// In words, if the file cannot be written.
    pub fn save(&self, path: &Path, scale: u32) -> Result<(), String> {
        let every = FINE / scale.clamp(1, FINE);
        let size = (self.size.0 / every, self.size.1 / every);
        let mut backend = BitMapBackend::new(path, size);
        backend.blit_bitmap((0, 0), size, &self.levels(scale)).map_err(|e| e.to_string())?;
        backend.present().map_err(|e| e.to_string())
    }
}

/// The bitmap (RGB, `width` dots a row) with each square of `every` dots as one.
fn averaged(fine: &[u8], width: usize, every: usize) -> Vec<u8> {
    let rows = fine.len() / 3 / width;
    let dots = (every * every) as u32;
    let mut out = Vec::with_capacity(fine.len() / (every * every));
    for y in 0..rows / every {
        for x in 0..width / every {
            let mut sum = [0u32; 3];
            for dy in 0..every {
                let start = 3 * ((y * every + dy) * width + x * every);
                for dot in fine[start..start + 3 * every].chunks_exact(3) {
                    sum.iter_mut().zip(dot).for_each(|(s, c)| *s += u32::from(*c));
                }
            }
            out.extend(sum.map(|s| ((s + dots / 2) / dots) as u8));
        }
    }
    out
}

fn paint<B: DrawingBackend>(picture: &Picture, backend: &mut B, format: Format) -> Result<(), String> {
    theme::fonts();
    picture.shapes.iter().try_for_each(|shape| paint_one(shape, backend, format))
}

fn paint_one<B: DrawingBackend>(shape: &Shape, backend: &mut B, format: Format) -> Result<(), String> {
    let unit = |v: f64| (v * f64::from(FINE)).round() as i32;
    let units = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (unit(*x), unit(*y))).collect::<Vec<_>>();
    let filled = |color: &Color| ShapeStyle { color: color.to_rgba(), filled: true, stroke_width: 1 };
    match shape {
        Shape::Line { points, width, color } => {
            let stroke_width = unit(*width).max(1) as u32;
            let style = ShapeStyle { color: color.to_rgba(), filled: false, stroke_width };
            backend.draw_path(units(points), &style)
        }
        Shape::Area { points, color } => backend.fill_polygon(units(points), &filled(color)),
        Shape::Veil { points, color } => {
            let style = ShapeStyle { color: color.mix(VEIL), filled: true, stroke_width: 1 };
            backend.fill_polygon(units(points), &style)
        }
        Shape::Dot { at, radius, color } => {
            backend.draw_circle((unit(at.0), unit(at.1)), unit(*radius) as u32, &filled(color), true)
        }
        Shape::Text { at, anchor, size, bold, color, text } => {
            let (points, drop) = format.font(size * f64::from(FINE));
            let font = FontDesc::new(FontFamily::Name(theme::FAMILY), points, theme::style(*bold));
            let anchor = match anchor {
                Anchor::Left => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::Right => HPos::Right,
            };
            let style = font.color(color).pos(Pos::new(anchor, VPos::Top));
            let top = (at.1 * f64::from(FINE) - drop).round() as i32;
            backend.draw_text(text, &style, (unit(at.0), top))
        }
    }
    .map_err(|e| e.to_string())
}
