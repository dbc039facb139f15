//! Heads on the command line: `--task detection --head ssdlite`.

use std::sync::Arc;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser};
use mobilenas_space::PlanChange;
use mobilenas_space::ir::{Graph, Plan, ShapeError};

use super::change::{OUTPUT_STRIDE, WIDTH, WithHead, head_of_knob};
use super::head::{Head, HeadOptions, Task};
use super::registry::{HEADS, attach, head};

/// Why there is no network with the head that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The head is for another task.
    #[error("--head {head}: a head for {is}, expected one for the task that --task says")]
    Task {
        /// Its name.
        head: &'static str,
        /// What it is for.
        is: &'static str,
    },
    /// A flag for a head, and no head.
    #[error("{flag}: no head, expected --task or --head beside it")]
    Missing {
        /// The flag.
        flag: &'static str,
    },
    /// The head does not fit the network.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// A head in place of a network's classifier.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Head")]
pub struct HeadArgs {
    /// What the network is for
    #[arg(long, value_enum)]
    task: Option<Purpose>,
    /// The head [default: the first of the task]
    #[arg(long, value_name = "HEAD", value_parser = names())]
    head: Option<String>,
    /// Pixels of the image from one position of the last feature map to the next; the backbone is dilated to it [default: the
    /// head's]
    #[arg(long, value_name = "PX")]
    output_stride: Option<u32>,
    /// Channels of the head: before its classifier or, of a detector, of its widest map [default: the head's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8192))]
    head_width: Option<u32>,
    /// Whether logits are resized to the image corner to corner [default: the head's]
    #[arg(long, value_name = "BOOL")]
    align_corners: Option<bool>,
    /// With the auxiliary head that training has a loss on
    #[arg(long)]
    auxiliary: bool,
    #[arg(skip)]
    small: bool,
}

/// What a network is for, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// A class for each image
    Classification,
    /// Boxes with scores
    Detection,
    /// A class for each pixel
    Segmentation,
}

impl Purpose {
    fn of(head: &dyn Head) -> Purpose {
        match head.task() {
            Task::Detection => Purpose::Detection,
            Task::Segmentation => Purpose::Segmentation,
        }
    }
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(HEADS.iter().map(|h| PossibleValue::new(h.name()).help(h.cite())))
}

impl HeadArgs {
    /// The head that is asked for; none for a classifier.
    ///
    /// # Errors
    /// When head and task do not go together, or there is a flag for a head and no head.
    pub fn head(&self) -> Result<Option<&'static dyn Head>, HeadError> {
        let named = self.head.as_deref().and_then(head);
        let first = |task| HEADS.iter().copied().find(|h| Purpose::of(*h) == task);
        let head = named.or_else(|| self.task.and_then(first));
        match (head, self.task) {
            (Some(head), Some(task)) if Purpose::of(head) != task => {
                Err(HeadError::Task { head: head.name(), is: head.task().name() })
            }
            (None, _) => self.given().map_or(Ok(None), |flag| Err(HeadError::Missing { flag })),
            (head, _) => Ok(head),
        }
    }

    /// A flag that only heads have.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--output-stride", self.output_stride.is_some()),
            ("--head-width", self.head_width.is_some()),
            ("--align-corners", self.align_corners.is_some()),
            ("--auxiliary", self.auxiliary),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// What gives networks for so many classes the head that is asked for; none for a classifier.
    ///
    /// # Errors
    /// Those of [`HeadArgs::head`].
    pub fn change(&self, classes: u32) -> Result<Option<Arc<dyn PlanChange>>, HeadError> {
        let with = |head| Arc::new(WithHead { head, options: self.options(classes) }) as Arc<dyn PlanChange>;
        Ok(self.head()?.map(with))
    }

    /// A flag that says the same as one of these knobs of a genome, and that knob.
    pub fn beside<'a>(&self, knobs: impl Iterator<Item = &'a str>) -> Option<(&'static str, &'a str)> {
        let flags = [
            ("--head-width", WIDTH, self.head_width.is_some()),
            ("--output-stride", OUTPUT_STRIDE, self.output_stride.is_some()),
        ];
        let of = |knob: &'a str| {
            head_of_knob(knob)?;
            let said = flags.iter().find(|(_, last, given)| *given && knob.ends_with(last));
            said.map(|(flag, ..)| (*flag, knob))
        };
        knobs.into_iter().find_map(of)
    }

    /// The graph of a network, with the head that is asked for. `plan` makes the classifier's for a resolution, if one is given,
    /// and a number of classes.
    ///
    /// # Errors
    /// Those of [`HeadArgs::head`] and of `plan`, and when the head does not fit.
    pub fn graph<E: From<HeadError>>(
        &self,
        resolution: Option<u32>,
        classes: Option<u32>,
        plan: impl FnOnce(Option<u32>, u32) -> Result<Plan, E>,
    ) -> Result<Graph, E> {
        let Some(head) = self.head()? else {
            return Ok(plan(resolution, classes.unwrap_or(1000))?.lower().map_err(HeadError::from)?);
        };
        let backbone = plan(Some(resolution.unwrap_or(head.resolution())), 1)?;
        let options = self.options(classes.unwrap_or(head.classes()));
        Ok(attach(head, backbone, &options).and_then(|p| p.lower()).map_err(HeadError::from)?)
    }

    /// How the head is made for so many classes; of a detector, with the background.
    pub fn options(&self, classes: u32) -> HeadOptions {
        HeadOptions {
            output_stride: self.output_stride,
            width: self.head_width,
            align_corners: self.align_corners,
            auxiliary: self.auxiliary,
            upsample: !self.small,
            ..HeadOptions::new(classes)
        }
    }

    /// The same head whose logits are not resized to the image: they are to something else.
    pub fn small(&self) -> HeadArgs {
        HeadArgs { small: true, ..self.clone() }
    }

    /// What the network is called.
    pub fn title(&self, name: &str) -> String {
        match self.head() {
            Ok(Some(head)) => format!("{name} with {}", head.name()),
            _ => name.to_string(),
        }
    }
}
