//! DeiT (Touvron et al., 2021, arXiv 2012.12877), the plain vision transformer as a baseline: Tiny and Small.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ClassTokenHead, PatchEmbed, TransformerLayer};
use crate::ir::{ActFn, InitStyle, Path, Plan, ShapeError};

pub(super) struct Deit;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    dim: u32,
    depth: u32,
    heads: u32,
    /// Channels of one head.
    head_dim: u32,
    /// MLP channels over those of the rows.
    mlp: u32,
}

/// Side of a patch in pixels. It does not vary, since patch and position embeddings depend on it.
const PATCH: u32 = 16;

impl Spec for Deit {
    type Cfg = Cfg;
    const NAME: &'static str = "deit";
    const CITE: &'static str = "DeiT, Touvron et al. 2021, arXiv 2012.12877";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.9);

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, dim, heads, published| {
            let cfg = Cfg { dim, depth: 12, heads, head_dim: 64, mlp: 4 };
            Variant { id, resolution: 224, cfg, published }
        };
        vec![
            of("deit_tiny_patch16_224", 192, 3, Published::all(72.2, 5.7, 1.3)),
            of("deit_small_patch16_224", 384, 6, Published::all(79.8, 22.1, 4.6)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        vec![
            knob!(Cfg: "dim", Width, dim).also([128, 160]),
            knob!(Cfg: "depth", Depth, depth).also(1..=12),
            knob!(Cfg: "heads", Heads, heads).also([2]),
            knob!(Cfg: "head_dim", Width, head_dim),
            knob!(Cfg: "mlp", Expansion, mlp).also([2, 3]),
        ]
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let eps_e7 = 10;
        let mut plan = Plan::of_image(resolution, InitStyle::Former);
        let root = Path::root();
        plan.push(root.clone(), PatchEmbed { patch: PATCH, dim: cfg.dim });
        let layer = TransformerLayer {
            dim: cfg.dim,
            heads: cfg.heads,
            key_dim: cfg.head_dim,
            hidden: cfg.dim * cfg.mlp,
            act: ActFn::Gelu,
            eps_e7,
        };
        for i in 0..cfg.depth {
            plan.push(root.at("blocks").at(i), layer.clone());
        }
        plan.push(root, ClassTokenHead { eps_e7, classes });
        Ok(plan)
    }
}
