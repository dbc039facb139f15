//! A YAML tree against the JSON schema of the config's types: every mistake, in words a user can act on.
//!
//! Only the keywords that the types here give rise to are known; [`tests`] checks that there are no others.

use serde_json::{Map, Value as Json};

use super::yaml::{Node, Value};
use mobilenas_host::{Problems, nearest};

/// Checks a tree and turns it into JSON that the types deserialize from; mistakes are added to `problems`.
pub struct Checker<'a> {
    /// The whole schema.
    pub schema: &'a Json,
    /// The whole tree.
    pub root: &'a Node,
    /// Where mistakes go.
    pub problems: &'a mut Problems,
}

/// A schema without its reference, and whether `null` is allowed. Of options for several types, that of the value, or else
/// the last.
fn resolve<'a>(root: &'a Json, schema: &'a Json, value: Option<&Value>) -> (&'a Json, bool) {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return resolve(root, &root["$defs"][name], value);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let null = options.iter().any(|o| o["type"] == "null");
        let inner: Vec<_> = options.iter().filter(|o| o["type"] != "null").map(|o| resolve(root, o, value)).collect();
        let fits = |(schema, _): &&(&Json, bool)| match value {
            Some(Value::Str(_)) => type_of(schema) == "string",
            Some(Value::Seq(_)) => type_of(schema) == "array",
            _ => false,
        };
        if let Some((schema, also)) = inner.iter().find(fits).or(inner.last()) {
            return (schema, null || *also);
        }
    }
    let null = schema["type"].as_array().is_some_and(|t| t.iter().any(|t| t == "null"));
    (schema, null)
}

fn type_of(schema: &Json) -> &str {
    match &schema["type"] {
        Json::String(s) => s,
        Json::Array(all) => all.iter().filter_map(Json::as_str).find(|t| *t != "null").unwrap_or_default(),
        _ => "",
    }
}

/// What a schema wants, in words.
fn wanted(schema: &Json) -> String {
    if let Some(options) = schema["enum"].as_array() {
        let names: Vec<&str> = options.iter().filter_map(Json::as_str).collect();
        return format!("one of {}", names.join(", "));
    }
    let noun = match type_of(schema) {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a map",
    };
    let bound = |key: &str| schema[key].as_f64();
    let range = match (bound("minimum"), bound("exclusiveMinimum"), bound("maximum")) {
        (Some(a), _, Some(b)) if b < 1e15 => format!(" of {a} to {b}"),
        (_, Some(a), Some(b)) => format!(" above {a}, at most {b}"),
        (Some(a), ..) => format!(" of at least {a}"),
        (_, Some(a), _) => format!(" above {a}"),
        (None, None, Some(b)) if b < 1e15 => format!(" of at most {b}"),
        _ => String::new(),
    };
    format!("{noun}{range}")
}

