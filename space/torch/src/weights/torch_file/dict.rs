//! What a pickle's dictionaries hold: tensors as places in the file, further dictionaries, and the rest by name.

use std::collections::HashMap;
use std::rc::Rc;

use tch::Kind;

use super::super::pickle::{Part, Pickle, Value};
use super::super::stored::{Dict, Other, Span, Stored};

/// A storage: its numbers, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub kind: Kind,
    pub span: Span,
    pub len: u64,
}

pub type Storages = HashMap<String, Storage>;

/// What was found, where a state dict was expected.
pub type Found<T> = Result<T, String>;

/// Key, type and elements of a storage, from its persistent id: ("storage", type, key, device, elements, ...).
fn storage(id: &[Value]) -> Found<(String, Kind, u64)> {
    let [Value::Text(word), Value::Name(class), Value::Text(key), _, Value::Int(elements), ..] = id else {
        return Err("a persistent id that is no storage".to_string());
    };
    let kind = match &**class {
        "torch.FloatStorage" => Kind::Float,
        "torch.DoubleStorage" => Kind::Double,
        "torch.HalfStorage" => Kind::Half,
        "torch.BFloat16Storage" => Kind::BFloat16,
        "torch.LongStorage" => Kind::Int64,
        "torch.IntStorage" => Kind::Int,
        "torch.ShortStorage" => Kind::Int16,
        "torch.CharStorage" => Kind::Int8,
        "torch.ByteStorage" => Kind::Uint8,
        "torch.BoolStorage" => Kind::Bool,
        other => return Err(format!("a storage of type {other}")),
    };
    let elements = u64::try_from(*elements).map_err(|_| format!("storage {key} of {elements} elements"))?;
    if &**word != "storage" {
        return Err(format!("a persistent {word:?}"));
    }
    Ok((key.to_string(), kind, elements))
}

/// Every storage once, in the order of its first use.
pub fn storages(pickle: &Pickle) -> Found<Vec<(String, Kind, u64)>> {
    let mut seen: HashMap<String, (Kind, u64)> = HashMap::new();
    let mut all = Vec::new();
    for part in &pickle.parts {
        let Part::Persistent(id) = part else { continue };
        let (key, kind, elements) = storage(id)?;
        match seen.insert(key.clone(), (kind, elements)) {
            None => all.push((key, kind, elements)),
            Some(before) if before == (kind, elements) => {}
            Some(_) => return Err(format!("storage {key} with two types or sizes")),
        }
    }
    Ok(all)
}

/// The most dictionaries in one another that are looked into: checkpoints have three or four.
const DEEPEST: usize = 32;

/// Reads dictionaries, each once however often it is used.
pub struct Reader<'a> {
    pickle: &'a Pickle,
    places: &'a Storages,
    done: HashMap<usize, Rc<Dict>>,
}

impl<'a> Reader<'a> {
    /// Of a pickle over storages.
    pub fn new(pickle: &'a Pickle, places: &'a Storages) -> Reader<'a> {
        Reader { pickle, places, done: HashMap::new() }
    }

    /// The pickle's own dictionary.
    pub fn root(mut self) -> Found<Dict> {
        match self.pickle.part(&self.pickle.root) {
            Some((_, Part::Dict(entries))) => self.dict(entries, 0),
            _ => Err(format!("{}, no dictionary of tensors", what(self.pickle, &self.pickle.root))),
        }
    }

    fn dict(&mut self, entries: &'a [(Value, Value)], depth: usize) -> Found<Dict> {
        let mut out = Dict::default();
        for (key, value) in entries {
            let Value::Text(key) = key else { continue };
            let name = key.to_string();
            match self.pickle.part(value) {
                Some((_, Part::Tensor(arguments))) => {
                    let stored = self.tensor(key, arguments).map_err(|e| format!("{name:?}: {e}"))?;
                    out.tensors.push((name, stored));
                }
                Some((i, Part::Dict(inner))) if depth < DEEPEST => {
                    let dict = match self.done.get(&i) {
                        Some(dict) => dict.clone(),
                        None => Rc::new(self.dict(inner, depth + 1)?),
                    };
                    self.done.insert(i, dict.clone());
                    out.dicts.push((name, dict));
                }
                _ => out.others.push(Other { name, what: what(self.pickle, value) }),
            }
        }
        Ok(out)
    }

    /// (storage, offset, size, stride, ...) as a place in the file.
    fn tensor(&self, name: &str, arguments: &[Value]) -> Found<Stored> {
        let [at, Value::Int(offset), size, stride, ..] = arguments else {
            return Err("a tensor without a storage".to_string());
        };
        let Some((_, Part::Persistent(id))) = self.pickle.part(at) else {
            return Err("a tensor without a storage".to_string());
        };
        let (key, _, _) = storage(id)?;
        let place = self.places.get(&key).ok_or_else(|| format!("storage {key} is missing"))?;
        let numbers = |v: &Value| -> Found<Vec<i64>> {
            let whole = |v: &Value| match v {
                Value::Int(n) if *n >= 0 => Ok(*n),
                other => Err(format!("a size of {other:?}")),
            };
            self.pickle.items(v).ok_or("a tensor without a size")?.iter().map(whole).collect()
        };
        let (shape, stride) = (numbers(size)?, numbers(stride)?);
        if shape.len() != stride.len() || shape.len() > 8 {
            return Err(format!("a tensor of size {shape:?} and stride {stride:?}"));
        }
        let beyond = || format!("a tensor of size {shape:?} and stride {stride:?} beyond its storage of {}", place.len);
        let elements = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64)).ok_or_else(beyond)?;
        let offset = u64::try_from(*offset).map_err(|_| beyond())?;
        let far = shape
            .iter()
            .zip(&stride)
            .try_fold(offset, |at, (d, s)| at.checked_add((*d as u64).saturating_sub(1).checked_mul(*s as u64)?));
        let far = far.ok_or_else(beyond)?;
        // A tensor has no more elements than its storage: one that repeats itself is none that was learnt.
        if elements > place.len || (elements > 0 && far >= place.len) {
            return Err(beyond());
        }
        Ok(Stored { name: name.to_string(), kind: place.kind, shape, stride: Some(stride), offset, span: place.span })
    }
}

/// A value in words.
fn what(pickle: &Pickle, value: &Value) -> String {
    match value {
        Value::None => "None".to_string(),
        Value::Bool(_) => "a truth value".to_string(),
        Value::Int(_) | Value::Float => "a number".to_string(),
        Value::Text(_) => "a text".to_string(),
        Value::Name(name) => format!("the name {name}"),
        Value::Opaque(class) => format!("an object of {class}"),
        Value::Part(i) => match pickle.parts.get(*i) {
            Some(Part::Dict(_)) => "a dictionary".to_string(),
            Some(Part::Tensor(_)) => "a tensor".to_string(),
            Some(Part::Items(_)) => "a list".to_string(),
            _ => "a storage".to_string(),
        },
    }
}
