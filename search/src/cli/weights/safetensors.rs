//! `weights export --format safetensors`

use anyhow::Result;

use super::format::{Exported, Format};
use super::output::{sound, write as write_tensors};

pub(super) const FORMAT: Format = Format {
    name: "safetensors",
    writes: "the tensors under timm's names, in a safetensors file",
    extension: None,
    fused: false,
    untrained: false,
    heads: true,
    takes: &[],
    write,
};

fn write(e: &Exported) -> Result<i32> {
    write_tensors(e.out, &sound(&e.net)?, &e.about, &e.title)?;
    Ok(0)
}
