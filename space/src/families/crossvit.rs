//! CrossViT-Ti (Chen et al., 2021, arXiv 2103.14899) as a baseline. It has no knobs.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::blocks::{CrossVitEmbed, CrossVitFusion, CrossVitHead, CrossVitToken, TransformerLayer};
use crate::ir::{ActFn, IMAGE, InitStyle, Path, Plan, ShapeError};

pub(super) struct CrossVit;

/// Channels of the branch on small patches and of that on large ones.
const DIMS: [u32; 2] = [96, 192];

/// Sides of their patches in pixels.
const PATCHES: [u32; 2] = [12, 16];

/// Sides of their images over that of the image.
const SCALES: [f64; 2] = [1.0, 224.0 / 240.0];

/// Layers between two fusions.
const DEPTHS: [u32; 2] = [1, 4];

/// Attention heads of both.
const HEADS: u32 = 3;

/// Fusions.
const BLOCKS: u32 = 3;

impl Spec for CrossVit {
    type Cfg = ();
    const NAME: &'static str = "crossvit";
    const CITE: &'static str = "CrossViT, Chen et al. 2021, arXiv 2103.14899";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);

    fn variants() -> Vec<Variant<()>> {
        // Accuracy of timm's results.
        let published = Published { top1: Some(73.352), ..Published::NONE };
        vec![Variant { id: "crossvit_tiny_240", resolution: 240, cfg: (), published }]
    }

    fn knobs() -> Vec<Knob<()>> {
        Vec::new()
    }

    fn plan(_cfg: &(), resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let mut rows = [0, 1].map(|branch: usize| {
            let (dim, patch) = (DIMS[branch], PATCHES[branch]);
            let side = (f64::from(resolution) * SCALES[branch]) as u32;
            let embed = CrossVitEmbed { branch: branch as u32, side, patch, dim };
            plan.push_reading(root.clone(), vec![IMAGE], embed)
        });
        for i in 0..BLOCKS {
            let block = root.at("blocks").at(i);
            let mut tokens = [0, 0];
            for (branch, dim) in DIMS.into_iter().enumerate() {
                let (key_dim, hidden, act, eps_e7) = (dim / HEADS, 4 * dim, ActFn::Gelu, 10);
                let layer = TransformerLayer { dim, heads: HEADS, key_dim, hidden, act, eps_e7 };
                for j in 0..DEPTHS[branch] {
                    let path = block.at("blocks").at(branch as u32).at(j);
                    rows[branch] = plan.push_reading(path, vec![rows[branch]], layer.clone());
                }
                let token = CrossVitToken { branch: branch as u32, out: DIMS[1 - branch] };
                tokens[branch] = plan.push_reading(block.clone(), vec![rows[branch]], token);
            }
            rows = [0, 1].map(|branch: usize| {
                let reads = vec![tokens[branch], rows[1 - branch], rows[branch]];
                let fusion = CrossVitFusion { branch: branch as u32, heads: HEADS };
                plan.push_reading(block.clone(), reads, fusion)
            });
        }
        plan.push_reading(root, rows.to_vec(), CrossVitHead { classes });
        Ok(plan)
    }
}
