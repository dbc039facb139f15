//! What may change all networks of a space alike: what gives them a head, say.

use std::fmt;

use crate::families::KnobKind;
use crate::ir::{Plan, ShapeError};
use crate::space_error::SpaceError;

/// What makes another network of a network: gives it a head, say.
pub trait PlanChange: fmt::Debug + Send + Sync {
    /// What messages call it.
    fn name(&self) -> &'static str;

    /// The knobs that a space of such networks may have beside those of the family.
    fn knobs(&self) -> Vec<ChangeKnob>;

    /// The other network. `values` has one for each knob; none for one that the space does not have.
    ///
    /// # Errors
    /// When the network cannot be changed so.
    fn apply(&self, plan: Plan, values: &[Option<u32>]) -> Result<Plan, ShapeError>;
}

/// A knob of a [`PlanChange`]. A space has it only if its configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeKnob {
    /// Its name. No family has one of that name.
    pub name: String,
    /// What its number means.
    pub kind: KnobKind,
    /// The number without such a knob.
    pub own: u32,
    /// The numbers that there are; those of its kind if none are listed.
    pub among: &'static [u32],
}

/// Why a space cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// Mistakes in the configuration of the space.
    Space(Vec<SpaceError>),
    /// The smallest or the largest network has no such form.
    Unfit(ShapeError),
}
