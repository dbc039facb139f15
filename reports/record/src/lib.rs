//! What runs and studies record, and the statistics that searches and reports share: journal rows, metrics, the mobile
//! efficiency score, Pareto fronts, rank correlation, quantiles. No files, no plots, no polars.

pub mod change;
pub mod engine;
mod header;
pub mod interval;
pub mod landmark;
pub mod latency_table;
pub mod metric;
pub mod pareto;
pub mod quantile;
pub mod rank;
pub mod ridge;
pub mod run;
pub mod score;
pub mod study;
pub mod text;

pub use interval::Interval;
pub use metric::{Goal, MetricInfo, Stage};
