//! TorchScript: the network traced, frozen and optimised for inference by libtorch's own passes.

use mobilenas_native::ScriptModule;
use mobilenas_torch::{Mode, Net, NetError};
use tch::{CModule, Tensor};

use super::{Engine, EngineError, Session, Setting, blank, libtorch, watched};

const NAME: &str = "torchscript";

/// What a PyTorch user deploys: `torch.jit.trace`, `freeze`, `optimize_for_inference`.
#[derive(Clone, Copy, Debug)]
pub struct TorchScript;

fn refused(e: impl std::fmt::Display) -> EngineError {
    EngineError::Engine { engine: NAME, message: e.to_string() }
}

impl Engine for TorchScript {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        libtorch::VERSION.to_string()
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        tch::set_num_threads(setting.threads as i32);
        let module = trace(&net.freeze()?, setting.batch)?;
        // A loaded module owns its tensors, so the passes may change them.
        let folder = tempfile::tempdir().map_err(refused)?;
        let file = folder.path().join("net.pt");
        module.save(&file).map_err(refused)?;
        Ok(Box::new(Scripted(ScriptModule::load(&file, true).map_err(refused)?)))
    }
}

/// Traces a network.
fn trace(net: &Net, batch: usize) -> Result<CModule, EngineError> {
    let _guard = tch::no_grad_guard();
    let mut failed: Option<NetError> = None;
    let mut record = |images: &[Tensor]| match net.forward(&images[0], Mode::Eval) {
        Ok(logits) => vec![logits],
        Err(e) => {
            failed = Some(e);
            // The trace is thrown away, but has to end.
            vec![images[0].shallow_clone()]
        }
    };
    let module = CModule::create_by_tracing("Net", "forward", &[blank(net, batch)?], &mut record);
    match failed {
        Some(e) => Err(e.into()),
        None => module.map_err(refused),
    }
}

struct Scripted(ScriptModule);

impl Session for Scripted {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        let _guard = tch::no_grad_guard();
        self.0.run(images).map_err(refused)
    }

    fn peak_bytes(&mut self, images: &Tensor) -> Result<Option<u64>, EngineError> {
        watched(|| self.run(images))
    }
}
