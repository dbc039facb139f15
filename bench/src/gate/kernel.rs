//! Fixed work by which the machine's own speed is seen.

use mobilenas_torch::NetError;
use tch::{Device, Kind, Tensor};

use super::GateError;

/// The calibration kernel: fixed work through the same libtorch, part arithmetic, part memory. Some milliseconds.
pub struct Kernel {
    a: Tensor,
    b: Tensor,
    small: Tensor,
    stream: Tensor,
}

fn torch(e: tch::TchError) -> GateError {
    GateError::Net(NetError::Torch { at: "calibration kernel".into(), message: e.to_string() })
}

impl Kernel {
    /// Makes its tensors.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new() -> Result<Kernel, GateError> {
        let filled = |n: i64| {
            Tensor::f_linspace(-1.0, 1.0, n * n, (Kind::Float, Device::Cpu))
                .and_then(|t| t.f_view([n, n]))
                .map_err(torch)
        };
        Ok(Kernel { a: filled(256)?, b: filled(256)?, small: filled(64)?, stream: filled(1024)? })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn run(&mut self) -> Result<(), GateError> {
        let _guard = tch::no_grad_guard();
        let _product = self.a.f_matmul(&self.b).map_err(torch)?;
        let _sum = self.stream.f_add(&self.stream).map_err(torch)?;
        Ok(())
    }

    /// Runs units of small work, some ten microseconds each.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn units(&mut self, n: u32) -> Result<(), GateError> {
        let _guard = tch::no_grad_guard();
        for _ in 0..n {
            let _product = self.small.f_matmul(&self.small).map_err(torch)?;
        }
        Ok(())
    }
}
