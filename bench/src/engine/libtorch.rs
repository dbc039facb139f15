//! The libtorch engine: a frozen network on the processor.

use mobilenas_torch::{Mode, Net};
use tch::Tensor;

use super::{Engine, EngineError, Session, Setting};

/// The version of libtorch that the program was built for.
pub const VERSION: &str = "2.11.0";

/// Batch norms folded, no gradients, our graph run operation by operation.
#[derive(Clone, Copy, Debug)]
pub struct Libtorch;

impl Engine for Libtorch {
    fn name(&self) -> &'static str {
        "libtorch"
    }

    fn version(&self) -> String {
        VERSION.to_string()
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        tch::set_num_threads(setting.threads as i32);
        Ok(Box::new(Frozen(net.freeze()?)))
    }
}

struct Frozen(Net);

impl Session for Frozen {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        let _guard = tch::no_grad_guard();
        Ok(self.0.forward(images, Mode::Eval)?)
    }
}
