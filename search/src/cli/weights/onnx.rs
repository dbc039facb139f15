//! `weights export --format onnx`

use std::path::Path;

use anyhow::Result;
use mobilenas_heads::Head;
use mobilenas_onnx::{Batch, Detections, Options, float32_weights};
use mobilenas_space::ir::Graph;
use mobilenas_torch::onnx::{arrays, to_onnx};

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
        if let Some(parts) = Some(e.net.graph().parts().len()).filter(|n| *n > 1) {
            let expected = "expected one that runs in one go with --int8";
            return Err(Input(format!("{}: a network of {parts} files, {expected}", e.title)).into());
        }
        let sets = (e.sets)(&e.net)?;
        let job = int8::Job { net: &e.net, batch, about, title: &e.title, classes: e.classes, out: e.out, sets };
        return job.run(&e.flags.int8);
    }
    let detections = e.flags.decode.then(|| detections(e)).transpose()?;
    let parts = e.net.graph().parts();
    if parts.len() > 1 {
        return in_parts(e, &parts);
    }
    let bytes = to_onnx(&e.net, &Options { batch, float16, detections, about }).map_err(unfit)?;
    let decoded = if e.flags.decode { ", boxes decoded" } else { "" };
    written(e.out, &bytes, &format!("{}{decoded}: {}, {}", e.title, kind(float16, &bytes)?, in_words(batch)))?;
    Ok(0)
}

/// A network that waits for regions: a file for what runs before them, and one for what runs on the features of each kind of
/// region, which is named after its last output and takes any number of regions.
fn in_parts(e: &Exported, parts: &[Graph]) -> Result<i32> {
    if e.out == Path::new("-") {
        return Err(Input(format!("-: a network of {} files, expected the name of a file", parts.len())).into());
    }
    let (float16, arrays) = (e.flags.float16, arrays(&e.net)?);
    for (i, part) in parts.iter().enumerate() {
        let name = part.outputs.last().map_or("", |o| o.name);
        let batch = if i == 0 { e.flags.batch() } else { Batch::Dynamic };
        let options = Options { batch, float16, detections: None, about: e.about.clone() };
        let bytes = mobilenas_onnx::write(part, &arrays, &options).map_err(|e| Input(e.to_string()))?;
        let (out, takes) = match i {
            0 => (e.out.to_path_buf(), in_words(batch)),
            _ => (e.out.with_extension(format!("{name}.onnx")), "any number of regions".to_string()),
        };
        written(
            &out,
            &bytes,
            &format!("{}, part {} of {}: {}, {takes}", e.title, i + 1, parts.len(), kind(float16, &bytes)?),
        )?;
    }
    Ok(0)
}

/// What the weights of a file are.
fn kind(float16: bool, bytes: &[u8]) -> Result<String> {
    Ok(match (float16, &float32_weights(bytes)?[..]) {
        (false, _) => "float32".to_string(),
        (true, []) => "float16 weights".to_string(),
        (true, kept) => {
            format!("float16 weights, but float32 where half precision does not hold them ({})", kept.join(", "))
        }
    })
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
