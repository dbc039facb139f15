//! ONNX files on ONNX Runtime, as they are: no size of a dynamic axis is fixed for the library.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use half::f16;
use mobilenas_onnx::file::{self, Location, Outside, ReadError, Sizes};
use mobilenas_onnx::proto::{self, Model};
use ort::logging::LogLevel;
use ort::session::{Session as Loaded, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use crate::error::first_line;
use crate::exact::Facts;
use crate::values::Kind;
use crate::{FileError, Format, Input, ModelFile, Output, Session, onnxruntime};

/// `.onnx`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Onnx;

const ENGINE: &str = "onnxruntime";

fn wrong(of: &ModelFile, source: ReadError) -> FileError {
    FileError::Read { file: of.file.clone(), source: Box::new(source) }
}

fn read(of: &ModelFile) -> Result<Model, FileError> {
    let bytes = std::fs::read(&of.file).map_err(|source| FileError::Open { file: of.file.clone(), source })?;
    proto::read(&bytes).map_err(|e| wrong(of, ReadError::Format { message: first_line(e) }))
}

/// Values that stand in a file beside the model.
fn beside(model: &Path, at: &Location) -> Result<Vec<u8>, String> {
    let inside = Path::new(&at.file).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err("the path leads out of the model's folder".to_string());
    }
    let path = model.parent().unwrap_or_else(|| Path::new("")).join(&at.file);
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    if at.offset.saturating_add(at.length) > length {
        return Err(format!("found {length} bytes, and the values end at {}", at.offset.saturating_add(at.length)));
    }
    let mut bytes = vec![0; at.length as usize];
    file.seek(SeekFrom::Start(at.offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// The inputs of a model, as a user feeds them.
fn inputs_of(of: &ModelFile, model: &Model) -> Result<Vec<file::Input>, FileError> {
    let wrong = |source| wrong(of, source);
    let given = of.inputs.iter().filter_map(|i| Some((i.name.clone(), i.size.clone()?)));
    let sizes = Sizes { dims: of.dims.clone(), inputs: given.collect::<BTreeMap<_, _>>() };
    let graph = file::graph(model).map_err(wrong)?;
    let all = file::inputs(graph, &sizes).map_err(wrong)?;
    match of.inputs.iter().find(|s| !all.iter().any(|i| i.name == s.name)) {
        None => Ok(all),
        Some(s) => {
            let expected = all.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(wrong(ReadError::Unknown { what: "input", name: s.name.clone(), expected }))
        }
    }
}

impl Format for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn baseline_flag(&self) -> &'static str {
        "baseline-onnx"
    }

    fn help(&self) -> &'static str {
        "Only these ONNX files, on ONNX Runtime"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn version(&self) -> String {
        onnxruntime::version()
    }

    fn inputs(&self, of: &ModelFile) -> Result<Vec<Input>, FileError> {
        let refuse = |i: &file::Input, found: &str, expected: String| {
            wrong(of, ReadError::Input { name: i.name.clone(), found: found.to_string(), expected })
        };
        let one = |i: file::Input| {
            let name = proto::kind::name(i.kind);
            let kind = Kind::named(name).ok_or_else(|| refuse(&i, name, format!("one of {}", Kind::names())))?;
            let setting = of.setting(&i.name);
            match setting.and_then(|s| s.kind.as_deref()) {
                Some(given) if given != name => Err(refuse(&i, given, format!("{name}, as in the file"))),
                _ => Ok(Input::new(i.name.clone(), kind, i.dims.clone(), setting)),
            }
        };
        inputs_of(of, &read(of)?)?.into_iter().map(one).collect()
    }

    fn facts(&self, of: &ModelFile, _: &[Input]) -> Result<Facts, FileError> {
        let model = read(of)?;
        let outside: &mut Outside = &mut |at| beside(&of.file, at);
        let facts = file::facts(&model, outside);
        let facts = facts.map_err(|source| wrong(of, source))?;
        let macs = file::macs(&model, &inputs_of(of, &model)?);
        Ok(Facts {
            inputs: facts.inputs,
            outputs: facts.outputs,
            opset: facts.opsets,
            ops: facts.ops,
            graph: facts.graph,
            params: facts.params,
            weight_bytes: facts.weight_bytes,
            weights: facts.weights,
            macs: Some(macs.total),
            unknown_macs: macs.unknown,
        })
    }

    fn load(&self, of: &ModelFile, inputs: &[Input], threads: usize) -> Result<Box<dyn Session>, FileError> {
        let refused =
            |e: ort::Error| FileError::Refused { file: of.file.clone(), engine: ENGINE, message: first_line(e) };
        let session =
            onnxruntime::session(threads).map_err(|message| FileError::Library { engine: ENGINE, message })?;
        // What it has to say of a file comes back as an error.
        let session =
            session.with_log_level(LogLevel::Fatal).map_err(|e| refused(e.into()))?.commit_from_file(&of.file);
        let one = |i: &Input| Ok((i.name.clone(), tensor(i)?));
        let inputs = inputs.iter().map(one).collect::<Result<_, ort::Error>>().map_err(refused)?;
        Ok(Box::new(Running { file: of.file.clone(), session: session.map_err(refused)?, inputs }))
    }
}

/// A tensor of an input's values.
fn tensor(of: &Input) -> Result<DynValue, ort::Error> {
    let (dims, values) = (of.dims.clone(), of.values());
    Ok(match of.kind {
        Kind::Float32 => Tensor::from_array((dims, values.iter().map(|v| *v as f32).collect::<Vec<_>>()))?.into_dyn(),
        Kind::Float16 => {
            Tensor::from_array((dims, values.into_iter().map(f16::from_f64).collect::<Vec<_>>()))?.into_dyn()
        }
        Kind::Float64 => Tensor::from_array((dims, values))?.into_dyn(),
        Kind::Int64 => Tensor::from_array((dims, values.iter().map(|v| *v as i64).collect::<Vec<_>>()))?.into_dyn(),
        Kind::Int32 => Tensor::from_array((dims, values.iter().map(|v| *v as i32).collect::<Vec<_>>()))?.into_dyn(),
        Kind::Int8 => Tensor::from_array((dims, values.iter().map(|v| *v as i8).collect::<Vec<_>>()))?.into_dyn(),
        Kind::Uint8 => Tensor::from_array((dims, values.iter().map(|v| *v as u8).collect::<Vec<_>>()))?.into_dyn(),
        Kind::Bool => Tensor::from_array((dims, values.iter().map(|v| *v != 0.0).collect::<Vec<_>>()))?.into_dyn(),
    })
}

/// The sizes and numbers of a tensor; none of what is another kind of value.
fn numbers(of: &DynValue) -> Result<(String, Vec<i64>, Vec<f64>), ort::Error> {
    macro_rules! as_numbers {
        ($kind:ty, $to:expr) => {
            of.try_extract_tensor::<$kind>()?.1.iter().map($to).collect()
        };
    }
    let ValueType::Tensor { ty, shape, .. } = of.dtype() else {
        return Ok((of.dtype().to_string(), Vec::new(), Vec::new()));
    };
    let (name, numbers): (&str, Vec<f64>) = match ty {
        TensorElementType::Float32 => ("float32", as_numbers!(f32, |v| f64::from(*v))),
        TensorElementType::Float16 => ("float16", as_numbers!(f16, |v| v.to_f64())),
        TensorElementType::Float64 => ("float64", as_numbers!(f64, |v| *v)),
        TensorElementType::Int64 => ("int64", as_numbers!(i64, |v| *v as f64)),
        TensorElementType::Int32 => ("int32", as_numbers!(i32, |v| f64::from(*v))),
        TensorElementType::Int8 => ("int8", as_numbers!(i8, |v| f64::from(*v))),
        TensorElementType::Uint8 => ("uint8", as_numbers!(u8, |v| f64::from(*v))),
        TensorElementType::Bool => ("bool", as_numbers!(bool, |v| f64::from(u8::from(*v)))),
        other => return Ok((other.to_string(), shape.to_vec(), Vec::new())),
    };
    Ok((name.to_string(), shape.to_vec(), numbers))
}

struct Running {
    file: PathBuf,
    session: Loaded,
    inputs: Vec<(String, DynValue)>,
}

impl Running {
    fn answer(&mut self, read: bool) -> Result<Vec<Output>, ort::Error> {
        let feed = self.inputs.iter().map(|(name, value)| (name.as_str(), SessionInputValue::from(value)));
        let outputs = self.session.run(feed.collect::<Vec<_>>())?;
        let mut all = Vec::new();
        if read {
            for (name, value) in &outputs {
                let (kind, dims, numbers) = numbers(&value)?;
                all.push(Output { name: name.to_string(), kind, dims, numbers });
            }
        }
        Ok(all)
    }

    fn refused(&self, e: &ort::Error) -> FileError {
        FileError::Refused { file: self.file.clone(), engine: ENGINE, message: first_line(e) }
    }
}

impl Session for Running {
    fn run(&mut self) -> Result<(), FileError> {
        self.answer(false).map(drop).map_err(|e| self.refused(&e))
    }

    fn outputs(&mut self) -> Result<Vec<Output>, FileError> {
        self.answer(true).map_err(|e| self.refused(&e))
    }
}
