//! BoTNet-26 (Srinivas et al., 2021, arXiv 2101.11605) as a baseline, as timm has it: a ResNet of 26 layers whose last three
//! blocks have attention. It has no knobs.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::blocks::{BotNet as Block, Classifier, TieredStem};
use crate::ir::{InitStyle, Path, Plan, ShapeError};

pub(super) struct BotNet;

/// Channels inside the blocks of a stage, a quarter of those outside.
const WIDTHS: [u32; 4] = [64, 128, 256, 512];

/// Blocks of a stage.
const DEPTH: u32 = 2;

impl Spec for BotNet {
    type Cfg = ();
    const NAME: &'static str = "botnet";
    const CITE: &'static str = "BoTNet, Srinivas et al. 2021, arXiv 2101.11605";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);

    fn variants() -> Vec<Variant<()>> {
        // Accuracy of timm's results.
        let published = Published { top1: Some(79.256), ..Published::NONE };
        vec![Variant { id: "botnet26t_256", resolution: 256, cfg: (), published }]
    }

    fn knobs() -> Vec<Knob<()>> {
        Vec::new()
    }

    fn plan(_cfg: &(), resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        plan.push(root.at("stem"), TieredStem { out: 64 });
        for (i, width) in (0u32..).zip(WIDTHS) {
            for j in 0..DEPTH {
                let (stride, attends) = (if i > 0 && j == 0 { 2 } else { 1 }, i == 3 || (i, j) == (2, 1));
                plan.push(root.at("stages").at(i).at(j), Block { width, stride, convolved: j == 0, attends });
            }
        }
        plan.push(root.at("head"), Classifier { fc: "fc", classes });
        Ok(plan)
    }
}
