//! YAML as a tree that knows the line of every key and value. The one place that parses YAML.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

/// A value with its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Line in the file, from 1.
    pub line: u64,
    /// The value.
    pub value: Value,
}

/// What a YAML node may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// Keys, with their lines, and values, in order; a key may occur twice.
    Map(Vec<(Key, Node)>),
}

/// A key with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Line in the file, from 1.
    pub line: u64,
}

impl Node {
    /// The value under a key of a map; the last, if it occurs twice.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(pairs) => pairs.iter().rev().find(|(k, _)| k.name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The line of the value at a path, or of the nearest that is there on the way.
    pub fn line_of(&self, path: &[String]) -> u64 {
        let mut at = self;
        for step in path {
            let next = match &at.value {
                Value::Seq(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => at.get(step),
            };
            match next {
                Some(n) => at = n,
                None => break,
            }
        }
        at.line
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("nothing"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Str(s) => write!(f, "{s:?}"),
            Value::Seq(items) => write!(f, "a list of {}", items.len()),
            Value::Map(pairs) => write!(f, "a map of {}", pairs.len()),
        }
    }
}

/// Text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line in the file, from 1; 0 if the parser does not say.
    pub line: u64,
    /// What is wrong, in one line.
    pub message: String,
}

/// Parses one YAML document.
///
/// # Errors
/// When the text is no YAML, or more than one document.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_yaml::options! { duplicate_keys: serde_yaml::DuplicateKeyPolicy::PassThrough };
    serde_yaml::from_str_with_options(text, options).map_err(|e| {
        let line = e.location().map_or(0, |l| l.line());
        let whole = e.without_snippet().to_string();
        let first = whole.lines().next().unwrap_or_default();
        // The line stands in front of the message already.
        let message = first.split(" at line ").next().unwrap_or(first);
        SyntaxError { line, message: message.to_string() }
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Node, D::Error> {
        let s = Spanned::<Value>::deserialize(d)?;
        Ok(Node { line: s.referenced.line(), value: s.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Value, D::Error> {
        d.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        Value::deserialize(d)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Int(i))
    }

    fn visit_u64<E: serde::de::Error>(self, i: u64) -> Result<Value, E> {
        i64::try_from(i).map(Value::Int).map_err(|_| E::custom(format!("the number {i} is too large")))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Float(x))
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(Value::Str(s.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<Node>()? {
            let name = match key.value {
                Value::Str(s) => s,
                Value::Int(i) => i.to_string(),
                Value::Bool(b) => b.to_string(),
                _ => return Err(A::Error::custom("a key that is no text")),
            };
            pairs.push((Key { name, line: key.line }, map.next_value()?));
        }
        Ok(Value::Map(pairs))
    }
}
