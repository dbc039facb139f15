//! What a conversion reports, and the file beside the converted one.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::super::format::{Exported, Format};

/// A conversion and its comparison.
pub(super) struct Report {
    /// The converter's package and its version.
    pub(super) converter: String,
    /// The runtime and its version.
    pub(super) runtime: String,
    /// Images on which logits were compared.
    pub(super) images: u64,
    /// Largest difference of a logit, relative to the spread of PyTorch's logits.
    pub(super) difference: f64,
    /// All that was reported.
    all: Value,
}

impl Report {
    pub(super) fn read(all: Value) -> Result<Report> {
        let text = |key: &str, name: &str| {
            let text = |part: &str| all[key][part].as_str().with_context(|| format!("no {part} of the {key}"));
            Ok::<_, anyhow::Error>(format!("{} {}", text(name)?, text("version")?))
        };
        let comparison = &all["comparison"];
        Ok(Report {
            converter: text("converter", "package")?,
            runtime: text("runtime", "name")?,
            images: comparison["images"].as_u64().context("no number of images")?,
            difference: comparison["difference"].as_f64().context("no difference")?,
            all,
        })
    }

    /// The text of the file beside.
    pub(super) fn json(&self, e: &Exported, format: &Format, (bytes, tolerance): (u64, f64)) -> Value {
        let (graph, image) = (e.net.graph(), e.flags.image_input);
        let (h, w) = graph.input().hw().unwrap_or_default();
        let mut all = Map::new();
        let precision = if e.flags.float16 { "float16" } else { "float32" };
        let input = match image {
            true => json!({"name": "image", "kind": "RGB image of 0 to 255", "height": h, "width": w}),
            false => json!({"kind": "normalised tensor", "shape": [1, 3, h, w]}),
        };
        for (key, value) in [
            ("network", json!(e.title)),
            ("format", json!(format.name)),
            ("bytes", json!(bytes)),
            ("precision", json!(precision)),
            ("input", input),
            ("classes", json!(graph.output_value().channels())),
            ("about", json!(e.about)),
        ] {
            all.insert(key.to_string(), value);
        }
        for (key, value) in self.all.as_object().into_iter().flatten() {
            all.insert(key.clone(), value.clone());
        }
        if let Some(comparison) = all.get_mut("comparison").and_then(Value::as_object_mut) {
            comparison.insert("tolerance".to_string(), json!(tolerance));
        }
        Value::Object(all)
    }
}
