//! The networks of the goldens.

use std::io::Read as _;

use mobilenas_heads::{HeadOptions, attach, head};
use mobilenas_space::families;
use mobilenas_space::ir::Plan;
use serde_json::Value;

/// torchvision's name of the case whose backbone and names are its own.
const TORCHVISION: &str = "ssdlite (torchvision)";

/// The goldens.
pub fn goldens() -> Vec<Value> {
    let (file, mut text) = (&include_bytes!("../goldens.json.gz")[..], String::new());
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["goldens"].as_array().unwrap().clone()
}

/// The network of a golden, with its auxiliary head if it has one and that is asked for.
pub fn plan(g: &Value, auxiliary: bool) -> Plan {
    let (number, own) = (|v: &Value| v.as_u64().map(|n| n as u32), &g["options"]);
    let options = HeadOptions {
        output_stride: number(&own["output_stride"]),
        width: number(&own["cout"]),
        align_corners: own["align_corners"].as_bool(),
        auxiliary: auxiliary && own["aux"].as_bool().unwrap_or(false),
        ..HeadOptions::new(number(&g["classes"]).unwrap())
    };
    if g["head"] == TORCHVISION {
        return attach(head("ssdlite320").unwrap(), reduced_tail(), &options).unwrap();
    }
    let backbone = families::plan(g["model"].as_str().unwrap(), number(&g["resolution"]), 1000).unwrap();
    attach(head(g["head"].as_str().unwrap()).unwrap(), backbone, &options).unwrap()
}

/// MobileNetV3-Large with half as many channels at its end.
fn reduced_tail() -> Plan {
    let template = families::family("mobilenet_v3").unwrap().template("mobilenetv3_large_100").unwrap();
    let halved = |name: &str| ["stages.5.width", "stages.5.1.mid", "stages.5.2.mid", "last.width"].contains(&name);
    let values = template.knobs().into_iter().zip(template.values());
    let values: Vec<u32> = values.map(|(k, v)| if halved(&k.name) { v / 2 } else { v }).collect();
    template.plan(&values, 320, 10).unwrap()
}

/// The golden's name of a tensor.
pub fn name_in(g: &Value, ours: &str) -> String {
    if g["head"] != TORCHVISION {
        return ours.to_string();
    }
    let Some(own) = ours.strip_prefix("backbone.").filter(|own| !own.starts_with("extra.")) else {
        return ours.to_string();
    };
    let parts: Vec<&str> = own.split('.').collect();
    let leaf = parts[parts.len() - 1];
    let stages = [1usize, 2, 3, 4, 2, 3];
    let place = |module: &str| match module {
        "conv_pw" | "bn1" => 0,
        "conv_dw" | "bn2" => 1,
        "se" => 2,
        _ => 3,
    };
    let kind = |module: &str| usize::from(module.starts_with("bn"));
    match parts[..] {
        ["conv_stem" | "bn1", _] => format!("backbone.features.0.0.{}.{leaf}", kind(parts[0])),
        ["blocks", "6", "0", module, _] => format!("backbone.features.1.3.{}.{leaf}", kind(module)),
        ["blocks", stage, block, module, ..] => {
            let (stage, block): (usize, usize) = (stage.parse().unwrap(), block.parse().unwrap());
            let index = stages[..stage].iter().sum::<usize>() + block + 1;
            let squeezed = [2, 4, 5].contains(&stage);
            let mut k = place(module);
            if stage == 0 {
                k = usize::from(module == "conv_pw" || module == "bn2");
            } else if k == 3 && !squeezed {
                k = 2;
            }
            let rest = match module {
                "se" => format!("{k}.{}.{leaf}", if parts[4] == "conv_reduce" { "fc1" } else { "fc2" }),
                _ => format!("{k}.{}.{leaf}", kind(module)),
            };
            match index {
                ..13 => format!("backbone.features.0.{index}.block.{rest}"),
                13 if k == 0 => format!("backbone.features.0.13.{}", &rest[2..]),
                13 => format!("backbone.features.1.0.{rest}"),
                _ => format!("backbone.features.1.{}.block.{rest}", index - 13),
            }
        }
        _ => panic!("{ours}"),
    }
}
