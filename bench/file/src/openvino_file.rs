//! Files on OpenVINO: its own XML with the weights beside it, or ONNX. Dynamic axes get their sizes before the library
//! compiles.

use std::path::{Path, PathBuf};

use openvino::{ElementType, PartialShape, Shape, Tensor};
use sha2::{Digest as _, Sha256};

use crate::error::first_line;
use crate::exact::Facts;
use crate::openvino::{self as library, Loaded, Ready, in_words};
use crate::openvino_ir::{self, Ir, IrInput};
use crate::values::Kind;
use crate::{FileError, Format, Input, ModelFile, Output, Session, onnx, raw};

/// `.xml`, and ONNX where it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenVino;

const ENGINE: &str = "openvino";

fn wrong(of: &ModelFile, found: impl Into<String>, expected: impl Into<String>) -> FileError {
    FileError::Content { file: of.file.clone(), found: found.into(), expected: expected.into() }
}

fn is_onnx(of: &ModelFile) -> bool {
    of.file.extension().is_some_and(|ending| ending == "onnx")
}

fn open(file: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(file).map_err(|source| FileError::Open { file: file.to_path_buf(), source })
}

fn ir(of: &ModelFile) -> Result<Ir, FileError> {
    let text = open(&of.file)?;
    let refuse = |message: String| wrong(of, message, "a model in OpenVINO's XML, or an ONNX file");
    openvino_ir::read(&String::from_utf8_lossy(&text)).map_err(refuse)
}

/// A kind of numbers as OpenVINO names and knows it.
fn element(kind: Kind) -> (&'static str, ElementType) {
    match kind {
        Kind::Float32 => ("f32", ElementType::F32),
        Kind::Float16 => ("f16", ElementType::F16),
        Kind::Float64 => ("f64", ElementType::F64),
        Kind::Int64 => ("i64", ElementType::I64),
        Kind::Int32 => ("i32", ElementType::I32),
        Kind::Int8 => ("i8", ElementType::I8),
        Kind::Uint8 => ("u8", ElementType::U8),
        Kind::Bool => ("boolean", ElementType::Boolean),
    }
}

/// An input as a user feeds it.
fn input(of: &ModelFile, i: &IrInput) -> Result<Input, FileError> {
    let setting = of.setting(&i.name);
    let kind = Kind::ALL.into_iter().find(|kind| element(*kind).0 == i.kind);
    let refuse = |found: &str| wrong(of, format!("the kind {found} of input {}", i.name), Kind::names());
    let kind = kind.ok_or_else(|| refuse(&i.kind))?;
    if let Some(given) = setting.and_then(|s| s.kind.as_deref()).filter(|given| *given != kind.name()) {
        let expected = format!("{}, as in the file", kind.name());
        return Err(wrong(of, format!("the kind {given} of input {}", i.name), expected));
    }
    let shape = || i.dims.iter().map(|d| d.map_or("?".to_string(), |d| d.to_string())).collect::<Vec<_>>().join("x");
    let dims = match setting.and_then(|s| s.size.clone()) {
        Some(given) => given,
        None => i.dims.iter().copied().collect::<Option<Vec<i64>>>().ok_or_else(|| {
            wrong(
                of,
                format!("no size of input {}, which is {}", i.name, shape()),
                "one: --size, or size: in the config",
            )
        })?,
    };
    let fits = |(given, own): (&i64, &Option<i64>)| own.is_none_or(|own| own == *given);
    if dims.len() != i.dims.len() || !dims.iter().zip(&i.dims).all(fits) {
        let given = dims.iter().map(i64::to_string).collect::<Vec<_>>().join("x");
        return Err(wrong(of, format!("the size {given} of input {}", i.name), shape()));
    }
    Ok(Input::new(i.name.clone(), kind, dims, setting))
}

