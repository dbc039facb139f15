//! Writes ONNX files of published networks, untrained and fused, one image at a time: `onnx_files [--int8] DIR
//! MODEL...`. `onnx_against_pytorch.py` beside this file times them against what PyTorch exports. With `--int8` a file
//! in int8 stands beside each, calibrated on noise: good for its time alone, which is printed as a share of the float32
//! file's.

use std::path::Path;
use std::sync::Arc;

use mobilenas_bench::engine::blank;
use mobilenas_bench::engine::int8::{Calibrator, gain};
use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_host::WallClock;
use mobilenas_onnx::Options;
use mobilenas_onnx::int8::CalibrationMethod;
use mobilenas_space::families;
use mobilenas_torch::onnx::{to_int8, to_onnx};
use mobilenas_torch::{Names, Net, Owned, ParamStore};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let int8 = args.iter().position(|a| a == "--int8").map(|at| args.remove(at)).is_some();
    let (folder, names) = args.split_first().ok_or("expected a folder and names of networks")?;
    for name in names {
        let (family, info) = families::variant(name).ok_or(format!("{name}: no published network of that name"))?;
        let template = family.template(name).ok_or("no configuration")?;
        let graph = template.plan(&template.values(), info.resolution, 1000)?.lower()?;
        let store = ParamStore::init(&graph, Names::Standalone, 0, tch::Device::Cpu)?;
        let net = Net::bind(Arc::new(graph), &Owned(&store))?;
        let noise = blank(&net, 4)?.f_normal_(0.0, 1.0)?;
        net.recalibrate([&noise].into_iter())?;
        let net = net.freeze()?;
        let bytes = to_onnx(&net, &Options::default())?;
        std::fs::write(Path::new(folder).join(format!("{name}.onnx")), &bytes)?;
        if int8 {
            let mut calibrator = Calibrator::new(to_int8(&net, &Options::default())?, CalibrationMethod::MinMax, 1)?;
            calibrator.see(&noise.f_narrow(0, 0, 1)?)?;
            let whole = calibrator.write()?;
            std::fs::write(Path::new(folder).join(format!("{name}.int8.onnx")), &whole)?;
            let (mut a, mut b) = (File::load(&bytes, 1)?, File::load(&whole, 1)?);
            let g = gain(&WallClock::new(), (&mut a, &mut b), &blank(&net, 1)?, &mut ChaCha8Rng::seed_from_u64(1))?;
            let (low, high) = g.ratio_interval;
            let times = format!("float32 {:8.3} ms, int8 {:8.3} ms", g.float32_ms, g.int8_ms);
            println!("{name:24} {times}, ratio {:.3} [{low:.3}, {high:.3}]", g.ratio);
        }
    }
    Ok(())
}
