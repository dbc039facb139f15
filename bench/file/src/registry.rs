//! The formats, and what they say of settings.

use std::path::PathBuf;

use crate::compare::METRICS;
use crate::format::Format;
use crate::settings::{GuardedFile, ModelFile};
use crate::values::Kind;
use crate::{FileError, onnx, openvino_file, tflite, torchscript};

/// All formats.
pub static FORMATS: &[&dyn Format] =
    &[&onnx::Onnx, &torchscript::TorchScript, &openvino_file::OpenVino, &tflite::Tflite];

/// A format by its name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|f| f.name() == name)
}

impl GuardedFile {
    /// Mistakes that the types alone do not show, as key and message.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let known = METRICS;
        let wrong = self.allow.iter().find(|m| !known.contains(&m.as_str()));
        let mut all = self.model().validate();
        all.extend(wrong.map(|m| ("allow", format!("found {m:?}, expected some of {}", known.join(", ")))));
        all
    }
}

impl ModelFile {
    /// A file with nothing said beside.
    pub fn new(file: PathBuf, format: &dyn Format) -> ModelFile {
        ModelFile { file, format: Some(format.name().to_string()), ..ModelFile::default() }
    }

    /// Its format.
    ///
    /// # Errors
    /// When there is none of that name or ending.
    pub fn format(&self) -> Result<&'static dyn Format, FileError> {
        let ending = self.file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let found = match &self.format {
            Some(name) => format(name),
            None => FORMATS.iter().copied().find(|f| f.extensions().contains(&ending)),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = FORMATS.iter().map(|f| f.name()).collect();
            let found =
                self.format.as_ref().map_or_else(|| format!("a name ending in {ending:?}"), |f| format!("{f:?}"));
            FileError::Content { file: self.file.clone(), found, expected: format!("a format: {}", names.join(", ")) }
        })
    }

    /// Mistakes that the types alone do not show, as key and message.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if let Err(FileError::Content { found, expected, .. }) = self.format() {
            all.push(("format", format!("found {found}, expected {expected}")));
        }
        if let Some((name, size)) = self.dims.iter().find(|(_, size)| **size < 1) {
            all.push(("dims", format!("found {size} for {name}, expected a size of at least 1")));
        }
        for (i, input) in self.inputs.iter().enumerate() {
            if self.inputs[..i].iter().any(|j| j.name == input.name) {
                all.push(("inputs", format!("found {:?} twice, expected each input once", input.name)));
            }
            if let Some(size) = input.size.iter().flatten().find(|s| **s < 0) {
                all.push(("inputs", format!("found the size {size} of {}, expected none below 0", input.name)));
            }
            if let Some(kind) = input.kind.as_deref().filter(|k| Kind::named(k).is_none()) {
                all.push(("inputs", format!("found {kind:?}, expected one of {}", Kind::names())));
            }
            if let (Some(low), Some(high)) = (input.low, input.high)
                && low > high
            {
                all.push(("inputs", format!("found low {low} of {}, expected at most high, {high}", input.name)));
            }
        }
        all
    }
}
