//! What turns gradients into steps, over a store's flat tensor.

mod adamw;
mod clip;
mod sgd;

use std::collections::BTreeMap;

use mobilenas_torch::ParamStore;
use tch::Tensor;

use self::adamw::AdamW;
use self::sgd::Sgd;
use super::TrainError;
use crate::collective::Collective;
use crate::recipe;

/// An optimizer with its state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    decay: f64,
    /// Elements at the front of the flat tensor that decay.
    decayed: i64,
    clip: recipe::ClipConfig,
}

#[derive(Debug)]
enum Rule {
    AdamW(AdamW),
    Sgd(Sgd),
}

impl Optimizer {
    /// An optimizer at step 0.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(store: &ParamStore, recipe: &recipe::Recipe) -> Result<Optimizer, TrainError> {
        let rule = match &recipe.optimizer.sgd {
            Some(sgd) => Rule::Sgd(Sgd::new(store, sgd)?),
            None => Rule::AdamW(AdamW::new(store, &recipe.optimizer.adamw.clone().unwrap_or_default())?),
        };
        let decayed = if recipe.decay_all { store.flat().size()[0] } else { store.decayed() };
        Ok(Optimizer { rule, decay: recipe.weight_decay, decayed, clip: recipe.clip.clone() })
    }

    /// Clips the store's gradients, then takes one step. Gives their norm before clipping.
    ///
    /// # Errors
    /// When libtorch refuses, or the norm is no finite number: then nothing has changed.
    pub fn step(&mut self, store: &mut ParamStore, lr: f64) -> Result<f64, TrainError> {
        let grad = store.flat_grad()?;
        self.step_along(store, grad, lr)
    }

    /// The same along gradients that are laid out as the store's flat tensor.
    ///
    /// # Errors
    /// As for [`Optimizer::step`].
    pub fn step_along(&mut self, store: &mut ParamStore, grad: Tensor, lr: f64) -> Result<f64, TrainError> {
        let _guard = tch::no_grad_guard();
        let norm = f64::try_from(grad.f_norm().map_err(TrainError::torch)?).map_err(TrainError::torch)?;
        if !norm.is_finite() {
            return Err(TrainError::NotFinite { what: "the gradient's norm".into(), value: norm });
        }
        let grad = clip::clip(&self.clip, store, grad, norm).map_err(TrainError::torch)?;
        let mut flat = store.flat().shallow_clone();
        let mut update = || {
            let _ = flat.f_narrow(0, 0, self.decayed)?.f_mul_scalar_(1.0 - lr * self.decay)?;
            let move_by = match &mut self.rule {
                Rule::AdamW(a) => a.step(&grad, lr)?,
                Rule::Sgd(s) => s.step(&grad, lr)?,
            };
            flat.f_add_(&move_by).map(drop)
        };
        update().map_err(TrainError::torch)?;
        Ok(norm)
    }

    /// Makes the state that of rank 0.
    ///
    /// # Errors
    /// When a rank is gone.
    pub(crate) fn broadcast(&mut self, collective: &dyn Collective) -> Result<(), TrainError> {
        for (_, tensor) in self.tensors() {
            collective.broadcast(tensor)?;
        }
        let steps = Tensor::from_slice(&[self.steps()]);
        collective.broadcast(&steps)?;
        self.set_steps(i64::try_from(&steps).map_err(TrainError::torch)?);
        Ok(())
    }

    fn set_steps(&mut self, steps: i64) {
        match &mut self.rule {
            Rule::AdamW(a) => a.steps = steps,
            Rule::Sgd(s) => s.steps = steps,
        }
    }

    fn tensors(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        match &mut self.rule {
            Rule::AdamW(a) => vec![("optimizer.mean", &mut a.mean), ("optimizer.square", &mut a.square)],
            Rule::Sgd(s) => vec![("optimizer.momentum", &mut s.velocity)],
        }
    }

    /// The optimizer's tensors, for a checkpoint.
    pub fn state(&mut self) -> BTreeMap<String, Tensor> {
        let steps = Tensor::from(self.steps());
        let mut all: BTreeMap<String, Tensor> =
            self.tensors().into_iter().map(|(name, t)| (name.to_string(), t.shallow_clone())).collect();
        all.insert("optimizer.steps".to_string(), steps);
        all
    }

    fn steps(&self) -> i64 {
        match &self.rule {
            Rule::AdamW(a) => a.steps,
            Rule::Sgd(s) => s.steps,
        }
    }

    /// Takes the optimizer's tensors out of a checkpoint's.
    ///
    /// # Errors
    /// When one is missing or misshapen.
    pub fn restore(&mut self, named: &mut BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        for (name, into) in self.tensors() {
            take(named, name, into)?;
        }
        let steps = named.remove("optimizer.steps");
        let steps = steps.ok_or_else(|| TrainError::checkpoint("optimizer.steps", "is missing"))?;
        self.set_steps(i64::try_from(steps).map_err(TrainError::torch)?);
        Ok(())
    }
}

