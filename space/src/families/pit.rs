//! PiT (Heo et al., 2021, arXiv 2103.16302) as a baseline: Ti, XS and S; B, whose patches are smaller; and those with
//! distillation. Each of the four sets is a family of its own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{PitEmbed, PitPool, TokenHead, TransformerLayer};
use crate::ir::{ActFn, InitStyle, Path, Plan, ShapeError};

/// Patches of B or of the smaller networks; with a token for distillation or without.
pub(super) struct Pit<const BASE: bool, const DISTILLED: bool>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    /// Channels of a head, and of the rows for each head.
    dim: u32,
    /// Heads of the first stage. They double from stage to stage: each convolution between them filters a channel twice.
    heads: u32,
    depths: [u32; 3],
    /// MLP channels over those of the rows.
    mlp: u32,
}

impl<const BASE: bool, const DISTILLED: bool> Spec for Pit<BASE, DISTILLED> {
    type Cfg = Cfg;
    const NAME: &'static str = match (BASE, DISTILLED) {
        (false, false) => "pit",
        (false, true) => "pit_distilled",
        (true, false) => "pit_base",
        (true, true) => "pit_base_distilled",
    };
    const CITE: &'static str = "PiT, Heo et al. 2021, arXiv 2103.16302";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.9);

    fn variants() -> Vec<Variant<Cfg>> {
        // Figures of the README of its code: top-1, and with a teacher; parameters without the token for it; MACs.
        let of = |ids: [&'static str; 2], dim, heads, [plain, taught, params, macs]: [f64; 4]| {
            let (id, depths) = (ids[usize::from(DISTILLED)], [if BASE { 3 } else { 2 }, 6, 4]);
            let mut published = Published::all(if DISTILLED { taught } else { plain }, params, macs);
            published.params_m = published.params_m.filter(|_| !DISTILLED);
            Variant { id, resolution: 224, cfg: Cfg { dim, heads, depths, mlp: 4 }, published }
        };
        if BASE {
            return vec![of(["pit_b_224", "pit_b_distilled_224"], 64, 4, [82.0, 84.0, 73.8, 12.5])];
        }
        vec![
            of(["pit_ti_224", "pit_ti_distilled_224"], 32, 2, [73.0, 74.6, 4.9, 0.71]),
            of(["pit_xs_224", "pit_xs_distilled_224"], 48, 2, [78.1, 79.1, 10.6, 1.4]),
            of(["pit_s_224", "pit_s_distilled_224"], 48, 3, [80.9, 81.9, 23.5, 2.9]),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "dim", Width, dim), knob!(Cfg: "heads", Heads, heads).also([2])];
        for (i, most) in [3, 6, 4].into_iter().enumerate() {
            let most = if BASE || i > 0 { most } else { 2 };
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, depths[i]).also(1..=most));
        }
        all.push(knob!(Cfg: "mlp", Expansion, mlp).also([2, 3]));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let ((patch, stride), tokens) = (if BASE { (14, 7) } else { (16, 8) }, 1 + u32::from(DISTILLED));
        plan.push(root.clone(), PitEmbed { patch, stride, dim: cfg.dim * cfg.heads, tokens });
        let (mut side, mut heads) = (resolution.saturating_sub(patch) / stride + 1, cfg.heads);
        for (i, depth) in (0u32..).zip(cfg.depths) {
            let stage = root.at("transformers").at(i);
            if i > 0 {
                heads *= 2;
                plan.push(stage.at("pool"), PitPool { out: cfg.dim * heads, tokens, side });
                side = side.div_ceil(2);
            }
            let dim = cfg.dim * heads;
            let (key_dim, hidden, act, eps_e7) = (cfg.dim, dim * cfg.mlp, ActFn::Gelu, 10);
            for j in 0..depth {
                let layer = TransformerLayer { dim, heads, key_dim, hidden, act, eps_e7 };
                plan.push(stage.at("blocks").at(j), layer);
            }
        }
        plan.push(root, TokenHead { distilled: DISTILLED, classes });
        Ok(plan)
    }
}
