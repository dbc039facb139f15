//! LiteRT, formerly TensorFlow Lite: runs the `.tflite` file that its own converter makes of the network's PyTorch source,
//! with XNNPACK. The library is loaded on first use from the path in the environment variable [`LIBRARY`].

use mobilenas_file::litert::{self, Ready};
use mobilenas_phones::{Tflite, converter, tflite};
use mobilenas_space::ir::Graph;
use mobilenas_torch::Net;
use tch::Tensor;

use super::{Engine, EngineError, Session, Setting, Start};

pub use mobilenas_file::litert::LIBRARY;

/// Batch norms folded, float32. Files are kept from one run to the next.
#[derive(Clone, Copy, Debug)]
pub struct LiteRt;

const NAME: &str = "litert";

fn refused(message: impl std::fmt::Display) -> EngineError {
    EngineError::Engine { engine: NAME, message: message.to_string() }
}

impl Engine for LiteRt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        let converter = converter().unwrap_or_else(|_| "no converter".to_string());
        format!("{}, {converter}", litert::version())
    }

    fn make<'a>(&'a self, net: &'a Net, setting: Setting) -> Result<Start<'a>, EngineError> {
        // Before a conversion, which takes seconds.
        litert::here().map_err(refused)?;
        let file = tflite(net, setting.batch).map_err(refused)?;
        Ok(Box::new(move || Prepared::load(file, net.graph(), setting.threads)))
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        self.make(net, setting)?()
    }
}

struct Prepared {
    ready: Ready,
    threads: usize,
    /// Channels of the input.
    channels: i64,
    input_last: bool,
    /// Which output it gives, and its size in the file.
    at: usize,
    size: Vec<i64>,
    output_last: bool,
}

impl Prepared {
    fn load(converted: Tflite, graph: &Graph, threads: usize) -> Result<Box<dyn Session>, EngineError> {
        let Tflite { file, input_last, output_last, output } = converted;
        let ready = Ready::load(&file, threads).map_err(refused)?;
        let named = format!("output_{output}");
        let at = ready.outputs().position(|name| name == named).ok_or_else(|| refused(format!("no {named}")))?;
        let each = graph.output_value().dims.iter().map(|d| i64::from(*d));
        let mut size: Vec<i64> = std::iter::once(-1).chain(each).collect();
        if output_last {
            size[1..].rotate_left(1);
        }
        let channels = graph.input().dims.first().map_or(1, |c| i64::from(*c));
        Ok(Box::new(Prepared { ready, threads, channels, input_last, at, size, output_last }))
    }
}

impl Session for Prepared {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        let images = match images.size()[..] {
            [b, 1, h, w] if self.channels > 1 => images.f_expand([b, self.channels, h, w], false).map_err(refused)?,
            _ if self.input_last => images.f_permute([0, 2, 3, 1]).map_err(refused)?,
            _ => images.shallow_clone(),
        };
        self.ready
            .fill(|place| match place.len() == images.numel() {
                true => images.f_copy_data(place, images.numel()).map_err(|e| e.to_string()),
                false => Err(format!("found images {:?}, expected {} numbers", images.size(), place.len())),
            })
            .map_err(refused)?;
        self.ready.run().map_err(refused)?;
        let bytes = self.ready.get(self.at).map_err(refused)?;
        let out = Tensor::f_from_data_size(&bytes, &[(bytes.len() / 4) as i64], tch::Kind::Float);
        let out = out.and_then(|t| t.f_reshape(&self.size[..])).map_err(refused)?;
        if self.output_last { out.f_permute([0, 3, 1, 2]).map_err(refused) } else { Ok(out) }
    }

    fn choices(&self) -> Vec<(String, String)> {
        let share = if self.ready.accelerated { "all operators" } else { "some operators" };
        vec![("threads".to_string(), self.threads.to_string()), ("XNNPACK".to_string(), share.to_string())]
    }
}
