//! Tensors in files: safetensors, written beside and renamed, read strictly.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use crate::error::{NetError, torch};
use crate::store::Store;

/// Tensors by name.
pub type Named = BTreeMap<String, Tensor>;

/// Words about them.
pub type About = BTreeMap<String, String>;

fn file(path: &Path, found: impl std::fmt::Display, expected: &str) -> NetError {
    NetError::File { path: path.display().to_string(), found: found.to_string(), expected: expected.to_string() }
}

fn bytes(t: &Tensor) -> Result<(Dtype, Vec<u8>), tch::TchError> {
    let t = t.f_detach()?.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    let dtype = match t.kind() {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        other => return Err(tch::TchError::Kind(format!("{other:?} has no place in a weights file"))),
    };
    let mut data = vec![0u8; t.numel() * t.kind().elt_size_in_bytes()];
    t.f_copy_data_u8(&mut data, t.numel())?;
    Ok((dtype, data))
}

/// The header's entry that holds the words about the tensors, as a JSON object of texts.
const ABOUT: &str = "mobilenas";

/// Writes bytes beside a file, flushes them to the disk, and renames them into place.
///
/// # Errors
/// When the disk refuses; what stood there before stays.
pub fn write_whole(path: &Path, data: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let write = || {
        let mut f = fs::File::create(&beside)?;
        f.write_all(data)?;
        f.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // The half-written file is of no use; that it cannot be removed changes nothing about the error.
        let _ = fs::remove_file(&beside);
    })
}

/// Writes named tensors and a few words about them.
///
/// # Errors
/// When the disk refuses; what stood there before stays.
pub fn save(path: &Path, tensors: &BTreeMap<String, Tensor>, about: &BTreeMap<String, String>) -> Result<(), NetError> {
    let mut held = Vec::with_capacity(tensors.len());
    for (name, t) in tensors {
        let (dtype, data) = bytes(t).map_err(torch(name))?;
        held.push((name, dtype, t.size().iter().map(|d| *d as usize).collect::<Vec<_>>(), data));
    }
    let mut views = Vec::with_capacity(held.len());
    for (name, dtype, shape, data) in &held {
        let view = TensorView::new(*dtype, shape.clone(), data).map_err(|e| file(path, e, "tensors that fit"))?;
        views.push((name.as_str(), view));
    }
    // One entry: the header's order of several is random, and equal contents should make equal files.
    let words = serde_json::to_string(about).map_err(|e| file(path, e, "words about the tensors"))?;
    let about = Some(std::collections::HashMap::from([(ABOUT.to_string(), words)]));
    let data = safetensors::serialize(views, about).map_err(|e| file(path, e, "tensors that fit"))?;
    write_whole(path, &data).map_err(|e| file(path, e, "a disk that takes the file"))
}

/// Reads named tensors, and the words about them.
///
/// # Errors
/// When the file is missing, damaged or cut short, or holds a type that no network here has.
pub fn load(path: &Path) -> Result<(Named, About), NetError> {
    let data = fs::read(path).map_err(|e| file(path, e, "a safetensors file"))?;
    let damaged = |e: safetensors::SafeTensorError| file(path, format!("damaged ({e})"), "a safetensors file");
    let (_, meta) = SafeTensors::read_metadata(&data).map_err(damaged)?;
    let words = meta.metadata().as_ref().and_then(|m| m.get(ABOUT));
    let about = words.and_then(|w| serde_json::from_str(w).ok()).unwrap_or_default();
    let all = SafeTensors::deserialize(&data).map_err(damaged)?;
    let mut out = BTreeMap::new();
    for (name, view) in all.iter() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::I64 => Kind::Int64,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => return Err(file(path, format!("{name} of type {other:?}"), "float or int64 tensors")),
        };
        let shape: Vec<i64> = view.shape().iter().map(|d| *d as i64).collect();
        let raw: Cow<'_, [u8]> = Cow::Borrowed(view.data());
        let t = Tensor::f_from_data_size(&raw, &shape, kind).map_err(torch(name))?;
        out.insert(name.to_string(), t);
    }
    Ok((out, about))
}

impl Store {
    /// Every tensor under its name, for [`save`].
    pub fn named(&self) -> BTreeMap<String, Tensor> {
        self.entries().map(|(n, e)| (n.clone(), e.tensor.shallow_clone())).collect()
    }

    /// Takes every tensor of the store from named ones, strictly.
    ///
    /// # Errors
    /// When one is missing, unexpected or misshapen.
    pub fn fill(&mut self, named: &BTreeMap<String, Tensor>) -> Result<(), NetError> {
        let names: Vec<String> = self.entries().map(|(n, _)| n.clone()).collect();
        if let Some(extra) = named.keys().find(|n| !names.contains(n)) {
            return Err(NetError::Missing { name: format!("{extra} (not part of this network)"), expected: vec![] });
        }
        for name in &names {
            let expected = || self.entry(name).map(|e| e.tensor.size()).unwrap_or_default();
            let t = named.get(name).ok_or_else(|| NetError::Missing { name: name.clone(), expected: expected() })?;
            self.set(name, t)?;
        }
        Ok(())
    }
}
