//! The libtorch engine: a frozen network on the processor.

use mobilenas_torch::{Mode, Net, NetError};
use tch::{Device, Kind, Tensor};

use crate::clock::Clock;
use crate::protocol::{Protocol, Samples, measure};

/// The engine's name in records.
pub const NAME: &str = "libtorch";

/// Version of the libtorch that the program was built for.
pub const VERSION: &str = "2.11.0";

/// Times a network as it is deployed: batch norms folded, no gradients, `threads` intra-op threads, on one batch of
/// images of zeros. The number of threads of before is restored.
///
/// # Errors
/// When libtorch refuses.
pub fn latency(
    net: &Net,
    batch: usize,
    threads: usize,
    clock: &dyn Clock,
    protocol: &Protocol,
) -> Result<Samples, NetError> {
    let _guard = tch::no_grad_guard();
    let frozen = net.freeze()?;
    let size: Vec<i64> =
        std::iter::once(batch as i64).chain(net.graph().input().dims.iter().map(|d| i64::from(*d))).collect();
    let images = Tensor::f_zeros(&size, (Kind::Float, Device::Cpu))
        .map_err(|e| NetError::Torch { at: "images".into(), message: e.to_string() })?;
    let before = tch::get_num_threads();
    tch::set_num_threads(threads as i32);
    let samples = measure(clock, protocol, || frozen.forward(&images, Mode::Eval).map(drop));
    tch::set_num_threads(before);
    samples
}