impl Checker<'_> {
    /// Checks the whole tree.
    pub fn run(mut self) -> Json {
        let (schema, root) = (self.schema, self.root);
        self.node(root, schema, &mut Vec::new())
    }

    fn wrong(&mut self, node: &Node, schema: &Json, path: &[String]) -> Json {
        let mut message = format!("found {node}, expected {}", wanted(schema));
        let names = || schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
        if let Value::Str(s) = &node.value
            && let Some(near) = nearest(s, names())
        {
            message.push_str(&format!("; did you mean {near}?"));
        }
        self.add(node, path, message);
        Json::Null
    }

    /// A mistake on the node's own line: its path may lead to another, if a key occurs twice.
    fn add(&mut self, node: &Node, path: &[String], message: String) {
        self.problems.all.push(super::Problem { line: node.line, path: path.to_vec(), message });
    }

    fn node(&mut self, node: &Node, schema: &Json, path: &mut Vec<String>) -> Json {
        let (schema, null) = resolve(self.schema, schema, Some(&node.value));
        match (&node.value, type_of(schema)) {
            // A map all of whose keys have defaults may be left empty: `random:` is `random: {}`.
            (Value::Null, "object") => self.map(node, &[], schema, path),
            (Value::Null, _) if null => Json::Null,
            (Value::Map(pairs), "object") => self.map(node, pairs, schema, path),
            (Value::Seq(items), "array") => self.list(node, items, schema, path),
            (Value::Bool(b), "boolean") => Json::Bool(*b),
            (Value::Int(i), "integer") => self.integer(node, *i, schema, path),
            // 1e6 is a whole number, however it is written.
            (Value::Float(x), "integer") if x.fract() == 0.0 && x.abs() < 9e15 => {
                self.number(node, *x, (*x as i64).into(), schema, path)
            }
            (Value::Int(i), "number") => self.number(node, *i as f64, (*i as f64).into(), schema, path),
            (Value::Float(x), "number") if x.is_finite() => self.number(node, *x, (*x).into(), schema, path),
            (Value::Str(s), "string") => match schema["enum"].as_array() {
                Some(options) if !options.iter().any(|o| o == s.as_str()) => self.wrong(node, schema, path),
                _ => Json::String(s.clone()),
            },
            _ => self.wrong(node, schema, path),
        }
    }

    fn integer(&mut self, node: &Node, i: i128, schema: &Json, path: &[String]) -> Json {
        let json = match schema["format"].as_str() {
            Some("int64") => i64::try_from(i).ok().map(Json::from),
            _ => u64::try_from(i).ok().map(Json::from).or_else(|| i64::try_from(i).ok().map(Json::from)),
        };
        match json {
            Some(json) => self.number(node, i as f64, json, schema, path),
            None => {
                let message = format!("found {node}, expected a whole number of at most {}", i64::MAX);
                self.add(node, path, message);
                Json::Null
            }
        }
    }

    fn number(&mut self, node: &Node, x: f64, as_json: Json, schema: &Json, path: &[String]) -> Json {
        let outside = schema["minimum"].as_f64().is_some_and(|m| x < m)
            || schema["exclusiveMinimum"].as_f64().is_some_and(|m| x <= m)
            || schema["maximum"].as_f64().is_some_and(|m| x > m);
        if outside { self.wrong(node, schema, path) } else { as_json }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Json, path: &mut Vec<String>) -> Json {
        let fewest = schema["minItems"].as_u64().unwrap_or(0);
        if (items.len() as u64) < fewest {
            self.add(node, path, format!("found {node}, expected a list of at least {fewest}"));
        }
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            path.push(i.to_string());
            let json = self.node(item, &schema["items"], path);
            out.extend(Some(json).filter(|j| !j.is_null()));
            path.pop();
        }
        Json::Array(out)
    }

    fn map(&mut self, node: &Node, pairs: &[(super::yaml::Key, Node)], schema: &Json, path: &mut Vec<String>) -> Json {
        let empty = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&empty);
        let rest = &schema["additionalProperties"];
        let mut out = Map::new();
        for (i, (key, value)) in pairs.iter().enumerate() {
            path.push(key.name.clone());
            if let Some((first, _)) = pairs[..i].iter().find(|(k, _)| k.name == key.name) {
                let message = format!("occurs twice, first on line {}", first.line);
                self.problems.all.push(super::Problem { line: key.line, path: path.clone(), message });
            }
            let inner = known.get(&key.name).or(rest.is_object().then_some(rest));
            match inner {
                Some(inner) => {
                    let json = self.node(value, inner, path);
                    // What is wrong is left out, so that its default lets the rest be checked further.
                    if !json.is_null() {
                        out.insert(key.name.clone(), json);
                    }
                }
                None => self.unknown(key, known, path),
            }
            path.pop();
        }
        let limit = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let (fewest, most) = (limit("minProperties").unwrap_or(0), limit("maxProperties").unwrap_or(usize::MAX));
        if !(fewest..=most).contains(&pairs.len()) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            self.add(node, path, format!("found {} keys, expected one of {}", pairs.len(), names.join(", ")));
        }
        // The rest is checked further with the first of too many keys, or with an example where none is sound.
        let mut sound: Map<String, Json> = out.into_iter().take(most).collect();
        if let (true, Some(example)) = (sound.len() < fewest, schema["examples"][0].as_object()) {
            sound = example.clone();
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if !pairs.iter().any(|(k, _)| k.name == name) {
                let (inner, _) = resolve(self.schema, &known[name], None);
                let message = format!("missing key {name}, expected {}", wanted(inner));
                self.add(node, path, message);
            }
        }
        Json::Object(sound)
    }

    fn unknown(&mut self, key: &super::yaml::Key, known: &Map<String, Json>, path: &[String]) {
        let above = path.iter().rev().skip(1).find(|step| step.parse::<usize>().is_err()).map_or("", String::as_str);
        if let Some(new) = super::renamed::new_name(above, &key.name) {
            let message = format!("renamed to {new}");
            self.problems.all.push(super::Problem { line: key.line, path: path.to_vec(), message });
            return;
        }
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let hint =
            nearest(&key.name, names.iter().copied()).map(|n| format!(", did you mean {n}?")).unwrap_or_default();
        let message = format!("unknown key{hint} (keys here: {})", names.join(", "));
        self.problems.all.push(super::Problem { line: key.line, path: path.to_vec(), message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_uses_no_keyword_that_the_checker_does_not_know() {
        const KNOWN: &[&str] = &[
            "$schema",
            "$id",
            "$defs",
            "$ref",
            "title",
            "description",
            "type",
            "properties",
            "required",
            "default",
            "additionalProperties",
            "anyOf",
            "enum",
            "items",
            "minItems",
            "minProperties",
            "maxProperties",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "format",
            "examples",
            // Says nothing of a value: the key is left out where a resolved config is written.
            "writeOnly",
        ];
        fn walk(schema: &Json, at: &str) {
            let Some(map) = schema.as_object() else { return };
            for (key, value) in map {
                assert!(KNOWN.contains(&key.as_str()), "{at}: {key}");
                match key.as_str() {
                    "properties" | "$defs" => {
                        value.as_object().unwrap().iter().for_each(|(k, v)| walk(v, &format!("{at}.{k}")));
                    }
                    "anyOf" => value.as_array().unwrap().iter().for_each(|v| walk(v, at)),
                    "items" | "additionalProperties" => walk(value, at),
                    _ => {}
                }
            }
        }
        walk(&super::super::schema(), "");
    }
}
