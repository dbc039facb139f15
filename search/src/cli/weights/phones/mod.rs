//! `weights export --format coreml|executorch|litert`: the PyTorch source, converted by the runtimes' own converters in
//! Python, run, and compared with PyTorch. A file whose logits are others is not written.

mod report;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use mobilenas_host::write::{Target, write_whole};
use mobilenas_host::{Stop, outln};
use mobilenas_phones::{PhonesError, Python, convert};
use mobilenas_space::families::Preprocessing;
use serde_json::json;

use super::super::{Input, destination};
use super::format::{Exported, FLOAT16, Format, IMAGE_INPUT};
use super::pytorch::Source;
use report::Report;

pub(super) const COREML: Format = Format {
    name: "coreml",
    writes: "a package for Core ML on iOS 16 and later, in float32 or float16: NAME.mlpackage",
    extension: Some("mlpackage"),
    fused: true,
    untrained: true,
    heads: false,
    takes: &[FLOAT16, IMAGE_INPUT],
    write: |e| write(e, &COREML),
};

pub(super) const EXECUTORCH: Format = Format {
    name: "executorch",
    writes: "a program for ExecuTorch, for its XNNPACK backend: NAME.pte",
    extension: Some("pte"),
    fused: true,
    untrained: true,
    heads: false,
    takes: &[],
    write: |e| write(e, &EXECUTORCH),
};

pub(super) const LITERT: Format = Format {
    name: "litert",
    writes: "a model for LiteRT, formerly TensorFlow Lite: NAME.tflite",
    extension: Some("tflite"),
    fused: true,
    untrained: true,
    heads: false,
    takes: &[],
    write: |e| write(e, &LITERT),
};

/// Largest difference of a logit from PyTorch's, relative to the spread of the logits.
const TOLERANCE: f64 = 1e-4;
/// The same where the network computes in half precision.
const TOLERANCE_FLOAT16: f64 = 1e-2;
/// What a package of Core ML holds at its top.
const MANIFEST: &str = "Manifest.json";

fn write(e: &Exported, format: &Format) -> Result<i32> {
    let (graph, out) = (e.net.graph(), e.out);
    let python = Python::find().map_err(|e| missing(out, e))?;
    let place = Place::of(out, format)?;
    let source = Source::of(e)?;
    let Preprocessing { mean, std, .. } = (e.preprocessing)(&e.about)?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    source.write(folder.path())?;
    let made = folder.path().join(format!("made.{}", format.extension.unwrap_or_default()));
    let (h, w) = graph.input().hw().unwrap_or_default();
    let job = json!({
        "format": format.name, "name": e.name, "title": e.title, "about": e.about,
        "file": made.file_name().map(Path::new),
        "side": [h, w], "classes": graph.output_value().channels(), "mean": mean, "std": std,
        "float16": e.flags.float16, "image": e.flags.image_input,
    });
    let stop = Stop::on_signals()?;
    let Some(report) = convert(&python, folder.path(), &job, &stop).map_err(|e| missing(out, e))? else {
        return Ok(stop.exit_code());
    };
    let report = Report::read(report).with_context(|| format!("{}: what the conversion reports", out.display()))?;
    let tolerance = if e.flags.float16 { TOLERANCE_FLOAT16 } else { TOLERANCE };
    let Report { runtime, difference, images, .. } = &report;
    // A difference that is no number is within no bound.
    let holds = *difference <= tolerance;
    if !holds {
        bail!(
            "{}: on {runtime} the logits of the file differ from PyTorch's by {difference:.2e} of their spread on \
             {images} images, expected at most {tolerance:.0e}; no file was written",
            out.display()
        );
    }
    let bytes = place.fill(&made)?;
    let beside = beside(out);
    let text = serde_json::to_string_pretty(&report.json(e, format, (bytes, tolerance)))? + "\n";
    destination::write(&beside, text.as_bytes())?;
    let (title, converter) = (&e.title, &report.converter);
    outln!(
        "{title}: {}, {bytes} bytes written to {} by {converter}; on {runtime} its logits differ from PyTorch's by \
         {difference:.1e} of their spread on {images} images, {}",
        if e.flags.float16 { "float16" } else { "float32" },
        out.display(),
        beside.display(),
    )?;
    Ok(0)
}

/// That there is no file: a fault of the input if the converters are not there.
fn missing(out: &Path, error: PhonesError) -> anyhow::Error {
    match error {
        e if e.is_input() => Input(format!("{}: {e}", out.display())).into(),
        PhonesError::Failed { .. } => anyhow!("{}: {error}; no file was written", out.display()),
        e => anyhow!("{}: {e}", out.display()),
    }
}

/// The report's name.
fn beside(out: &Path) -> std::path::PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// Where the converted file goes.
enum Place<'a> {
    File(&'a Path),
    Package(&'a Path),
}

impl Place<'_> {
    /// Looks at the place before anything is converted, which takes minutes.
    fn of<'a>(out: &'a Path, format: &Format) -> Result<Place<'a>> {
        let name = out.display();
        let wrong = |found: &str, expected: &str| Err(Input(format!("{name}: {found}, expected {expected}")).into());
        if out == Path::new("-") {
            return wrong("standard output", "a name: a report is written beside the file");
        }
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            return wrong("its folder is not there", "a place for the file");
        }
        if format.name == COREML.name {
            return match out.symlink_metadata() {
                Ok(_) if !out.join(MANIFEST).is_file() => wrong("no package of Core ML", "one to replace, or nothing"),
                _ => Ok(Place::Package(out)),
            };
        }
        match Target::of(out) {
            Ok(Target::File(_)) => Ok(Place::File(out)),
            Ok(Target::Stream(_)) => wrong("no file", "a name: a report is written beside the file"),
            Err(e) => wrong(&e.to_string(), "a place for the file"),
        }
    }

    /// Puts the file there whole; gives its bytes.
    fn fill(&self, made: &Path) -> Result<u64> {
        match self {
            Place::File(out) => {
                let bytes =
                    fs::read(made).with_context(|| format!("{}: the converter wrote no file", out.display()))?;
                destination::write(out, &bytes)?;
                Ok(bytes.len() as u64)
            }
            Place::Package(out) => {
                replace_folder(made, out).with_context(|| format!("{}: the package cannot be written", out.display()))
            }
        }
    }
}

/// Copies a folder beside a place, and renames it into the place; gives the bytes of its files.
fn replace_folder(from: &Path, place: &Path) -> Result<u64> {
    let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_path_buf());
    let parent = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new().prefix(".mobilenas.partial-").tempdir_in(parent)?;
    let (new, old) = (beside.path().join("new"), beside.path().join("old"));
    let bytes = copy_folder(from, &new)?;
    if place.exists() {
        fs::rename(&place, &old)?;
    }
    fs::rename(&new, &place)?;
    Ok(bytes)
}

fn copy_folder(from: &Path, to: &Path) -> Result<u64> {
    fs::create_dir(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            bytes += copy_folder(&path, &place)?;
        } else {
            let data = fs::read(&path)?;
            write_whole(&place, &data)?;
            bytes += data.len() as u64;
        }
    }
    Ok(bytes)
}
