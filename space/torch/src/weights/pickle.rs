//! Reads the pickles that PyTorch writes, and runs nothing in them.
//!
//! A pickle is a program for a small stack machine (Python's `pickletools` documents its opcodes). Two of them, GLOBAL and
//! REDUCE, can call any function of Python; here they build plain values for a short list of names, and any other name
//! ends the reading. Containers lie in one arena, so that neither depth nor shared parts cost more than the file's bytes.

use std::collections::HashMap;
use std::fmt;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// A tuple, list, set or dictionary in [`Pickle::parts`].
    Part(usize),
    /// A name that is known to be harmless: a function or a class.
    Name(&'static str),
    /// A thing that holds no tensor: a device, a number type, settings.
    Other(&'static str),
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A tuple, list or set.
    Items(Vec<Value>),
    /// A dictionary, in its order.
    Dict(Vec<(Value, Value)>),
    /// What a persistent id names: for PyTorch a storage. Its tuple.
    Persistent(Vec<Value>),
    /// A tensor over a storage: the arguments of the function that rebuilds it.
    Tensor(Vec<Value>),
}

/// A pickle, read.
#[derive(Debug)]
pub struct Pickle {
    /// Its value.
    pub root: Value,
    /// The containers.
    pub parts: Vec<Part>,
    /// Bytes that it took.
    pub len: usize,
}

/// Why a pickle was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It names something that is no part of a state dict.
    Name(String),
    /// An opcode that no state dict has.
    Opcode(u8, usize),
    /// It is cut short or makes no sense.
    Damaged(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Name(name) => write!(f, "its pickle wants to use {name:?}; nothing in it was run"),
            Refused::Opcode(op, at) => write!(f, "its pickle has the opcode {op:#04x} at byte {at}"),
            Refused::Damaged(at) => write!(f, "its pickle is damaged at byte {at}"),
        }
    }
}

/// The function that rebuilds a tensor from a storage.
const TENSORS: [&str; 2] = ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"];
/// The function that makes a parameter of a tensor.
const PARAMETER: &str = "torch._utils._rebuild_parameter";
/// The dictionary that state dicts are.
const ORDERED: &str = "collections.OrderedDict";

/// All names that may stand in a pickle. What is neither a tensor nor a dictionary becomes [`Value::Other`].
const KNOWN: &[&str] = &[
    ORDERED,
    PARAMETER,
    TENSORS[0],
    TENSORS[1],
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.Size",
    "torch.device",
    "torch.float16",
    "torch.bfloat16",
    "torch.float32",
    "torch.float64",
    "torch.int64",
    "torch.int32",
    "torch.bool",
    "argparse.Namespace",
    "collections.defaultdict",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
];

type Result<T> = std::result::Result<T, Refused>;

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    parts: Vec<Part>,
    /// Values that may still be copied: a part used over and over must not grow beyond the file.
    budget: usize,
}

/// Reads one pickle from the beginning of some bytes.
///
/// # Errors
/// When it is damaged, or would use anything that is not on the list.
pub fn read(data: &[u8]) -> Result<Pickle> {
    let (stack, marks, memo, parts) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
    let mut m = Machine { data, at: 0, stack, marks, memo, parts, budget: data.len() };
    loop {
        let at = m.at;
        let op = m.byte()?;
        if op == b'.' {
            let root = m.pop()?;
            return Ok(Pickle { root, parts: m.parts, len: m.at });
        }
        m.step(op, at)?;
    }
}

