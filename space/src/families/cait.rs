//! CaiT (Touvron et al., 2021, arXiv 2103.17239) as a baseline: XXS24, XXS36, XS24 and S24. Position embeddings are for one
//! resolution: the networks for 384 px are a family of their own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Cait as Block, CaitEmbed, ClassToken, ClassTokenHead};
use crate::ir::{InitStyle, Path, Plan, ShapeError};

/// The networks for images of so many pixels.
pub(super) struct Cait<const SIDE: u32>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    dim: u32,
    /// Blocks with attention among patches.
    depth: u32,
    /// Blocks with attention of the class token.
    class_depth: u32,
    heads: u32,
    /// Channels of one head.
    head_dim: u32,
    /// MLP channels over those of the rows.
    mlp: u32,
}

/// Side of a patch in pixels. It does not vary, since patch and position embeddings depend on it.
const PATCH: u32 = 16;

impl<const SIDE: u32> Spec for Cait<SIDE> {
    type Cfg = Cfg;
    const NAME: &'static str = if SIDE == 224 { "cait" } else { "cait_384" };
    const CITE: &'static str = "CaiT, Touvron et al. 2021, arXiv 2103.17239";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(1.0);

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, heads, depth, published| {
            let cfg = Cfg { dim: 48 * heads, depth, class_depth: 2, heads, head_dim: 48, mlp: 4 };
            Variant { id, resolution: SIDE, cfg, published }
        };
        // Figures of the README of its code, with a teacher.
        let (paper, none) = (Published::all, Published::NONE);
        if SIDE == 224 {
            return vec![
                of("cait_xxs24_224", 4, 24, none),
                of("cait_xxs36_224", 4, 36, none),
                of("cait_s24_224", 8, 24, paper(83.5, 47.0, 9.4)),
            ];
        }
        vec![
            of("cait_xxs24_384", 4, 24, none),
            of("cait_xxs36_384", 4, 36, none),
            of("cait_xs24_384", 6, 24, paper(84.1, 27.0, 19.3)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        vec![
            knob!(Cfg: "dim", Width, dim),
            knob!(Cfg: "depth", Depth, depth).also([12]),
            knob!(Cfg: "class_depth", Depth, class_depth).also([1]),
            knob!(Cfg: "heads", Heads, heads),
            knob!(Cfg: "head_dim", Width, head_dim),
            knob!(Cfg: "mlp", Expansion, mlp).also([2, 3]),
        ]
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        plan.push(root.clone(), CaitEmbed { patch: PATCH, dim: cfg.dim });
        let block = |class| Block { class, heads: cfg.heads, head_dim: cfg.head_dim, expand: cfg.mlp };
        for i in 0..cfg.depth {
            plan.push(root.at("blocks").at(i), block(false));
        }
        plan.push(root.clone(), ClassToken);
        for i in 0..cfg.class_depth {
            plan.push(root.at("blocks_token_only").at(i), block(true));
        }
        plan.push(root, ClassTokenHead { eps_e7: 10, classes });
        Ok(plan)
    }
}
