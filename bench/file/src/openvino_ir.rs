//! OpenVINO's own files: what the XML says of a network, whose weights stand in a file beside it.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use sha2::{Digest as _, Sha256};

use crate::error::first_line;

/// An input as the file has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct IrInput {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Its sizes; none where an axis is dynamic.
    pub(crate) dims: Vec<Option<i64>>,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ir {
    pub(crate) inputs: Vec<IrInput>,
    pub(crate) outputs: Vec<String>,
    /// How often each operator occurs; constants are none.
    pub(crate) ops: BTreeMap<String, u64>,
    /// Digest of operators, attributes and what reads what.
    pub(crate) graph: String,
    /// Elements of constants.
    pub(crate) params: u64,
    /// Their bytes.
    pub(crate) weight_bytes: u64,
}

/// The start of an element in the file, with its attributes in order.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    fn read(of: &BytesStart) -> Result<Element, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut attributes = Vec::new();
        for one in of.attributes() {
            let one = one.map_err(first_line)?;
            let value = one.normalized_value(XmlVersion::Implicit1_0).map_err(first_line)?.into_owned();
            attributes.push((text(one.key.as_ref()), value));
        }
        Ok(Element { name: text(of.name().as_ref()), attributes })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    /// `1, 3, 8, 8`; an axis that is no number is dynamic.
    fn dims(&self) -> Vec<Option<i64>> {
        let shape = self.get("shape").unwrap_or_default();
        let one = |axis: &str| axis.trim().parse().ok().filter(|n| *n >= 0);
        shape.split(',').filter(|axis| !axis.trim().is_empty()).map(one).collect()
    }
}

/// What says where something stands and not what it is.
const PLACES: [&str; 4] = ["name", "names", "offset", "size"];

/// Reads the text of a file, or gives what is there instead.
pub(crate) fn read(text: &str) -> Result<Ir, String> {
    let (mut reader, mut all, mut hash) = (Reader::from_str(text), Ir::default(), Sha256::new());
    let (mut path, mut layer): (Vec<String>, Option<Element>) = (Vec::new(), None);
    loop {
        let (start, empty) = match reader.read_event().map_err(first_line)? {
            Event::Eof => break,
            Event::Start(e) => (e, false),
            Event::Empty(e) => (e, true),
            Event::End(_) => {
                path.pop();
                continue;
            }
            _ => continue,
        };
        let element = Element::read(&start)?;
        if path.is_empty() && element.name != "net" {
            return Err(format!("the element {}", element.name));
        }
        let outermost = path.len() == 3;
        if element.name == "layer" || element.name == "data" || element.name == "edge" {
            hash.update(&element.name);
            for (name, value) in element.attributes.iter().filter(|(n, _)| !PLACES.contains(&n.as_str())) {
                hash.update(format!(" {name}={value}"));
            }
        }
        let kind = layer.as_ref().and_then(|l: &Element| l.get("type")).unwrap_or_default();
        match (element.name.as_str(), kind) {
            ("data", "Parameter") if outermost => {
                let name = layer.as_ref().and_then(|l| l.get("name")).unwrap_or_default().to_string();
                let kind = element.get("element_type").unwrap_or_default().to_string();
                all.inputs.push(IrInput { name, kind, dims: element.dims() });
            }
            // The name of the value is what the library knows; that of the layer is left where it has none.
            ("port", "Parameter") if path.len() == 4 => {
                if let (Some(names), Some(input)) = (element.get("names"), all.inputs.last_mut()) {
                    input.name = names.split(',').next().unwrap_or_default().to_string();
                }
            }
            ("data", "Const") => {
                let sizes = element.dims().into_iter().map(|d| d.unwrap_or(0).unsigned_abs());
                all.params = all.params.saturating_add(sizes.fold(1u64, u64::saturating_mul));
                all.weight_bytes = all.weight_bytes.saturating_add(element.number("size"));
            }
            _ => {}
        }
        if element.name == "layer" {
            match element.get("type").unwrap_or_default() {
                "Const" | "Parameter" => {}
                "Result" if path.len() == 2 => {
                    let name = element.get("output_names").or(element.get("name")).unwrap_or_default();
                    all.outputs.push(name.to_string());
                }
                other => *all.ops.entry(other.to_string()).or_default() += 1,
            }
            layer = Some(Element { name: element.name.clone(), attributes: element.attributes });
        }
        if !empty {
            path.push(element.name);
        }
    }
    if all.ops.is_empty() {
        return Err("no layers".to_string());
    }
    all.graph = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<?xml version="1.0"?>
<net name="small" version="11"><layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="?,3,8,8" element_type="f32"/>
<output><port id="0" precision="FP32" names="images,x"><dim>-1</dim></port></output></layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="f32" shape="2, 3, 3, 3" offset="0" size="216"/>
<output><port id="0" precision="FP32"/></output></layer>
<layer id="2" name="c" type="Convolution" version="opset1"><data strides="1, 1"/></layer>
<layer id="3" name="r" type="Result" version="opset1" output_names="features"/>
</layers><edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/></edges></net>"#;

    #[test]
    fn what_the_file_says_is_read() -> Result<(), String> {
        let all = read(TEXT)?;
        let dims = vec![None, Some(3), Some(8), Some(8)];
        assert_eq!(all.inputs, [IrInput { name: "images".into(), kind: "f32".into(), dims }]);
        assert_eq!((all.params, all.weight_bytes, all.outputs.join(" ")), (54, 216, "features".to_string()));
        assert_eq!(all.ops, BTreeMap::from([("Convolution".to_string(), 1)]));
        Ok(())
    }

    #[test]
    fn names_change_no_graph_and_attributes_and_edges_do() -> Result<(), String> {
        let graph = |from: &str, to: &str| read(&TEXT.replace(from, to)).map(|all| all.graph);
        assert_eq!(graph("name=\"c\"", "name=\"conv\"")?, graph("", "")?);
        assert_ne!(graph("strides=\"1, 1\"", "strides=\"2, 2\"")?, graph("", "")?);
        assert_ne!(graph("to-layer=\"2\"", "to-layer=\"3\"")?, graph("", "")?);
        Ok(())
    }

    #[test]
    fn another_file_is_named() {
        assert_eq!(read("<svg/>"), Err("the element svg".to_string()));
        assert_eq!(read("<net/>"), Err("no layers".to_string()));
        assert!(read("<net><layers>").is_err() && read("").is_err() && read("\u{7f}ELF").is_err());
    }
}