impl Format for OpenVino {
    fn name(&self) -> &'static str {
        "openvino"
    }

    fn baseline_flag(&self) -> &'static str {
        "baseline-openvino"
    }

    fn help(&self) -> &'static str {
        "Only these files on OpenVINO: its own XML with the weights beside it, or ONNX"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["xml"]
    }

    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn version(&self) -> String {
        library::version()
    }

    fn inputs(&self, of: &ModelFile) -> Result<Vec<Input>, FileError> {
        if is_onnx(of) {
            return onnx::Onnx.inputs(of);
        }
        if let Some(axis) = of.dims.keys().next() {
            let expected = "sizes of whole inputs: axes have no names here";
            return Err(wrong(of, format!("a size for axis {axis}"), expected));
        }
        let all = ir(of)?.inputs;
        if let Some(s) = of.inputs.iter().find(|s| !all.iter().any(|i| i.name == s.name)) {
            let names = all.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(wrong(of, format!("the input {}", s.name), format!("one of {names}")));
        }
        all.iter().map(|i| input(of, i)).collect()
    }

    fn facts(&self, of: &ModelFile, inputs: &[Input]) -> Result<Facts, FileError> {
        if is_onnx(of) {
            return onnx::Onnx.facts(of, inputs);
        }
        let ir = ir(of)?;
        let weights = match ir.weight_bytes {
            0 => Vec::new(),
            _ => open(&of.file.with_extension("bin"))?,
        };
        let sizes =
            |i: &IrInput| i.dims.iter().map(|d| d.map_or("?".to_string(), |d| d.to_string())).collect::<Vec<_>>();
        Ok(Facts {
            inputs: ir.inputs.iter().map(|i| format!("{}: {}[{}]", i.name, i.kind, sizes(i).join(", "))).collect(),
            outputs: ir.outputs,
            ops: ir.ops,
            graph: ir.graph,
            params: ir.params,
            weight_bytes: ir.weight_bytes,
            weights: Sha256::digest(&weights).iter().take(16).map(|b| format!("{b:02x}")).collect(),
            ..Facts::default()
        })
    }

    fn load(&self, of: &ModelFile, inputs: &[Input], threads: usize) -> Result<Box<dyn Session>, FileError> {
        let refused = |message: String| FileError::Refused { file: of.file.clone(), engine: ENGINE, message };
        library::here().map_err(|message| FileError::Library { engine: ENGINE, message })?;
        let ready = ready(&of.file, inputs, threads).map_err(refused)?;
        Ok(Box::new(Running { file: of.file.clone(), ready }))
    }
}

/// A model that is ready to run, with the values of its inputs.
fn ready(file: &Path, inputs: &[Input], threads: usize) -> Result<Ready, String> {
    let mut loaded = Loaded::of_file(file)?;
    if loaded.model.is_dynamic() {
        let shape = |i: &Input| PartialShape::new_static(i.dims.len() as i64, &i.dims).map_err(in_words);
        let shapes = inputs.iter().map(shape).collect::<Result<Vec<_>, _>>()?;
        let named: Vec<_> = inputs.iter().map(|i| i.name.as_str()).zip(&shapes).collect();
        loaded.model.reshape(&named).map_err(in_words)?;
    }
    let mut ready = loaded.compile(threads)?;
    for i in inputs {
        let shape = Shape::new(&i.dims).map_err(in_words)?;
        let mut tensor = Tensor::new(element(i.kind).1, &shape).map_err(in_words)?;
        tensor.get_raw_data_mut().map_err(in_words)?.copy_from_slice(&raw::bytes(i));
        ready.request.set_tensor(&i.name, &tensor).map_err(in_words)?;
    }
    Ok(ready)
}

/// The name of a tensor's kind, and its numbers; none of a kind that we have not.
fn numbers(of: &Tensor) -> Result<(String, Vec<f64>), openvino::InferenceError> {
    let found = of.get_element_type()?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| element(*kind).1 == found) else {
        return Ok((format!("{found:?}").to_lowercase(), Vec::new()));
    };
    Ok((kind.name().to_string(), raw::numbers(kind, of.get_raw_data()?)))
}

struct Running {
    file: PathBuf,
    ready: Ready,
}

impl Running {
    fn refused(&self, e: openvino::InferenceError) -> FileError {
        FileError::Refused { file: self.file.clone(), engine: ENGINE, message: first_line(in_words(e)) }
    }

    fn read(&self) -> Result<Vec<Output>, openvino::InferenceError> {
        let one = |i: usize| {
            let tensor = self.ready.request.get_output_tensor_by_index(i)?;
            let name = self.ready.compiled.get_output_by_index(i)?.get_name().unwrap_or_else(|_| format!("output.{i}"));
            let (kind, numbers) = numbers(&tensor)?;
            Ok(Output { name, kind, dims: tensor.get_shape()?.get_dimensions().to_vec(), numbers })
        };
        (0..self.ready.compiled.get_output_size()?).map(one).collect()
    }
}

impl Session for Running {
    fn run(&mut self) -> Result<(), FileError> {
        self.ready.request.infer().map_err(|e| self.refused(e))
    }

    fn outputs(&mut self) -> Result<Vec<Output>, FileError> {
        self.run()?;
        self.read().map_err(|e| self.refused(e))
    }
    fn choices(&self) -> Vec<(String, String)> {
        vec![("threads".to_string(), self.ready.threads.to_string())]
    }
}
