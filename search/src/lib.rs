//! The search: train a supernet, ask a strategy, score what it asks for, retrain the winners, write the report.

pub mod blocks;
pub mod bounds;
pub mod cache;
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod evaluate;
pub mod folder;
pub mod journal;
pub mod latency_table;
pub mod metric;
pub mod prepare;
pub mod progress;
pub mod proxy;
pub mod quantize;
pub mod run;
pub mod seed;
pub mod sheet;
pub mod stop;
pub mod strategy;
pub mod study;
pub mod train;
pub mod worker;

pub use mobilenas_images as images;