impl Machine<'_> {
    fn damaged(&self) -> Refused {
        Refused::Damaged(self.at)
    }

    fn bytes(&mut self, n: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(n).filter(|e| *e <= self.data.len()).ok_or_else(|| self.damaged())?;
        let part = &self.data[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, n: usize) -> Result<u64> {
        Ok(self.bytes(n)?.iter().rev().fold(0, |sum, b| (sum << 8) | u64::from(*b)))
    }

    fn length(&mut self, n: usize) -> Result<usize> {
        let value = self.number(n)?;
        usize::try_from(value).map_err(|_| self.damaged())
    }

    /// A little-endian two's complement number.
    fn signed(&mut self, n: usize) -> Result<i64> {
        let damaged = self.damaged();
        match n {
            0 => Ok(0),
            1..=8 => {
                let shift = 64 - 8 * n as u32;
                Ok(((self.number(n)? << shift) as i64) >> shift)
            }
            // The old format's magic number is the only longer one; no size in a tensor is.
            9..=16 => self.bytes(n).map(|_| i64::MAX),
            _ => Err(damaged),
        }
    }

    fn text(&mut self, n: usize) -> Result<String> {
        let damaged = self.damaged();
        std::str::from_utf8(self.bytes(n)?).map(str::to_string).map_err(|_| damaged)
    }

    fn line(&mut self) -> Result<String> {
        let n = self.data[self.at..].iter().position(|b| *b == b'\n').ok_or_else(|| self.damaged())?;
        let line = self.text(n)?;
        self.at += 1;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value> {
        // What lies below the latest mark belongs to what is being built outside it.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged());
        }
        self.stack.pop().ok_or_else(|| self.damaged())
    }

    fn popped(&mut self, n: usize) -> Result<Vec<Value>> {
        let mut all = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        all.reverse();
        Ok(all)
    }

    fn since_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged())?;
        Ok(self.stack.split_off(mark))
    }

    fn push(&mut self, part: Part) {
        self.stack.push(Value::Part(self.parts.len()));
        self.parts.push(part);
    }

    fn part(&mut self, value: &Value) -> Result<&mut Part> {
        let damaged = self.damaged();
        match value {
            Value::Part(i) => self.parts.get_mut(*i).ok_or(damaged),
            _ => Err(damaged),
        }
    }

    /// A copy of a tuple's items.
    fn items(&mut self, tuple: &Value) -> Result<Vec<Value>> {
        let damaged = self.damaged();
        let Part::Items(items) = self.part(tuple)? else { return Err(damaged) };
        let items = items.clone();
        self.budget = self.budget.checked_sub(items.len()).ok_or(damaged)?;
        Ok(items)
    }

    fn append(&mut self, new: Vec<Value>) -> Result<()> {
        let (target, damaged) = (self.pop()?, self.damaged());
        match self.part(&target)? {
            Part::Items(items) => items.extend(new),
            _ => return Err(damaged),
        }
        self.stack.push(target);
        Ok(())
    }

    fn set_items(&mut self, new: Vec<Value>) -> Result<()> {
        let (target, damaged) = (self.pop()?, self.damaged());
        if !new.len().is_multiple_of(2) {
            return Err(damaged);
        }
        if !matches!(target, Value::Other(_)) {
            let Part::Dict(entries) = self.part(&target)? else { return Err(damaged) };
            entries.extend(new.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        }
        self.stack.push(target);
        Ok(())
    }

    fn name(&mut self, module: &str, name: &str) -> Result<()> {
        let whole = format!("{module}.{name}");
        let known = KNOWN.iter().find(|k| **k == whole).ok_or(Refused::Name(whole))?;
        self.stack.push(Value::Name(known));
        Ok(())
    }

    /// A call: of the few functions that make tensors and dictionaries, or of a harmless one whose value nobody needs.
    fn call(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let damaged = self.damaged();
        let Value::Name(name) = function else { return Err(damaged) };
        let arguments = self.items(&arguments)?;
        match name {
            ORDERED if arguments.is_empty() => self.push(Part::Dict(Vec::new())),
            ORDERED => self.ordered(&arguments)?,
            PARAMETER => {
                let tensor = arguments.into_iter().next().ok_or(damaged)?;
                self.stack.push(tensor);
            }
            _ if TENSORS.contains(&name) => self.push(Part::Tensor(arguments)),
            // A size is a tuple.
            "torch.Size" => self.stack.push(arguments.into_iter().next().ok_or(damaged)?),
            _ => self.stack.push(Value::Other(name)),
        }
        Ok(())
    }

    /// An ordered dictionary from a list of pairs.
    fn ordered(&mut self, arguments: &[Value]) -> Result<()> {
        let pairs = arguments.first().cloned().unwrap_or(Value::None);
        let mut entries = Vec::new();
        for pair in self.items(&pairs)? {
            match self.items(&pair)?.as_slice() {
                [key, value] => entries.push((key.clone(), value.clone())),
                _ => return Err(self.damaged()),
            }
        }
        self.push(Part::Dict(entries));
        Ok(())
    }

    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let id = self.items(&id)?;
        self.push(Part::Persistent(id));
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<()> {
        let top = self.stack.last().cloned().ok_or_else(|| self.damaged())?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let value = self.memo.get(&key).cloned().ok_or_else(|| self.damaged())?;
        self.stack.push(value);
        Ok(())
    }

    fn step(&mut self, op: u8, at: usize) -> Result<()> {
        match op {
            0x80 => drop(self.byte()?),
            0x95 => drop(self.number(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.push(Part::Dict(Vec::new())),
            b']' | b')' | 0x8f => self.push(Part::Items(Vec::new())),
            b't' | b'l' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Part::Items(items));
            }
            0x85..=0x87 => {
                let items = self.popped(usize::from(op - 0x84))?;
                self.push(Part::Items(items));
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Part::Dict(Vec::new()));
                self.set_items(items)?;
            }
            b'a' => {
                let items = self.popped(1)?;
                self.append(items)?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.popped(2)?;
                self.set_items(items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set_items(items)?;
            }
            b'0' => drop(self.pop()?),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(&module, &name)?;
            }
            0x93 => match self.popped(2)?.as_slice() {
                [Value::Text(module), Value::Text(name)] => self.name(module, name)?,
                _ => return Err(self.damaged()),
            },
            b'R' | 0x81 => self.call()?,
            // The state of a dictionary or of settings: nothing that tensors depend on.
            b'b' => drop(self.pop()?),
            b'Q' => self.persistent()?,
            b'q' | b'r' | b'h' | b'j' | 0x94 => self.memo(op)?,
            _ => {
                let value = self.scalar(op, at)?;
                self.stack.push(value);
            }
        }
        Ok(())
    }

    fn memo(&mut self, op: u8) -> Result<()> {
        match op {
            b'q' => self.number(1).and_then(|k| self.remember(k)),
            b'r' => self.number(4).and_then(|k| self.remember(k)),
            b'h' => self.number(1).and_then(|k| self.recall(k)),
            b'j' => self.number(4).and_then(|k| self.recall(k)),
            _ => self.remember(self.memo.len() as u64),
        }
    }

    fn scalar(&mut self, op: u8, at: usize) -> Result<Value> {
        Ok(match op {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int(self.signed(4)?),
            0x8a => {
                let n = self.length(1)?;
                Value::Int(self.signed(n)?)
            }
            b'G' => {
                let bits = self.bytes(8)?.iter().fold(0u64, |sum, b| (sum << 8) | u64::from(*b));
                Value::Float(f64::from_bits(bits))
            }
            b'X' | 0x8c | 0x8d | b'U' | b'T' => {
                let width = match op {
                    0x8c | b'U' => 1,
                    0x8d => 8,
                    _ => 4,
                };
                let n = self.length(width)?;
                Value::Text(self.text(n)?)
            }
            b'C' | b'B' | 0x8e => {
                let width = match op {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                };
                let n = self.length(width)?;
                self.bytes(n)?;
                Value::Other("bytes")
            }
            _ => return Err(Refused::Opcode(op, at)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_and_shared_parts() {
        // Python: pickle.dumps({"a": [1, 300, -2, 0.5], "b": (True, None)}, 2)
        let data = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01M,\x01J\xfe\xff\xff\xffG?\xe0\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00bq\x03\x88N\x86q\x04u.";
        let p = read(data).unwrap();
        assert_eq!(p.len, data.len());
        let Value::Part(root) = p.root else { panic!("{:?}", p.root) };
        let Part::Dict(entries) = &p.parts[root] else { panic!("{:?}", p.parts) };
        let items = |v: &Value| match v {
            Value::Part(i) => p.parts[*i].clone(),
            v => panic!("{v:?}"),
        };
        assert_eq!(entries.len(), 2);
        let numbers = vec![Value::Int(1), Value::Int(300), Value::Int(-2), Value::Float(0.5)];
        assert_eq!(items(&entries[0].1), Part::Items(numbers));
        assert_eq!(items(&entries[1].1), Part::Items(vec![Value::Bool(true), Value::None]));
    }

    #[test]
    fn a_call_of_the_system_is_refused_by_its_name() {
        // Python: class E: __reduce__ = lambda s: (os.system, ("touch /tmp/x",)), in protocols 2 and 4.
        let two = b"\x80\x02cposix\nsystem\nq\x00X\x0c\x00\x00\x00touch /tmp/xq\x01\x85q\x02Rq\x03.";
        let four = b"\x80\x04\x95\x27\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0ctouch /tmp/x\x94\x85\x94R\x94.";
        for data in [&two[..], &four[..]] {
            assert_eq!(read(data).unwrap_err(), Refused::Name("posix.system".into()));
        }
        for inst in [&b"(S'x'\niposix\nsystem\n."[..], b"\x80\x02\x82\x01."] {
            assert!(matches!(read(inst), Err(Refused::Opcode(..))), "{:?}", read(inst));
        }
    }

    #[test]
    fn no_cut_and_no_changed_byte_does_more_than_end_the_reading() {
        let data = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00aq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03((X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x01\x00\x00\x000q\x06X\x03\x00\x00\x00cpuq\x07K\x02tq\x08QK\x00K\x02\x85q\tK\x01\x85q\n\x89h\x00)Rq\x0btq\x0cRq\ru.";
        assert!(read(data).is_ok());
        for cut in 0..data.len() {
            assert!(read(&data[..cut]).is_err());
        }
        for at in 0..data.len() {
            for to in 0..=255u8 {
                let mut changed = data.to_vec();
                changed[at] = to;
                // Whatever it gives, it ends, and it takes no more than the bytes there are.
                if let Ok(p) = read(&changed) {
                    assert!(p.len <= data.len());
                }
            }
        }
    }

    #[test]
    fn lengths_beyond_the_file_allocate_nothing() {
        let huge: [&[u8]; 4] = [
            b"\x80\x02X\xff\xff\xff\xff.",
            b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
            b"\x80\x02B\xff\xff\xff\xff.",
        ];
        for data in huge {
            assert!(matches!(read(data), Err(Refused::Damaged(_))));
        }
    }
}
