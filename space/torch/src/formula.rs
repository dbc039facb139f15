//! Weights and images by a formula from names alone: the same on every machine, without a download.

use mobilenas_space::families;
pub use mobilenas_space::formula::{noise, values};
use mobilenas_space::ir::{ParamSpec, Role};
use tch::{Device, Kind, Tensor};

use crate::error::{NetError, torch};
use crate::params::Params;
use crate::store::index_tensor;

/// Images `[n, 3, side, side]` in the range of normalised pixels.
///
/// # Errors
/// When libtorch fails.
pub fn images(n: usize, side: u32) -> Result<Tensor, NetError> {
    let side = side as usize;
    let pixels: Vec<f32> = noise("input", n * 3 * side * side).map(|v| (1.7 * v) as f32).collect();
    let size = [n as i64, 3, side as i64, side as i64];
    Tensor::f_from_slice(&pixels).and_then(|t| t.f_view(size)).map_err(torch("images"))
}

/// The tensors of a stand-alone network by the formula.
#[derive(Clone, Copy, Debug)]
pub struct Formula {
    /// Multiplies the weights of convolutions and linear layers, in float32.
    pub gain: f64,
}

impl Formula {
    /// With a gain of 1.
    pub const PLAIN: Formula = Formula { gain: 1.0 };

    /// With the gain of a published network's family.
    pub fn of(model: &str) -> Formula {
        families::variant(model).map_or(Formula::PLAIN, |(family, _)| Formula { gain: family.formula_gain() })
    }
}

impl Params for Formula {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let shape = p.shape();
        let made = match p.role {
            Role::Index => return index_tensor(p),
            Role::Counter => Tensor::f_zeros(shape, (Kind::Int64, Device::Cpu)),
            Role::Weight | Role::Bias | Role::Norm | Role::Table | Role::Statistic => {
                let gain = if p.name.ends_with("weight") && shape.len() > 1 { self.gain } else { 1.0 };
                Tensor::f_from_slice(&values(&p.name, &shape)).and_then(|t| t.f_reshape(&shape)?.f_mul_scalar(gain))
            }
        };
        made.map_err(torch(&p.name))
    }
}
