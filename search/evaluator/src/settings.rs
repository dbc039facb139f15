//! What configs say of evaluating.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Statistics of a subnet's batch norms in scoring: estimated for it from training images, or those that training left for
/// its widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Statistics {
    Recalibrated,
    Trained,
}

/// A number about an untrained network that is said to foretell its accuracy: flow through absolute weights (Tanaka et al.,
/// 2020), how differently images switch the activations (Mellor et al., 2021), or the norm of one batch's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Proxy {
    Synflow,
    Nwot,
    GradNorm,
}
