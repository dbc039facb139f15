//! Tensors in files: safetensors, written beside and renamed; read strictly, those of PyTorch too.

mod about;
mod file;
mod fit;
mod index;
mod misfit;
mod other;
mod part;
mod pickle;
mod safetensors;
mod stored;
mod torch_file;

use std::collections::BTreeMap;
use std::path::Path;

use ::safetensors::tensor::{Dtype, TensorView};
use mobilenas_host::write::write_whole;
use tch::{Kind, Tensor};

use crate::error::{NetError, torch};
use crate::store::ParamStore;

use about::{ABOUT, CHECKSUM, Checksum, file};
pub use about::{About, Named};
pub use file::Weights;
pub use fit::{Misfit, Wanted, complete, misfits, wanted};
pub use stored::{Other, Stored};

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

/// Writes named tensors and a few words about them.
///
/// # Errors
/// When the disk refuses; what stood there before stays.
pub fn save(path: &Path, tensors: &BTreeMap<String, Tensor>, about: &BTreeMap<String, String>) -> Result<(), NetError> {
    let data = encode(path, tensors, about)?;
    write_whole(path, &data).map_err(|e| file(path, e, "a place for the file"))
}

/// The bytes that [`save`] writes: the same for the same tensors and words. Errors name the path.
///
/// # Errors
/// When a tensor has a type that weights files do not have.
pub fn encode(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    about: &BTreeMap<String, String>,
) -> Result<Vec<u8>, NetError> {
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
    let mut sum = Checksum::of(&about);
    held.iter().for_each(|(name, _, _, data)| sum.add(name, data));
    about.insert(CHECKSUM.to_string(), sum.text());
    // One entry: the header's order of several is random, and equal contents should make equal files.
    let words = serde_json::to_string(&about).map_err(|e| file(path, e, "words about the tensors"))?;
    let about = Some(std::collections::HashMap::from([(ABOUT.to_string(), words)]));
    ::safetensors::serialize(views, about).map_err(|e| file(path, e, "tensors that fit"))
}

/// Reads named tensors, and the words about them.
///
/// # Errors
/// When the file is missing, damaged or cut short, holds no tensors, or its checksum is another than that of its contents.
pub fn load(path: &Path) -> Result<(Named, About), NetError> {
    let mut weights = Weights::open(path, None)?;
    let named = weights.read_all()?;
    Ok((named, weights.about))
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
