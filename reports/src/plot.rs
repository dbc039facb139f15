//! Plots. An [`InteractivePlot`] describes a scatter plot with any number of axes: the page's script draws it, and one
//! pair of its axes is a [`Chart`]. A chart is laid out as a [`Picture`] of simple shapes, painted as SVG or PNG.

mod chart;
mod interactive;
mod label;
mod layout;
mod paint;
mod surround;
mod theme;
mod ticks;

pub use chart::{Bars, Chart, LineStyle, Mark, Point, Series};
pub use interactive::{Axis, Group, InteractivePlot, NumberFormat, drawable};
pub use layout::{Placement, Size, picture};
pub use paint::{Anchor, Bitmap, Picture, Shape, bitmap, svg};
pub use theme::{CANDIDATE, Color, FRONT, RETRAINED, SERIES, VARIANT};

#[cfg(test)]
mod tests;
