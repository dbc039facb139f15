//! `weights export --format pytorch`

use std::path::Path;

use anyhow::Result;
use mobilenas_heads::{Task, detections, map_sizes};
use mobilenas_host::{Lock, outln};
use mobilenas_pytorch::{Anchors, Shows, example, source};
use mobilenas_record::metric::SHOWN;
use mobilenas_space::ir::regularize;
use mobilenas_torch::weights::{Named, save};

use super::super::{Input, destination};
use super::format::{Exported, Format};
use super::output::sound;

pub(super) const FORMAT: Format = Format {
    name: "pytorch",
    writes: "a folder with PyTorch source, its weights and an example: NAME.py, NAME.safetensors, example.py",
    extension: None,
    fused: false,
    untrained: true,
    heads: true,
    takes: &[],
    write,
};

fn write(e: &Exported) -> Result<i32> {
    let (folder, name) = (e.out, &e.name);
    if folder == Path::new("-") {
        let found = "standard output, expected a folder: PyTorch source is three files";
        return Err(Input(format!("{}: {found}", folder.display())).into());
    }
    let source = Source::of(e)?;
    let example = example(e.net.graph(), name, &(e.preprocessing)(&e.about)?, &shows(e)?);
    let _lock = Lock::folder(folder, "mobilenas weights export").map_err(|e| Input(e.to_string()))?;
    source.write(folder)?;
    destination::write(&folder.join("example.py"), example.as_bytes())?;
    outln!("{}: {name}.py, {name}.safetensors and example.py written to {}", e.title, folder.display())?;
    Ok(0)
}

/// What the example shows: what the head gives.
fn shows(e: &Exported) -> Result<Shows> {
    let Some(head) = (e.head)()? else { return Ok(Shows::Classes) };
    let (Task::Detection, Some(rules)) = (head.task(), head.ssd_rules()) else { return Ok(Shows::Pixels) };
    let found = detections(rules, e.net.graph()).map_err(|e| Input(e.to_string()))?;
    let (mut rest, mut maps) = (&found.anchors[..], Vec::new());
    for ((rows, columns), count) in map_sizes(e.net.graph()).into_iter().zip(rules.anchors().per_cell()) {
        let of_map = rows as usize * columns as usize * count;
        maps.push((rows, columns, rest.iter().take(count).map(|[.., w, h]| [*w, *h]).collect()));
        rest = rest.get(of_map..).unwrap_or_default();
    }
    let variances = [found.center_variance, found.side_variance];
    Ok(Shows::Boxes(Anchors {
        maps,
        variances,
        max_log: found.max_log,
        nms_iou: found.nms_iou,
        least: SHOWN,
        most: found.per_image,
    }))
}

/// The source of a network and its weights.
pub(super) struct Source<'a> {
    exported: &'a Exported<'a>,
    text: String,
    tensors: Named,
}

impl<'a> Source<'a> {
    pub(super) fn of(e: &'a Exported) -> Result<Source<'a>> {
        let wrong = |found: String| Input(format!("{}: {found}", e.out.display()));
        let tensors = sound(&e.net)?;
        let graph = regularize(e.net.graph(), &(e.regularization)()?);
        let text = source(&graph, &e.name).map_err(|e| wrong(e.to_string()))?;
        Ok(Source { exported: e, text, tensors })
    }

    /// Writes `NAME.py` and `NAME.safetensors`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let Exported { name, about, .. } = self.exported;
        let weights = folder.join(format!("{name}.safetensors"));
        save(&weights, &self.tensors, about).map_err(|e| Input(e.to_string()))?;
        destination::write(&folder.join(format!("{name}.py")), self.text.as_bytes())
    }
}
