//! A teacher: a network whose predictions another one learns.

use std::sync::Arc;

use mobilenas_space::families;
use mobilenas_task::{Distillation, Outputs};
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, Values, weights};
use tch::{CModule, Device, Kind, Tensor};

use crate::recipe::{self, DistillKind};
use crate::task_config::TaskConfig;
use crate::{TrainError, resized};

/// Where predictions come from.
#[derive(Debug)]
enum Source {
    /// A TorchScript program: images `[B, 3, H, W]` to logits `[B, classes]`.
    Script(CModule),
    /// A network of ours.
    Net(Box<Net>),
    /// A network of ours with a head.
    Head(Box<Net>),
}

/// A teacher with its way of teaching.
#[derive(Debug)]
pub struct Teacher {
    name: String,
    source: Source,
    /// Side of its images; theirs if it takes any.
    side: Option<u32>,
    classes: i64,
    how: recipe::DistillConfig,
}

impl Teacher {
    /// Reads a TorchScript file.
    ///
    /// # Errors
    /// When there is none that libtorch can load.
    pub fn script(
        how: &recipe::DistillConfig,
        file: &std::path::Path,
        classes: u32,
        device: Device,
    ) -> Result<Teacher, TrainError> {
        let name = file.display().to_string();
        let mut module = CModule::load_on_device(file, device).map_err(|e| TrainError::Teacher {
            teacher: name.clone(),
            found: e.to_string().lines().next().unwrap_or_default().to_string(),
            expected: "a TorchScript file".to_string(),
        })?;
        module.f_set_eval().map_err(TrainError::torch)?;
        let (source, side) = (Source::Script(module), how.resolution);
        Ok(Teacher { name, source, side, classes: classes.into(), how: how.clone() })
    }

    /// A network of ours.
    pub fn net(how: &recipe::DistillConfig, name: &str, net: Net, classes: u32) -> Teacher {
        let side = Some(net.graph().input().dims[1]);
        let (name, source) = (name.to_string(), Source::Net(Box::new(net)));
        Teacher { name, source, side, classes: classes.into(), how: how.clone() }
    }

    /// A network of ours with a head: what learns from it has outputs that can be compared with all of its.
    fn head(how: &recipe::DistillConfig, name: &str, net: Net, classes: u32) -> Teacher {
        let side = Some(net.graph().input().dims[1]);
        let (name, source) = (name.to_string(), Source::Head(Box::new(net)));
        Teacher { name, source, side, classes: classes.into(), how: how.clone() }
    }

    /// Whether it has a head: then it teaches all outputs of a network, not the last classifier alone.
    pub fn has_head(&self) -> bool {
        matches!(self.source, Source::Head(_))
    }

    /// Share of its loss in the whole.
    pub fn share(&self) -> f64 {
        self.how.alpha
    }

    /// Its outputs for images.
    ///
    /// # Errors
    /// When it refuses them, or gives another number of classes.
    pub fn outputs(&self, images: &Tensor) -> Result<Outputs, TrainError> {
        let _guard = tch::no_grad_guard();
        let images = self.side.map_or_else(|| Ok(images.shallow_clone()), |side| resized(images, side))?;
        let logits = match &self.source {
            Source::Head(net) => {
                let heads = net.heads(&images, Mode::Eval)?;
                let heads = heads.iter().map(|h| h.f_to_kind(Kind::Float)).collect::<Result<_, _>>();
                return Ok(Outputs::of(net.graph(), heads.map_err(TrainError::torch)?));
            }
            Source::Net(net) => net.forward(&images, Mode::Eval)?,
            Source::Script(module) => {
                let size = images.size();
                let rgb = images.f_expand([size[0], 3, size[2], size[3]], false).map_err(TrainError::torch)?;
                module.forward_ts(&[rgb]).map_err(|e| self.wrong(e.to_string().lines().next().unwrap_or_default()))?
            }
        };
        match logits.size()[..] {
            [_, n] if n == self.classes => logits.f_to_kind(Kind::Float).map(Outputs::one).map_err(TrainError::torch),
            _ => Err(self.wrong(&format!("gives {:?}", logits.size()))),
        }
    }

    fn wrong(&self, found: &str) -> TrainError {
        TrainError::Teacher {
            teacher: self.name.clone(),
            found: found.to_string(),
            expected: format!("logits [images, {}] of images [images, 3, side, side]", self.classes),
        }
    }

    /// How it teaches: its likeliest class, or all classes at a temperature.
    pub fn rule(&self) -> Distillation {
        match self.how.kind {
            DistillKind::Hard => Distillation::Hard,
            DistillKind::Soft => Distillation::Soft { temperature: self.how.temperature },
        }
    }
}

/// The teacher that a recipe names, if any, of networks with a task's head for so many classes, on images of a side.
///
/// # Errors
/// When its file cannot be used.
pub fn teacher(
    recipe: &recipe::Recipe,
    (task, classes, side): (&TaskConfig, u32, u32),
    device: Device,
) -> Result<Option<Teacher>, TrainError> {
    let Some(how) = &recipe.distill else { return Ok(None) };
    if let Some(file) = &how.torchscript {
        return Teacher::script(how, file, classes, device).map(Some);
    }
    let (name, file) = (how.model.clone().unwrap_or_default(), how.weights.clone().unwrap_or_default());
    let wrong = |found: String, expected: &str| TrainError::Teacher {
        teacher: name.clone(),
        found,
        expected: expected.to_string(),
    };
    let (family, info) = families::variant(&name)
        .ok_or_else(|| wrong("no such network".to_string(), "a published network (`mobilenas models` lists them)"))?;
    let template =
        family.template(&name).ok_or_else(|| wrong("no configuration".to_string(), "a published network"))?;
    let change = task.of_teacher(how.head.as_ref()).change(classes, false);
    let side = how.resolution.unwrap_or(if change.is_some() { side } else { info.resolution });
    let plan = template.plan(&template.values(), side, classes)?;
    let plan = match &change {
        Some(change) => change.apply(plan, &[])?,
        None => plan,
    };
    let graph = Arc::new(plan.lower()?);
    let mut store = ParamStore::with(&graph, Names::Standalone, Values::Zero, device)?;
    let (named, _) = weights::load(&file).map_err(|e| wrong(e.to_string(), "its own weights"))?;
    store.fill(&named).map_err(|e| wrong(format!("{}: {e}", file.display()), "its own weights"))?;
    let net = Net::bind(graph, &Owned(&store))?;
    let made = if change.is_some() { Teacher::head } else { Teacher::net };
    Ok(Some(made(how, &name, net, classes)))
}
