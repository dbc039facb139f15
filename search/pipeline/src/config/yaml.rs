//! YAML as a tree that knows the line of every key and value. The one place that parses YAML.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
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
    /// A whole number that an `i64` or a `u64` holds.
    Int(i128),
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
        self.value.fmt(f)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("nothing"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            // Not three hundred zeros.
            Value::Float(x) if x.is_finite() && x.abs() >= 1e16 => write!(f, "{x:e}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Str(s) if s.chars().count() > LONGEST => {
                let start: String = s.chars().take(LONGEST).collect();
                write!(f, "{start:?}...")
            }
            Value::Str(s) => write!(f, "{s:?}"),
            Value::Seq(items) => write!(f, "a list of {}", items.len()),
            Value::Map(pairs) => write!(f, "a map of {}", pairs.len()),
        }
    }
}

/// Longer texts are shown cut short.
const LONGEST: usize = 80;

/// Text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line in the file, from 1; 0 if the parser does not say.
    pub line: u64,
    /// What was found and what was expected, in one line.
    pub message: String,
}

/// Parses one YAML document.
///
/// # Errors
/// When the text is no YAML, or more than one document.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    // Keys that occur twice and numbers that are none become mistakes among the others, not the end of reading.
    let options = serde_yaml::options! {
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_yaml::NonFiniteFloatPolicy::PassThrough,
    };
    serde_yaml::from_str_with_options(text, options).map_err(|e| {
        let line = e.location().map_or(0, |l| l.line());
        SyntaxError { line, message: in_words(e.without_snippet()) }
    })
}

/// What the parser says; in our words where its own speak of its interface.
fn in_words(e: &serde_yaml::Error) -> String {
    if matches!(e, serde_yaml::Error::MultipleDocuments { .. }) {
        return "found a second document, expected one".into();
    }
    let whole = e.to_string();
    let first = whole.lines().next().unwrap_or_default();
    if first.contains("recursion limit") {
        return "found lists or maps nested too deeply, expected less".into();
    }
    if first.contains("budget breached") {
        return "found more values than a config can have, expected fewer".into();
    }
    // The line stands in front of the message already.
    let message = first.split(" at line ").next().unwrap_or(first);
    format!("{message}, expected YAML")
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
        Ok(Value::Int(i.into()))
    }

    fn visit_u64<E>(self, i: u64) -> Result<Value, E> {
        Ok(Value::Int(i.into()))
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
                Value::Null => "null".to_string(),
                // No name of ours: it is told as an unknown key.
                ref other => other.to_string(),
            };
            pairs.push((Key { name, line: key.line }, map.next_value()?));
        }
        Ok(Value::Map(pairs))
    }
}
