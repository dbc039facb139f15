//! `weights export --format onnx`

use anyhow::Result;
use mobilenas_heads::Head;
use mobilenas_onnx::{Batch, Detections, Options, float32_weights};
use mobilenas_torch::onnx::to_onnx;

use super::super::Input;
use super::format::{BATCH, DECODE, DYNAMIC_BATCH, Exported, FLOAT16, Format, INT8};
use super::int8;
use super::output::{in_words, unfit, written};

pub(super) const FORMAT: Format = Format {
    name: "onnx",
    writes: "an ONNX file, in float32, float16 or int8",
    extension: Some("onnx"),
    fused: true,
    untrained: true,
    heads: true,
    takes: &[FLOAT16, INT8, BATCH, DYNAMIC_BATCH, DECODE],
    write,
};

fn write(e: &Exported) -> Result<i32> {
    let (batch, float16, about) = (e.flags.batch(), e.flags.float16, e.about.clone());
    if e.flags.int8.int8 {
        let job = int8::Job { net: &e.net, batch, about, title: &e.title, out: e.out, sets: (e.sets)(&e.net)? };
        return job.run(&e.flags.int8);
    }
    let detections = e.flags.decode.then(|| detections(e)).transpose()?;
    let bytes = to_onnx(&e.net, &Options { batch, float16, detections, about }).map_err(unfit)?;
    let kind = match (float16, &float32_weights(&bytes)?[..]) {
        (false, _) => "float32".to_string(),
        (true, []) => "float16 weights".to_string(),
        (true, kept) => {
            format!("float16 weights, but float32 where half precision does not hold them ({})", kept.join(", "))
        }
    };
    let decoded = if e.flags.decode { ", boxes decoded" } else { "" };
    written(e.out, &bytes, &format!("{}{decoded}: {kind}, {}", e.title, in_words(batch)))?;
    Ok(0)
}

/// What the file does after the outputs of a detector for one image.
fn detections(e: &Exported) -> Result<Detections> {
    if e.flags.batch() != Batch::Fixed(1) {
        let found = in_words(e.flags.batch());
        return Err(Input(format!("{DECODE}: {found}, expected one image at once")).into());
    }
    let rules = (e.head)()?.and_then(Head::ssd_rules);
    let rules = rules.ok_or_else(|| Input(format!("{DECODE}: no boxes, expected a network with a detection head")))?;
    Ok(mobilenas_heads::detections(rules, e.net.graph()).map_err(|e| Input(format!("{DECODE}: {e}")))?)
}