/// Moves a tensor out of a checkpoint's into one of the same size.
pub(super) fn take(named: &mut BTreeMap<String, Tensor>, name: &str, into: &mut Tensor) -> Result<(), TrainError> {
    let from = named.remove(name).ok_or_else(|| TrainError::checkpoint(name, "is missing"))?;
    if from.size() != into.size() {
        return Err(TrainError::checkpoint(name, "has another size"));
    }
    tch::no_grad(|| into.f_copy_(&from)).map_err(TrainError::torch)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mobilenas_space::families;
    use mobilenas_torch::{Names, Net, Owned};
    use tch::{Device, Kind};

    use super::*;
    use crate::TrainStep as _;
    use crate::single_net::{Objective, SingleNet};
    use crate::trainer::StepAt;
    use mobilenas_task::{Batch, Classification, Targets, Task as _};

    fn small() -> (ParamStore, Net) {
        let (family, _) = families::variant("mobilenetv2_100").unwrap();
        let template = family.template("mobilenetv2_100").unwrap();
        let graph = Arc::new(template.plan(&template.values(), 32, 4).unwrap().lower().unwrap());
        let store = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap();
        let net = Net::bind(graph, &Owned(&store)).unwrap();
        (store, net)
    }

    fn gradients(store: &mut ParamStore, net: &Net, scale: f64) {
        let images = Tensor::arange(4 * 32 * 32, (Kind::Float, Device::Cpu)).sin().view([4, 1, 32, 32]) * scale;
        let batch = Batch { images, targets: Targets::classes(&[0, 1, 2, 3]).unwrap() };
        store.zero_grad();
        let objective = Objective { task: &Classification, label_smoothing: 0.0, teacher: None };
        let at = StepAt { batch: 0, share: 1.0 };
        drop(SingleNet { net, objective }.step(store, &batch, at, Classification.meter().as_mut()).unwrap());
    }

    fn recipe(change: impl FnOnce(&mut recipe::Recipe)) -> recipe::Recipe {
        let mut r = recipe::Recipe { clip: recipe::ClipConfig::default(), ..recipe::Recipe::default() };
        change(&mut r);
        r
    }

    #[test]
    fn a_gradient_that_is_no_number_changes_nothing() {
        let (mut store, net) = small();
        let mut optimizer = Optimizer::new(&store, &recipe(|_| {})).unwrap();
        let before = store.flat().copy();
        gradients(&mut store, &net, f64::NAN);
        let error = optimizer.step(&mut store, 1e-3).unwrap_err().to_string();
        assert!(error.starts_with("the gradient's norm is NaN"), "{error}");
        assert!(store.flat().equal(&before));
    }

    /// Steps of libtorch's own optimizer on the same gradients, by the formulas of PyTorch's documentation, in double.
    fn by_hand(w: &Tensor, grads: &[Tensor], lr: f64, decay: f64, rule: &str) -> Tensor {
        let double = |t: &Tensor| t.to_kind(Kind::Double);
        let (mut w, mut m, mut v) = (double(w), double(w) * 0.0, double(w) * 0.0);
        for (t, g) in (1..).zip(grads) {
            let g = double(g);
            w = &w * (1.0 - lr * decay);
            w = match rule {
                "adamw" => {
                    m = &m * 0.9 + &g * 0.1;
                    v = &v * 0.999 + &g * &g * 0.001;
                    let (a, b) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
                    &w - (&m / a) / ((&v / b).sqrt() + 1e-8) * lr
                }
                "nesterov" => {
                    m = &m * 0.9 + &g;
                    &w - (&g + &m * 0.9) * lr
                }
                _ => {
                    m = &m * 0.9 + &g;
                    &w - &m * lr
                }
            };
        }
        w
    }

    #[test]
    fn steps_are_those_of_the_formulas() {
        for rule in ["adamw", "sgd", "nesterov"] {
            let (mut store, net) = small();
            let chosen = recipe(|r| {
                r.decay_all = true;
                r.weight_decay = 0.1;
                if rule != "adamw" {
                    r.optimizer.sgd = Some(recipe::SgdConfig { momentum: 0.9, nesterov: rule == "nesterov" });
                }
            });
            let mut optimizer = Optimizer::new(&store, &chosen).unwrap();
            let (begin, mut grads) = (store.flat().copy(), Vec::new());
            for i in 0..3 {
                gradients(&mut store, &net, 1.0 + f64::from(i));
                grads.push(store.flat_grad().unwrap().copy());
                optimizer.step(&mut store, 0.01).unwrap();
            }
            let expected = by_hand(&begin, &grads, 0.01, 0.1, rule);
            let off = (store.flat().to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
            let moved = (&expected - begin.to_kind(Kind::Double)).abs().max().double_value(&[]);
            assert!(off < 1e-5 * moved.max(1.0), "{rule}: {off} off after moves of {moved}");
        }
    }

    #[test]
    fn decay_reaches_weights_alone_unless_told_otherwise() {
        for all in [false, true] {
            let (mut store, net) = small();
            let mut optimizer = Optimizer::new(
                &store,
                &recipe(|r| {
                    r.decay_all = all;
                    r.weight_decay = 1.0;
                    r.optimizer.sgd = Some(recipe::SgdConfig { momentum: 0.0, nesterov: false });
                }),
            )
            .unwrap();
            gradients(&mut store, &net, 1.0);
            // Nothing but decay is left of the step.
            store.zero_grad();
            let norm = store.entry("bn1.weight").unwrap().tensor.copy();
            let weight = store.entry("conv_stem.weight").unwrap().tensor.copy();
            optimizer.step(&mut store, 0.5).unwrap();
            assert!(store.entry("conv_stem.weight").unwrap().tensor.allclose(&(weight * 0.5), 1e-6, 0.0, false));
            let factor = if all { 0.5 } else { 1.0 };
            assert!(store.entry("bn1.weight").unwrap().tensor.allclose(&(norm * factor), 1e-6, 0.0, false));
        }
    }

    #[test]
    fn clipping_bounds_what_it_says() {
        let (mut store, net) = small();
        gradients(&mut store, &net, 3.0);
        let grad = store.flat_grad().unwrap();
        let norm = grad.norm().double_value(&[]);
        let clipped = |clip: recipe::ClipConfig| clip::clip(&clip, &store, grad.copy(), norm).unwrap();
        let none = clipped(recipe::ClipConfig::default());
        assert!(none.equal(&grad));
        let by_norm = clipped(recipe::ClipConfig { norm: Some(norm / 4.0), ..recipe::ClipConfig::default() });
        assert!(by_norm.allclose(&(&grad / 4.0), 1e-4, 0.0, false));
        let by_value = clipped(recipe::ClipConfig { value: Some(1e-3), ..recipe::ClipConfig::default() });
        assert!(by_value.equal(&grad.clamp(-1e-3, 1e-3)));
        // Unit by unit: a filter's gradient is at most a hundredth of the filter, the classifier's stays.
        let adaptive = clipped(recipe::ClipConfig { adaptive: Some(0.01), ..recipe::ClipConfig::default() });
        let part = |t: &Tensor, name: &str| {
            let (start, shape) = store.offset_and_shape(name).unwrap();
            t.narrow(0, start, shape.iter().product()).view(shape.as_slice())
        };
        assert!(part(&adaptive, "classifier.weight").equal(&part(&grad, "classifier.weight")));
        let unit = |t: &Tensor| t.norm_scalaropt_dim(2.0, [1, 2, 3], true);
        let (g, c) = (part(&grad, "conv_stem.weight"), part(&adaptive, "conv_stem.weight"));
        let most = unit(&store.entry("conv_stem.weight").unwrap().tensor).clamp_min(1e-3) * 0.01;
        assert!(bool::try_from(unit(&c).le_tensor(&(&most * 1.001)).all()).unwrap());
        let expected = &g * (&most / unit(&g)).clamp_max(1.0);
        assert!(c.allclose(&expected, 1e-4, 1e-9, false) && !c.equal(&g));
    }
}
