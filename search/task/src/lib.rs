//! Tasks: what a network is trained and judged for. A task owns its loss, its distillation and its metrics; the trainer,
//! the evaluator and the reports know none of them by name.

mod batch;
mod class_report;
mod classification;
mod detection;
mod distill;
mod error;
mod rcnn;
mod segmentation;
mod task;

pub use batch::{Batch, DenseTargets, Targets};
pub use class_report::{ClassAccuracy, ClassReport};
pub use classification::{Classification, TEST_TOP1, TOP1, TOP1_INT8};
pub use detection::{AveragePrecision, Detection, MAP, MAP_INT8, MAP50};
pub use distill::{Distillation, alpha_divergence, soft_cross_entropy};
pub use error::TaskError;
pub use rcnn::{Detected, InstancePrecision, Instances, MASK_MAP};
pub use segmentation::{MIOU, MIOU_INT8, Overlap, PIXEL_ACCURACY, Segmentation};
pub use task::{Meter, Outputs, Task};

use mobilenas_dense::rcnn::RcnnRules;
use mobilenas_dense::ssd::SsdRules;
use mobilenas_heads::{Head, HeadOptions};

/// All tasks, the default first.
pub static TASKS: &[&dyn Task] =
    &[&Classification, &SSD, &SSD_TORCHVISION, &INSTANCES, &SEGMENTATION, &SEGMENTATION_ALIGNED];

static SSD: Detection = Detection { rules: SsdRules::Cvnets };
static SSD_TORCHVISION: Detection = Detection { rules: SsdRules::Torchvision };
static INSTANCES: Instances = Instances { rules: RcnnRules::MMDETECTION };
static SEGMENTATION: Segmentation = Segmentation { align_corners: false };
static SEGMENTATION_ALIGNED: Segmentation = Segmentation { align_corners: true };

/// The task that a network with a head is trained for.
pub fn of_head(head: &dyn Head, options: &HeadOptions) -> &'static dyn Task {
    if head.rcnn_rules().is_some() {
        return &INSTANCES;
    }
    match (head.ssd_rules(), options.align_corners.unwrap_or(head.align_corners())) {
        (Some(SsdRules::Cvnets), _) => &SSD,
        (Some(SsdRules::Torchvision), _) => &SSD_TORCHVISION,
        (None, false) => &SEGMENTATION,
        (None, true) => &SEGMENTATION_ALIGNED,
    }
}

/// The task of that name.
pub fn task(name: &str) -> Option<&'static dyn Task> {
    TASKS.iter().copied().find(|t| t.name() == name)
}
