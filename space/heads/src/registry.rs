//! The heads that there are, and how one is attached to a backbone.

use mobilenas_space::ir::{Feature, Plan, ShapeError};

use super::head::{BACKBONE, Head, HeadOptions, Task};
use super::{deeplab, fpn, mask_rcnn, psp, ssd, ssd_torchvision};

/// The registry of heads.
pub static HEADS: &[&dyn Head] = &[
    &ssd::SsdLite,
    &ssd_torchvision::SsdLite320,
    &mask_rcnn::MaskRcnn,
    &deeplab::DeepLabV3,
    &psp::PspNet,
    &fpn::SemanticFpn,
];

/// The head of a name.
pub fn head(name: &str) -> Option<&'static dyn Head> {
    HEADS.iter().copied().find(|h| h.name() == name)
}

/// The first head for a task.
pub fn first(task: Task) -> Option<&'static dyn Head> {
    HEADS.iter().copied().find(|h| h.task() == task)
}

/// A network with a head in place of its classifier.
///
/// # Errors
/// When the backbone lacks a feature map that the head reads, has no form of the output stride, or a size does not fit.
pub fn attach(head: &dyn Head, network: Plan, options: &HeadOptions) -> Result<Plan, ShapeError> {
    let needs = head.needs();
    let output_stride = options.output_stride.or(needs.output_stride);
    if let Some(stride) = output_stride.filter(|s| !needs.output_strides.contains(s)) {
        let expected = match needs.output_strides {
            [] => "none: it reads the backbone as it is".to_string(),
            some => format!("one of {some:?}"),
        };
        return Err(refused(head, format!("an output stride of {stride}"), expected));
    }
    let (mut plan, features) = network.into_backbone(BACKBONE, output_stride)?;
    let mut read = Vec::with_capacity(needs.strides.len());
    for stride in needs.strides {
        let of_stride = features.iter().find(|f| f.stride == *stride);
        read.push(of_stride.cloned().ok_or_else(|| {
            let has = features.iter().map(|f| f.stride.to_string()).collect::<Vec<_>>().join(", ");
            let has =
                if has.is_empty() { "no feature maps".to_string() } else { format!("feature maps at strides {has}") };
            refused(head, has, format!("one at stride {stride}"))
        })?);
    }
    if needs.expanded {
        expand(head, &mut plan, &mut read)?;
    }
    head.append(&mut plan, &read, options)?;
    plan.drop_unread();
    Ok(plan)
}

/// Puts the expanded map of the block after it in the place of the first feature map.
fn expand(head: &dyn Head, plan: &mut Plan, read: &mut [Feature]) -> Result<(), ShapeError> {
    let Some((first, others)) = read.split_first_mut() else { return Ok(()) };
    first.block += 1;
    if !plan.split(first.block) {
        let found = plan.blocks.get(first.block).map_or("no block", |p| p.block.kind());
        return Err(refused(head, found.to_string(), "a block with a stride that expands its input".to_string()));
    }
    others.iter_mut().for_each(|f| f.block += 1);
    Ok(())
}

fn refused(head: &dyn Head, found: String, expected: String) -> ShapeError {
    ShapeError { at: BACKBONE.to_string(), op: head.name().to_string(), found, expected }
}
