//! Scatter plots as data: a [`Chart`] is laid out as a [`Picture`] of simple shapes, which is painted as SVG or PNG.
//!
//! Layout knows nothing of files and painting nothing of charts, so that both formats and every size show the same.

mod around;
mod chart;
mod label;
mod paint;
mod theme;
mod ticks;

pub use chart::{Bars, Chart, Dress, Mark, Point, Series, Size, Steps};
pub use paint::{Anchor, Bitmap, Picture, Shape, bitmap, svg};
pub use theme::{CANDIDATE, Color, FRONT, RETRAINED, SERIES, VARIANT};

#[cfg(test)]
mod tests;
