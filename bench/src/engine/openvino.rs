//! OpenVINO: runs the ONNX file that the program exports, on the CPU in float32. The library is loaded on first use from
//! the path in the environment variable [`LIBRARY`].

use mobilenas_file::openvino::{self, Loaded, Ready, in_words};
use mobilenas_onnx::{Batch, Options};
use mobilenas_torch::Net;
use mobilenas_torch::onnx::to_onnx;
use tch::Tensor;

use super::{Engine, EngineError, Session, Setting};

pub use mobilenas_file::openvino::LIBRARY;

/// Batch norms folded, float32, all of OpenVINO's optimisations.
#[derive(Clone, Copy, Debug)]
pub struct OpenVino;

const NAME: &str = "openvino";

fn refused(message: impl std::fmt::Display) -> EngineError {
    EngineError::Engine { engine: NAME, message: message.to_string() }
}

impl Engine for OpenVino {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        openvino::version()
    }

    fn channels_last(&self) -> bool {
        false
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        let options = Options { batch: Batch::Fixed(setting.batch as u32), ..Options::default() };
        let bytes = to_onnx(&net.freeze()?, &options)?;
        let ready = Loaded::of_onnx(&bytes).and_then(|l| l.compile(setting.threads)).map_err(refused)?;
        Ok(Box::new(Prepared { ready, channels: net.graph().input().dims.first().map_or(1, |c| i64::from(*c)) }))
    }
}

struct Prepared {
    ready: Ready,
    channels: i64,
}

impl Session for Prepared {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        let images = match images.size()[..] {
            [b, 1, h, w] if self.channels > 1 => images.f_expand([b, self.channels, h, w], false).map_err(refused)?,
            _ => images.shallow_clone(),
        };
        let request = &mut self.ready.request;
        let mut input = request.get_input_tensor().map_err(in_words).map_err(refused)?;
        let (fits, size) = (input.get_shape().map_err(in_words).map_err(refused)?, images.size());
        if fits.get_dimensions() != size {
            return Err(refused(format!("found images {size:?}, expected {:?}", fits.get_dimensions())));
        }
        let place = input.get_data_mut::<f32>().map_err(in_words).map_err(refused)?;
        images.f_copy_data(place, images.numel()).map_err(refused)?;
        request.infer().map_err(in_words).map_err(refused)?;
        let output = request.get_output_tensor().map_err(in_words).map_err(refused)?;
        let shape = output.get_shape().map_err(in_words).map_err(refused)?;
        let values = output.get_data::<f32>().map_err(in_words).map_err(refused)?;
        Tensor::f_from_slice(values).and_then(|t| t.f_reshape(shape.get_dimensions())).map_err(refused)
    }

    fn choices(&self) -> Vec<(String, String)> {
        vec![("threads".to_string(), self.ready.threads.to_string())]
    }
}
