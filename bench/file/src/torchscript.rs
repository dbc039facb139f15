//! TorchScript files on libtorch, as `torch.jit.save` wrote them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use tch::{CModule, IValue, Tensor};

use crate::error::first_line;
use crate::exact::Facts;
use crate::values::Kind;
use crate::{FileError, Format, Input, ModelFile, Output, Session};

/// `.pt`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TorchScript;

const ENGINE: &str = "torchscript";

/// The version of libtorch that the program was built for.
pub const VERSION: &str = "2.11.0";

fn refused(of: &ModelFile, e: impl std::fmt::Display) -> FileError {
    FileError::Refused { file: of.file.clone(), engine: ENGINE, message: first_line(e) }
}

/// The entries of the archive by their names, without the folder that all are in.
fn entries(of: &ModelFile) -> Result<BTreeMap<String, Vec<u8>>, FileError> {
    let file = File::open(&of.file).map_err(|source| FileError::Open { file: of.file.clone(), source })?;
    let wrong = |found: String| FileError::Content {
        file: of.file.clone(),
        found,
        expected: "a TorchScript file, as torch.jit.save writes it".to_string(),
    };
    let mut archive = zip::ZipArchive::new(file).map_err(|e| wrong(format!("no archive ({e})")))?;
    let mut all = BTreeMap::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| wrong(e.to_string()))?;
        let name = entry.name().split_once('/').map_or(entry.name(), |(_, rest)| rest).to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| wrong(e.to_string()))?;
        all.insert(name, bytes);
    }
    match all.keys().any(|n| n.starts_with("code/")) {
        true => Ok(all),
        false => Err(wrong("an archive without code".to_string())),
    }
}

/// How often each function of libtorch stands in the code: `torch.conv2d(` and `ops.quantized.conv2d(`.
fn calls(code: &str, all: &mut BTreeMap<String, u64>) {
    for prefix in ["torch.", "ops."] {
        for (at, _) in code.match_indices(prefix) {
            // `__torch__.models.` is the name of a class.
            let before = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
            let rest = &code[at + if prefix == "torch." { prefix.len() } else { 0 }..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
            if !before && end > 0 && rest[end..].starts_with('(') {
                *all.entry(rest[..end].to_string()).or_default() += 1;
            }
        }
    }
}

/// Digest of entries in the order of their names.
fn digest<'a>(entries: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in entries {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

fn module(of: &ModelFile) -> Result<CModule, FileError> {
    let mut module = CModule::load(&of.file).map_err(|e| refused(of, e))?;
    module.f_set_eval().map_err(|e| refused(of, e))?;
    Ok(module)
}

impl Format for TorchScript {
    fn name(&self) -> &'static str {
        "torchscript"
    }

    fn baseline_flag(&self) -> &'static str {
        "baseline-torchscript"
    }

    fn help(&self) -> &'static str {
        "Only these TorchScript files, on libtorch; needs a --size for each input, in order"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pt", "pth", "ts", "torchscript"]
    }

    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn version(&self) -> String {
        VERSION.to_string()
    }

    fn inputs(&self, of: &ModelFile) -> Result<Vec<Input>, FileError> {
        let wrong = |found: String, expected: &str| FileError::Content {
            file: of.file.clone(),
            found,
            expected: expected.to_string(),
        };
        if let Some(axis) = of.dims.keys().next() {
            return Err(wrong(format!("a size for axis {axis}"), "sizes of whole inputs: axes have no names here"));
        }
        if of.inputs.is_empty() {
            let expected =
                "one for each input of forward, in order: --size images=1x3x224x224, or inputs: in the config";
            return Err(wrong("no sizes".to_string(), expected));
        }
        let one = |i: &crate::InputSetting| {
            let missing = || wrong(format!("no size of input {}", i.name), "one: --size, or size: in the config");
            let dims = i.size.clone().ok_or_else(missing)?;
            let name = i.kind.as_deref().unwrap_or(Kind::Float32.name());
            let kind = Kind::named(name).ok_or_else(|| wrong(format!("the kind {name}"), &Kind::names()))?;
            Ok(Input::new(i.name.clone(), kind, dims, Some(i)))
        };
        of.inputs.iter().map(one).collect()
    }

    fn facts(&self, of: &ModelFile, _: &[Input]) -> Result<Facts, FileError> {
        let entries = entries(of)?;
        let code = || entries.iter().filter(|(n, _)| n.starts_with("code/") && n.ends_with(".py"));
        let is_weight = |n: &str| n.starts_with("data/") || n.starts_with("constants/");
        let weights = || entries.iter().filter(|(n, _)| is_weight(n));
        let mut ops = BTreeMap::new();
        code().for_each(|(_, bytes)| calls(&String::from_utf8_lossy(bytes), &mut ops));
        let parameters = module(of)?.named_parameters().map_err(|e| refused(of, e))?;
        Ok(Facts {
            ops,
            graph: digest(code()),
            params: parameters.iter().map(|(_, t)| t.numel() as u64).sum(),
            weight_bytes: weights().map(|(_, bytes)| bytes.len() as u64).sum(),
            weights: digest(weights()),
            ..Facts::default()
        })
    }

    fn load(&self, of: &ModelFile, inputs: &[Input], threads: usize) -> Result<Box<dyn Session>, FileError> {
        tch::set_num_threads(threads as i32);
        // What is no archive is told in its own words.
        entries(of)?;
        let module = module(of)?;
        let one = |i: &Input| Ok(IValue::Tensor(tensor(i)?));
        let inputs = inputs.iter().map(one).collect::<Result<_, tch::TchError>>().map_err(|e| refused(of, e))?;
        Ok(Box::new(Running { file: of.file.clone(), module, inputs }))
    }
}

