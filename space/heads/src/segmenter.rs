//! What the segmentation heads of ml-cvnets share: a classifier of positions, an auxiliary head, and logits at the size of
//! the image.

use mobilenas_space::ir::{Block, Builder, Feature, Op, Path, Plan, Sections, ShapeError, Val};

use super::head::{Head, HeadOptions};
use super::unit::Unit;

/// The classes of PASCAL VOC, with the background.
pub(crate) const VOC: u32 = 21;

/// Side of the images of the published networks.
pub(crate) const SIDE: u32 = 512;

/// The output strides of the published networks.
pub(crate) const OUTPUT_STRIDES: &[u32] = &[8, 16];

/// Appends classifier, auxiliary head and resizing after a head's block. `features` are the two last maps.
pub(crate) fn classify(head: &dyn Head, plan: &mut Plan, from: usize, features: &[Feature], options: &HeadOptions) {
    let path = Path::root().at("seg_head");
    let classifier = Unit::linear(Sections::plain(options.classes));
    let low = plan.push_reading(path.at("classifier"), vec![from], classifier);
    // What the head runs is together, and the resizing outside of it comes last.
    let auxiliary = features.first().filter(|_| options.auxiliary).map(|feature| {
        let inner = (feature.value.channels() / 4).max(128);
        let auxiliary = Auxiliary { inner, classes: options.classes };
        plan.push_reading(path.at("aux_head"), vec![feature.block], auxiliary)
    });
    let logits = resized(plan, low, options, options.align_corners.unwrap_or(head.align_corners()));
    plan.outputs = vec![("logits", logits)];
    plan.outputs.extend(auxiliary.map(|block| ("auxiliary", block)));
}

/// Appends the resizing of logits to the image, if that is asked for; the block that gives them.
pub(crate) fn resized(plan: &mut Plan, low: usize, options: &HeadOptions, align_corners: bool) -> usize {
    match plan.input.hw().filter(|_| options.upsample) {
        Some((h, w)) => plan.push_reading(Path::root(), vec![low], Upsample { h, w, align_corners }),
        None => low,
    }
}

#[derive(Debug, Hash)]
struct Auxiliary {
    inner: u32,
    classes: u32,
}

impl Block for Auxiliary {
    fn kind(&self) -> &'static str {
        "auxiliary_head"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.within(0, |b| Unit::new(self.inner, 3).append(b, x))?;
        b.within(2, |b| Unit::linear(Sections::plain(self.classes)).append(b, y))
    }
}

/// Bilinear resize of logits.
#[derive(Debug, Hash)]
struct Upsample {
    h: u32,
    w: u32,
    align_corners: bool,
}

impl Block for Upsample {
    fn kind(&self) -> &'static str {
        "upsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.op(Op::Resize { h: self.h, w: self.w, align_corners: self.align_corners }, &[x])
    }
}
