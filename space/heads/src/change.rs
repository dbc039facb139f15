//! A head as what changes the networks of a space, with the knobs that a space may have of it.

use mobilenas_space::families::KnobKind;
use mobilenas_space::ir::{Plan, ShapeError};
use mobilenas_space::{ChangeKnob, PlanChange};

use super::head::{Head, HeadOptions};
use super::registry::attach;

/// A head for all networks of a space.
#[derive(Clone, Debug)]
pub struct WithHead {
    /// The head.
    pub head: &'static dyn Head,
    /// How it is made where the space has no knob for it.
    pub options: HeadOptions,
}

/// The last part of a knob's name: the head's channels.
pub(crate) const WIDTH: &str = "width";

/// The last part of a knob's name: the output stride.
pub(crate) const OUTPUT_STRIDE: &str = "output_stride";

impl PlanChange for WithHead {
    fn name(&self) -> &'static str {
        self.head.name()
    }

    /// `HEAD.width` and, of a head with several output strides, `HEAD.output_stride`.
    fn knobs(&self) -> Vec<ChangeKnob> {
        let named = |last: &str| format!("{}.{last}", self.head.name());
        let (own, needs) = (self.options.width.unwrap_or(self.head.width()), self.head.needs());
        let width = ChangeKnob { name: named(WIDTH), kind: KnobKind::Width, own, among: &[] };
        let stride = self.options.output_stride.or(needs.output_stride).map(|own| ChangeKnob {
            name: named(OUTPUT_STRIDE),
            kind: KnobKind::OutputStride,
            own,
            among: needs.output_strides,
        });
        [Some(width), stride].into_iter().flatten().collect()
    }

    fn apply(&self, plan: Plan, values: &[Option<u32>]) -> Result<Plan, ShapeError> {
        let value = |i: usize| values.get(i).copied().flatten();
        let options = HeadOptions {
            width: value(0).or(self.options.width),
            output_stride: value(1).or(self.options.output_stride),
            ..self.options.clone()
        };
        attach(self.head, plan, &options)
    }
}

/// The head whose knob has this name.
pub fn head_of_knob(name: &str) -> Option<&'static dyn Head> {
    let (head, last) = name.split_once('.')?;
    super::registry::head(head)
        .filter(|h| last == WIDTH || (last == OUTPUT_STRIDE && !h.needs().output_strides.is_empty()))
}
