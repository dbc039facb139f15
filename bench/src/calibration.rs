//! Fixed work that shows changes of the machine's own speed.

use mobilenas_torch::NetError;
use tch::{Device, Kind, Tensor};

use crate::engine::EngineError;

/// The calibration kernel: fixed work through the same libtorch, part arithmetic, part memory. About a millisecond.
///
/// It writes where it wrote before: memory that is taken anew costs page faults or none, as what ran in between has
/// left the allocator, and that is not the machine's speed.
pub struct CalibrationKernel {
    a: Tensor,
    b: Tensor,
    product: Tensor,
    small: Tensor,
    small_sum: Tensor,
    stream: Tensor,
    sum: Tensor,
}

/// Which work it is. Times calibrated by another one are not comparable.
pub const VERSION: u32 = 2;

/// Runs before the first that counts: libtorch chooses its kernels, and every page is touched.
const WARM: usize = 3;

fn torch(e: tch::TchError) -> EngineError {
    EngineError::Net(NetError::Torch { at: "calibration kernel".into(), message: e.to_string() })
}

impl CalibrationKernel {
    /// Makes its tensors.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new() -> Result<CalibrationKernel, EngineError> {
        let filled = |n: i64| {
            Tensor::f_linspace(-1.0, 1.0, n * n, (Kind::Float, Device::Cpu))
                .and_then(|t| t.f_view([n, n]))
                .map_err(torch)
        };
        let mut kernel = CalibrationKernel {
            a: filled(256)?,
            b: filled(256)?,
            product: filled(256)?,
            small: filled(128)?,
            small_sum: filled(128)?,
            stream: filled(1024)?,
            sum: filled(1024)?,
        };
        for _ in 0..WARM {
            kernel.run()?;
        }
        Ok(kernel)
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn run(&mut self) -> Result<(), EngineError> {
        let _guard = tch::no_grad_guard();
        let _ = self.a.f_matmul_out(&self.product, &self.b).map_err(torch)?;
        let _ = self.stream.f_add_out(&self.sum, &self.stream).map_err(torch)?;
        Ok(())
    }

    /// Runs units of small work, some microseconds each: sums, since products in wide registers may lower the core's
    /// clock for what runs after them.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn units(&mut self, n: u32) -> Result<(), EngineError> {
        let _guard = tch::no_grad_guard();
        for _ in 0..n {
            let _ = self.small.f_add_out(&self.small_sum, &self.small).map_err(torch)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Memory taken anew would cost page faults or none, as the allocator was left.
    #[test]
    fn it_writes_where_it_wrote_before() {
        let mut kernel = CalibrationKernel::new().unwrap();
        let places = |k: &CalibrationKernel| [&k.product, &k.sum, &k.small_sum].map(|t| t.data_ptr());
        let before = places(&kernel);
        let _ = kernel.sum.fill_(0.0);
        let _ = kernel.product.fill_(0.0);
        kernel.run().unwrap();
        kernel.units(2).unwrap();
        assert_eq!(places(&kernel), before);
        assert_eq!(kernel.sum, &kernel.stream * 2.0);
        assert_eq!(kernel.product, kernel.a.matmul(&kernel.b));
        assert_eq!(kernel.small_sum, &kernel.small * 2.0);
    }
}
