//! The stack machine.

use std::collections::HashMap;
use std::rc::Rc;

use super::names::{DICTS, PARAMETERS, RECONSTRUCTOR, SIZE, TENSOR_OF_CLASS, TENSORS, harmful};
use super::value::{MOST_VALUES, Part, Pickle, Refused, Value};

type Result<T> = std::result::Result<T, Refused>;

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    parts: Vec<Part>,
    /// Values that may still be made or copied.
    budget: usize,
}

/// Reads one pickle from the beginning of some bytes.
///
/// # Errors
/// When it is damaged, makes too many values, or names what runs programs or code.
pub fn read(data: &[u8]) -> Result<Pickle> {
    let (stack, marks, memo, parts) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
    let mut m = Machine { data, at: 0, stack, marks, memo, parts, budget: MOST_VALUES };
    loop {
        let at = m.at;
        let op = m.byte()?;
        if op == b'.' {
            let root = m.pop()?;
            return Ok(Pickle { root, parts: m.parts, len: m.at });
        }
        m.spend(1)?;
        m.step(op, at)?;
    }
}

impl Machine<'_> {
    fn damaged(&self) -> Refused {
        Refused::Damaged(self.at)
    }

    fn spend(&mut self, values: usize) -> Result<()> {
        self.budget = self.budget.checked_sub(values).ok_or(Refused::Large)?;
        Ok(())
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

    /// A little-endian two's complement number. Longer ones than 64 bits are no tensor's size.
    fn signed(&mut self, n: usize) -> Result<i64> {
        match n {
            0 => Ok(0),
            1..=8 => {
                let shift = 64 - 8 * n as u32;
                Ok(((self.number(n)? << shift) as i64) >> shift)
            }
            _ => self.bytes(n).map(|_| i64::MAX),
        }
    }

    /// Text; what is no UTF-8, as a file name of another encoding, is no tensor's name either.
    fn text(&mut self, n: usize) -> Result<Rc<str>> {
        self.bytes(n).map(|b| String::from_utf8_lossy(b).into())
    }

    fn line(&mut self) -> Result<Rc<str>> {
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
        let mark = self.marks.pop().filter(|m| *m <= self.stack.len()).ok_or_else(|| self.damaged())?;
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
        self.spend(items.len())?;
        Ok(items)
    }

    fn append(&mut self, new: Vec<Value>) -> Result<()> {
        let (target, damaged) = (self.pop()?, self.damaged());
        if !matches!(target, Value::Opaque(_)) {
            let Part::Items(items) = self.part(&target)? else { return Err(damaged) };
            items.extend(new);
        }
        self.stack.push(target);
        Ok(())
    }

    fn set_items(&mut self, new: Vec<Value>) -> Result<()> {
        let (target, damaged) = (self.pop()?, self.damaged());
        if !new.len().is_multiple_of(2) {
            return Err(damaged);
        }
        if !matches!(target, Value::Opaque(_)) {
            let Part::Dict(entries) = self.part(&target)? else { return Err(damaged) };
            entries.extend(new.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        }
        self.stack.push(target);
        Ok(())
    }

    fn name(&mut self, module: &str, name: &str) -> Result<()> {
        let whole = format!("{module}.{name}");
        if harmful(module, name) {
            return Err(Refused::Name(whole));
        }
        self.stack.push(Value::Name(whole.into()));
        Ok(())
    }

    /// A call: of the few functions that make tensors and dictionaries, or of another, whose value stays unknown.
    fn call(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let damaged = self.damaged();
        let name = match function {
            Value::Name(name) => name,
            Value::Opaque(_) => {
                self.stack.push(function);
                return Ok(());
            }
            _ => return Err(damaged),
        };
        let arguments = self.items(&arguments)?;
        let first = || arguments.first().cloned().ok_or(Refused::Damaged(0));
        match &*name {
            n if n == DICTS[0] && !arguments.is_empty() => self.ordered(&arguments)?,
            n if DICTS.contains(&n) => self.push(Part::Dict(Vec::new())),
            n if TENSORS.contains(&n) => self.push(Part::Tensor(arguments)),
            // A size is a tuple.
            n if n == SIZE || PARAMETERS.contains(&n) => self.stack.push(first().map_err(|_| damaged)?),
            TENSOR_OF_CLASS => match (arguments.first(), arguments.get(2)) {
                (Some(Value::Name(f)), Some(rest)) if TENSORS.contains(&&**f) => {
                    let rest = self.items(rest)?;
                    self.push(Part::Tensor(rest));
                }
                _ => self.stack.push(Value::Opaque(name)),
            },
            RECONSTRUCTOR => match arguments.first() {
                Some(Value::Name(class)) => self.stack.push(Value::Opaque(class.clone())),
                _ => self.stack.push(Value::Opaque(name)),
            },
            _ => self.stack.push(Value::Opaque(name)),
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
            b'1' => drop(self.since_mark()?),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(&module, &name)?;
            }
            0x93 => match self.popped(2)?.as_slice() {
                [Value::Text(module), Value::Text(name)] => self.name(module, name)?,
                _ => return Err(self.damaged()),
            },
            b'R' | 0x81 => self.call()?,
            0x92 => {
                // A class, its arguments by place, and those by name.
                self.pop()?;
                self.call()?;
            }
            // The state of a dictionary or of an object: nothing that tensors depend on.
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
            0x8a | 0x8b => {
                let n = self.length(if op == 0x8a { 1 } else { 4 })?;
                Value::Int(self.signed(n)?)
            }
            b'G' => {
                self.bytes(8)?;
                Value::Float
            }
            b'X' | 0x8c | 0x8d | b'U' | b'T' => {
                let n = self.length(if op == 0x8d {
                    8
                } else if [0x8c, b'U'].contains(&op) {
                    1
                } else {
                    4
                })?;
                Value::Text(self.text(n)?)
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let n = self.length(if op == b'C' {
                    1
                } else if op == b'B' {
                    4
                } else {
                    8
                })?;
                self.bytes(n)?;
                Value::Opaque("bytes".into())
            }
            _ => return Err(Refused::Opcode(op, at)),
        })
    }
}
