//! ConViT-Ti (d'Ascoli et al., 2021, arXiv 2103.10697) as a baseline.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ClassTokenHead, ConVit as Block, ConVitEmbed, LateToken};
use crate::ir::{InitStyle, Path, Plan, ShapeError};

pub(super) struct ConVit;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    dim: u32,
    /// Blocks with gated attention, before the class token.
    gated: u32,
    /// Blocks after it.
    depth: u32,
    heads: u32,
    /// Channels of one head.
    head_dim: u32,
    /// MLP channels over those of the rows.
    mlp: u32,
}

/// Side of a patch in pixels. It does not vary, since patch and position embeddings depend on it.
const PATCH: u32 = 16;

impl Spec for ConVit {
    type Cfg = Cfg;
    const NAME: &'static str = "convit";
    const CITE: &'static str = "ConViT, d'Ascoli et al. 2021, arXiv 2103.10697";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);

    fn variants() -> Vec<Variant<Cfg>> {
        let cfg = Cfg { dim: 192, gated: 10, depth: 2, heads: 4, head_dim: 48, mlp: 4 };
        // Accuracy of timm's results.
        let published = Published { top1: Some(73.14), ..Published::NONE };
        vec![Variant { id: "convit_tiny", resolution: 224, cfg, published }]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        vec![
            knob!(Cfg: "dim", Width, dim),
            knob!(Cfg: "gated", Depth, gated).also([6]),
            knob!(Cfg: "depth", Depth, depth).also([1]),
            knob!(Cfg: "heads", Heads, heads),
            knob!(Cfg: "head_dim", Width, head_dim),
            knob!(Cfg: "mlp", Expansion, mlp).also([2, 3]),
        ]
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        plan.push(root.clone(), ConVitEmbed { patch: PATCH, dim: cfg.dim });
        let side = resolution / PATCH;
        let block = |gated| Block { gated, heads: cfg.heads, head_dim: cfg.head_dim, expand: cfg.mlp };
        let blocks = root.at("blocks");
        for i in 0..cfg.gated {
            plan.push(blocks.at(i), block(Some((side, side))));
        }
        plan.push(root.clone(), LateToken);
        // The last blocks of all subnets share tensors, whatever the number of blocks before them.
        for i in 0..cfg.depth {
            plan.push_shared(blocks.at(cfg.gated + i), root.at("last").at(i), block(None));
        }
        plan.push(root, ClassTokenHead { eps_e7: 10, classes });
        Ok(plan)
    }
}
