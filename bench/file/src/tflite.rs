//! .tflite files on LiteRT, formerly TensorFlow Lite, with XNNPACK.

use std::path::PathBuf;

use crate::exact::Facts;
use crate::litert::{self, Ready};
use crate::raw;
use crate::tflite_model::{self, Port, Tflite as Model};
use crate::values::Kind;
use crate::{FileError, Format, Input, ModelFile, Output, Session};

/// `.tflite`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tflite;

const ENGINE: &str = "litert";

fn wrong(of: &ModelFile, found: impl Into<String>, expected: impl Into<String>) -> FileError {
    FileError::Content { file: of.file.clone(), found: found.into(), expected: expected.into() }
}

fn read(of: &ModelFile) -> Result<Model, FileError> {
    let bytes = std::fs::read(&of.file).map_err(|source| FileError::Open { file: of.file.clone(), source })?;
    tflite_model::read(&bytes).ok_or_else(|| wrong(of, "no .tflite file, or a part of one", "a whole one"))
}

fn sizes(dims: &[i64]) -> String {
    dims.iter().map(|d| if *d < 0 { "?".to_string() } else { d.to_string() }).collect::<Vec<_>>().join("x")
}

/// An input as a user feeds it.
fn input(of: &ModelFile, port: &Port) -> Result<Input, FileError> {
    let setting = of.setting(&port.name);
    let of_input = |what: &str| format!("{what} of input {}", port.name);
    let kind = port.kind.ok_or_else(|| wrong(of, of_input("a kind without a name here"), Kind::names()))?;
    if let Some(given) = setting.and_then(|s| s.kind.as_deref()).filter(|given| *given != kind.name()) {
        return Err(wrong(of, of_input(&format!("the kind {given}")), format!("{}, as in the file", kind.name())));
    }
    let dims = setting.and_then(|s| s.size.as_ref()).unwrap_or(&port.dims);
    if port.dims.iter().any(|d| *d < 0) {
        return Err(wrong(of, of_input(&format!("the dynamic size {}", sizes(&port.dims))), "a file for one size"));
    }
    if *dims != port.dims {
        return Err(wrong(of, of_input(&format!("the size {}", sizes(dims))), sizes(&port.dims)));
    }
    Ok(Input::new(port.name.clone(), kind, dims.clone(), setting))
}

impl Format for Tflite {
    fn name(&self) -> &'static str {
        "tflite"
    }

    fn baseline_flag(&self) -> &'static str {
        "baseline-tflite"
    }

    fn help(&self) -> &'static str {
        "Only these .tflite files, on LiteRT"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["tflite"]
    }

    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn version(&self) -> String {
        litert::version()
    }

    fn inputs(&self, of: &ModelFile) -> Result<Vec<Input>, FileError> {
        if let Some(axis) = of.dims.keys().next() {
            return Err(wrong(of, format!("a size for axis {axis}"), "none: axes have no names here"));
        }
        let all = read(of)?.inputs;
        if let Some(s) = of.inputs.iter().find(|s| !all.iter().any(|i| i.name == s.name)) {
            let names = all.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(wrong(of, format!("the input {}", s.name), format!("one of {names}")));
        }
        all.iter().map(|port| input(of, port)).collect()
    }

    fn facts(&self, of: &ModelFile, _: &[Input]) -> Result<Facts, FileError> {
        let model = read(of)?;
        let port =
            |p: &Port| format!("{}: {}[{}]", p.name, p.kind.map_or("?", Kind::name), sizes(&p.dims).replace('x', ", "));
        Ok(Facts {
            inputs: model.inputs.iter().map(port).collect(),
            outputs: model.outputs.iter().map(port).collect(),
            ops: model.ops,
            graph: model.graph,
            params: model.params,
            weight_bytes: model.weight_bytes,
            weights: model.weights,
            ..Facts::default()
        })
    }

    fn load(&self, of: &ModelFile, inputs: &[Input], threads: usize) -> Result<Box<dyn Session>, FileError> {
        let refused = |message: String| FileError::Refused { file: of.file.clone(), engine: ENGINE, message };
        litert::here().map_err(|message| FileError::Library { engine: ENGINE, message })?;
        let mut ready = Ready::load(&of.file, threads).map_err(refused)?;
        for i in inputs {
            ready.set(&i.name, &raw::bytes(i)).map_err(refused)?;
        }
        Ok(Box::new(Running { file: of.file.clone(), ready, threads, outputs: read(of)?.outputs }))
    }
}

struct Running {
    file: PathBuf,
    ready: Ready,
    threads: usize,
    outputs: Vec<Port>,
}

impl Running {
    fn refused(&self, message: String) -> FileError {
        FileError::Refused { file: self.file.clone(), engine: ENGINE, message }
    }

    fn read(&self) -> Result<Vec<Output>, String> {
        let one = |(at, name): (usize, &str)| {
            let port = self.outputs.iter().find(|port| port.name == name);
            let port = port.ok_or_else(|| format!("found no tensor for the output {name}"))?;
            let (dims, name) = (port.dims.clone(), name.to_string());
            let Some(kind) = port.kind else {
                return Ok(Output { name, kind: "unknown".to_string(), dims, numbers: Vec::new() });
            };
            let numbers = raw::numbers(kind, &self.ready.get(at)?);
            Ok(Output { name, kind: kind.name().to_string(), dims, numbers })
        };
        self.ready.outputs().enumerate().map(one).collect()
    }
}

impl Session for Running {
    fn run(&mut self) -> Result<(), FileError> {
        self.ready.run().map_err(|e| self.refused(e))
    }

    fn outputs(&mut self) -> Result<Vec<Output>, FileError> {
        self.run()?;
        self.read().map_err(|e| self.refused(e))
    }
    fn choices(&self) -> Vec<(String, String)> {
        let share = if self.ready.accelerated { "all operators" } else { "some operators" };
        vec![("threads".to_string(), self.threads.to_string()), ("XNNPACK".to_string(), share.to_string())]
    }
}
