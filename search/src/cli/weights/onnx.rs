//! `weights export --format onnx`

use anyhow::Result;
use mobilenas_onnx::{Options, float32_weights};
use mobilenas_torch::onnx::to_onnx;

use super::format::{BATCH, DYNAMIC_BATCH, Exported, FLOAT16, Format, INT8};
use super::int8;
use super::output::{in_words, unfit, written};

pub(super) const FORMAT: Format = Format {
    name: "onnx",
    writes: "an ONNX file, in float32, float16 or int8",
    extension: Some("onnx"),
    fused: true,
    untrained: true,
    heads: true,
    takes: &[FLOAT16, INT8, BATCH, DYNAMIC_BATCH],
    write,
};

fn write(e: &Exported) -> Result<i32> {
    let (batch, float16, about) = (e.flags.batch(), e.flags.float16, e.about.clone());
    if e.flags.int8.int8 {
        let job = int8::Job { net: &e.net, batch, about, title: &e.title, out: e.out, sets: (e.sets)(&e.net)? };
        return job.run(&e.flags.int8);
    }
    let bytes = to_onnx(&e.net, &Options { batch, float16, about }).map_err(unfit)?;
    let kind = match (float16, &float32_weights(&bytes)?[..]) {
        (false, _) => "float32".to_string(),
        (true, []) => "float16 weights".to_string(),
        (true, kept) => {
            format!("float16 weights, but float32 where half precision does not hold them ({})", kept.join(", "))
        }
    };
    written(e.out, &bytes, &format!("{}: {kind}, {}", e.title, in_words(batch)))?;
    Ok(0)
}
