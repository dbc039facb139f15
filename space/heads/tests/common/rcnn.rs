//! The networks of the goldens of Mask R-CNN.

use std::io::Read as _;

use mobilenas_heads::{HeadOptions, attach, head};
use mobilenas_space::families;
use mobilenas_space::ir::Graph;
use serde_json::Value;

/// The goldens.
pub fn goldens() -> Vec<Value> {
    let (file, mut text) = (&include_bytes!("../rcnn.json.gz")[..], String::new());
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["goldens"].as_array().unwrap().clone()
}

/// The network of a golden.
pub fn graph(g: &Value) -> Graph {
    let number = |key: &str| g[key].as_u64().unwrap() as u32;
    let options = HeadOptions { width: Some(number("width")), ..HeadOptions::new(number("classes")) };
    let backbone = families::plan(g["model"].as_str().unwrap(), Some(number("resolution")), 1000).unwrap();
    attach(head("mask_rcnn").unwrap(), backbone, &options).unwrap().lower().unwrap()
}
