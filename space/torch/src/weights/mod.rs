//! Tensors in files: safetensors, written beside and renamed; read strictly, those of PyTorch too.

mod file;
mod fit;
mod pickle;
mod torch_file;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use tch::{Kind, Tensor};

use crate::error::{NetError, torch};
use crate::store::ParamStore;

pub use file::{Stored, Weights};
pub use fit::{Misfit, Wanted, misfits, wanted};

/// Tensors by name.
pub type Named = BTreeMap<String, Tensor>;

/// Words about them.
pub type About = BTreeMap<String, String>;

/// An error about a file.
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

/// The word that holds the checksum of the other words and of all tensors.
const CHECKSUM: &str = "checksum";

/// CRC-32 of the words, and of each tensor's name and bytes in the order of the names.
fn checksum<'a>(about: &About, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut sum = crc32fast::Hasher::new();
    for (key, value) in about {
        sum.update(key.as_bytes());
        sum.update(value.as_bytes());
    }
    for (name, data) in tensors {
        sum.update(name.as_bytes());
        sum.update(data);
    }
    format!("{:08x}", sum.finalize())
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
    let mut about = about.clone();
    about.remove(CHECKSUM);
    let sum = checksum(&about, held.iter().map(|(name, _, _, data)| (name.as_str(), data.as_slice())));
    about.insert(CHECKSUM.to_string(), sum);
    // One entry: the header's order of several is random, and equal contents should make equal files.
    let words = serde_json::to_string(&about).map_err(|e| file(path, e, "words about the tensors"))?;
    let about = Some(std::collections::HashMap::from([(ABOUT.to_string(), words)]));
    let data = safetensors::serialize(views, about).map_err(|e| file(path, e, "tensors that fit"))?;
    write_whole(path, &data).map_err(|e| file(path, e, "a disk that takes the file"))
}

/// Reads named tensors, and the words about them.
///
/// # Errors
/// When the file is missing, damaged or cut short, holds no tensors, or its checksum is another than that of its contents.
pub fn load(path: &Path) -> Result<(Named, About), NetError> {
    let mut weights = Weights::open(path, None)?;
    let named = weights.read_all()?;
    let mut about = weights.about;
    if let Some(expected) = about.remove(CHECKSUM) {
        let held = named.iter().map(|(n, t)| Ok((n.as_str(), bytes(t).map_err(torch(n))?.1)));
        let held = held.collect::<Result<Vec<_>, NetError>>()?;
        let found = checksum(&about, held.iter().map(|(n, d)| (*n, d.as_slice())));
        if found != expected {
            return Err(file(path, format!("damaged (its checksum is {found})"), &format!("checksum {expected}")));
        }
    }
    Ok((named, about))
}

impl ParamStore {
    /// Every tensor under its name, for [`save`].
    pub fn named(&self) -> BTreeMap<String, Tensor> {
        self.entries().map(|(n, e)| (n.clone(), e.tensor.shallow_clone())).collect()
    }

    /// Takes every tensor of the store from named ones, strictly.
    ///
    /// # Errors
    /// When some are missing, unexpected or misshapen: all of them. Nothing has changed then.
    pub fn fill(&mut self, named: &BTreeMap<String, Tensor>) -> Result<(), NetError> {
        let wanted: Wanted = self.entries().map(|(n, e)| (n.clone(), (e.tensor.size(), e.role))).collect();
        let misfits = misfits(&wanted, named.iter().map(|(n, t)| (n, t.kind(), t.size())));
        if !misfits.is_empty() {
            return Err(NetError::Misfits(misfits));
        }
        wanted.keys().filter_map(|n| named.get_key_value(n)).try_for_each(|(n, t)| self.set(n, t))
    }
}
