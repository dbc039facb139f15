//! libtorch on the CPU: the frozen network, tuned for this machine or plain.

use mobilenas_torch::{Mode, Net, TunedNet};
use tch::Tensor;

use super::kernel_timing::TimedSelector;
use super::{Engine, EngineError, Session, Setting, watched};

/// The version of libtorch that the program was built for.
pub const VERSION: &str = mobilenas_file::LIBTORCH;

/// Batch norms folded, no gradients; for each step of the graph the fastest of several kernels, chosen by timing them.
#[derive(Clone, Copy, Debug)]
pub struct Libtorch;

impl Engine for Libtorch {
    fn name(&self) -> &'static str {
        "libtorch"
    }

    fn version(&self) -> String {
        VERSION.to_string()
    }

    fn takes_several(&self) -> bool {
        true
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        tch::set_num_threads(setting.threads as i32);
        let tuned = TunedNet::new(&net.freeze()?, setting.batch, &mut TimedSelector::new(setting.threads))?;
        Ok(Box::new(tuned))
    }
}

impl Session for TunedNet {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        Ok(self.forward(images)?)
    }

    fn run_block(&mut self, values: &[Tensor]) -> Result<Tensor, EngineError> {
        Ok(self.forward_all(values)?)
    }

    fn peak_bytes(&mut self, images: &Tensor) -> Result<Option<u64>, EngineError> {
        watched(|| self.run(images))
    }

    fn choices(&self) -> Vec<(String, String)> {
        TunedNet::choices(self).map(|c| (c.at.clone(), c.kernel.to_string())).collect()
    }
}

/// Batch norms folded, no gradients; the graph run operation by operation, as in training.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Engine for Plain {
    fn name(&self) -> &'static str {
        "libtorch-plain"
    }

    fn version(&self) -> String {
        VERSION.to_string()
    }

    fn takes_several(&self) -> bool {
        true
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

    fn run_block(&mut self, values: &[Tensor]) -> Result<Tensor, EngineError> {
        let _guard = tch::no_grad_guard();
        Ok(self.0.forward_all(values, Mode::Eval)?)
    }

    fn peak_bytes(&mut self, images: &Tensor) -> Result<Option<u64>, EngineError> {
        watched(|| self.run(images))
    }
}