fn tensor(of: &Input) -> Result<Tensor, tch::TchError> {
    let kind = match of.kind {
        Kind::Float32 => tch::Kind::Float,
        Kind::Float16 => tch::Kind::Half,
        Kind::Float64 => tch::Kind::Double,
        Kind::Int64 => tch::Kind::Int64,
        Kind::Int32 => tch::Kind::Int,
        Kind::Int8 => tch::Kind::Int8,
        Kind::Uint8 => tch::Kind::Uint8,
        Kind::Bool => tch::Kind::Bool,
    };
    Tensor::f_from_slice(&of.values())?.f_reshape(of.dims.as_slice())?.f_to_kind(kind)
}

struct Running {
    file: PathBuf,
    module: CModule,
    inputs: Vec<IValue>,
}

impl Running {
    fn answer(&self) -> Result<IValue, FileError> {
        let _guard = tch::no_grad_guard();
        let refused = |e| FileError::Refused { file: self.file.clone(), engine: ENGINE, message: last_words(&e) };
        self.module.forward_is(&self.inputs).map_err(refused)
    }
}

/// What went wrong in a run: the line after libtorch's trace of the code.
fn last_words(e: &tch::TchError) -> String {
    let text = e.to_string();
    let told = text.lines().find(|l| l.starts_with("RuntimeError: ") || l.contains("Error: "));
    told.or(text.lines().next()).unwrap_or_default().to_string()
}

/// The tensors in a result, named by where they are.
fn flat(name: &str, value: &IValue, all: &mut Vec<Output>) -> Result<(), tch::TchError> {
    let item = |i: usize| format!("{name}.{i}");
    match value {
        IValue::Tensor(t) => {
            let kind = format!("{:?}", t.f_kind()?).to_lowercase();
            let numbers = Vec::<f64>::try_from(t.f_to_kind(tch::Kind::Double)?.f_reshape([-1])?)?;
            let kind = if kind == "float" { "float32".to_string() } else { kind };
            all.push(Output { name: name.to_string(), kind, dims: t.size(), numbers });
        }
        IValue::Tuple(items) | IValue::GenericList(items) => {
            for (i, one) in items.iter().enumerate() {
                flat(&item(i), one, all)?;
            }
        }
        IValue::TensorList(items) => {
            for (i, one) in items.iter().enumerate() {
                flat(&item(i), &IValue::Tensor(one.shallow_clone()), all)?;
            }
        }
        IValue::GenericDict(pairs) => {
            for (key, one) in pairs {
                let key = if let IValue::String(key) = key { key.clone() } else { format!("{key:?}") };
                flat(&format!("{name}.{key}"), one, all)?;
            }
        }
        // Numbers and texts beside tensors are no outputs of a network.
        _ => {}
    }
    Ok(())
}

impl Session for Running {
    fn run(&mut self) -> Result<(), FileError> {
        self.answer().map(drop)
    }

    fn outputs(&mut self) -> Result<Vec<Output>, FileError> {
        let (answer, mut all) = (self.answer()?, Vec::new());
        let wrong =
            |e: tch::TchError| FileError::Refused { file: self.file.clone(), engine: ENGINE, message: first_line(e) };
        flat("output", &answer, &mut all).map_err(wrong)?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_in_code_are_counted_and_classes_are_not() {
        let mut all = BTreeMap::new();
        calls(
            "x = torch.conv2d(a, torch.relu(b))\n y = ops.quantized.add(x, torch.relu(x))\n \
             fc : __torch__.torch.nn.modules.linear.Linear\n z = annotate(List[Tensor], [])",
            &mut all,
        );
        let told: Vec<String> = all.iter().map(|(name, n)| format!("{name} {n}")).collect();
        assert_eq!(told, ["conv2d 1", "ops.quantized.add 1", "relu 2"]);
    }
}
