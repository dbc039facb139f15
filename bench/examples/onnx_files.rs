//! Writes ONNX files of published networks, untrained and fused, one image at a time: `onnx_files DIR MODEL...`.
//! `onnx_against_pytorch.py` beside this file times them against what PyTorch exports.

use std::path::Path;
use std::sync::Arc;

use mobilenas_space::families;
use mobilenas_space::onnx::Options;
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Names, Net, Owned, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("expected a folder and names of networks")?;
    for name in args {
        let (family, info) = families::variant(&name).ok_or(format!("{name}: no published network of that name"))?;
        let template = family.template(&name).ok_or("no configuration")?;
        let graph = template.plan(&template.values(), info.resolution, 1000)?.lower()?;
        let store = Store::init(&graph, Names::Own, 0, tch::Device::Cpu)?;
        let net = Net::bind(Arc::new(graph), &Owned(&store))?.freeze()?;
        std::fs::write(Path::new(&folder).join(format!("{name}.onnx")), to_onnx(&net, &Options::default())?)?;
    }
    Ok(())
}
