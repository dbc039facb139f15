//! SSDLite as ml-cvnets has it with MobileViT (Mehta and Rastegari, 2021, arXiv 2110.02178): SSD (Liu et al., 2016, arXiv
//! 1512.02325) with separable convolutions (Sandler et al., 2018), on six maps of which a backbone gives two.

use mobilenas_dense::ssd::SsdRules;
use mobilenas_space::blocks::make_divisible;
use mobilenas_space::ir::{Block, Builder, Feature, Graph, InitStyle, Op, Path, Plan, Sections, ShapeError, Val};

use super::head::{Head, HeadOptions, Needs, Task};
use super::unit::Unit;

#[derive(Debug)]
pub(super) struct SsdLite;

/// Numbers of a box.
const BOX: u32 = 4;

/// The kind of the block that predicts from one map.
pub(crate) const HEAD: &str = "ssd_head";

/// A map's channels before the prediction, and its anchors at each position.
const MAPS: [(u32, u32); 6] = [(512, 6), (256, 6), (256, 6), (128, 6), (128, 6), (64, 4)];

/// Names of the maps that the head makes itself. The last one is pooled.
const EXTRA: [&str; 4] = ["os_64", "os_128", "os_256", "os_-1"];

impl Head for SsdLite {
    fn name(&self) -> &'static str {
        "ssdlite"
    }

    fn cite(&self) -> &'static str {
        "SSDLite, Sandler et al. 2018, arXiv 1801.04381, with the sizes of MobileViT, arXiv 2110.02178"
    }

    fn task(&self) -> Task {
        Task::Detection
    }

    fn resolution(&self) -> u32 {
        320
    }

    fn classes(&self) -> u32 {
        81
    }

    fn needs(&self) -> Needs {
        Needs { strides: &[16, 32], output_stride: None, output_strides: &[], expanded: false }
    }

    fn width(&self) -> u32 {
        MAPS[0].0
    }

    fn ssd_rules(&self) -> Option<SsdRules> {
        Some(SsdRules::Cvnets)
    }

    fn append(&self, plan: &mut Plan, features: &[Feature], options: &HeadOptions) -> Result<(), ShapeError> {
        let root = Path::root();
        let all = MAPS.map(|(out, anchors)| (in_proportion(out, options.width, self.width()), anchors));
        let mut maps: Vec<(usize, u32)> = features.iter().map(|f| (f.block, f.value.channels())).collect();
        for ((name, (out, _)), pooled) in EXTRA.into_iter().zip(&all[2..]).zip([false, false, false, true]) {
            let reads = maps.last().map(|(block, _)| *block).into_iter().collect();
            let path = root.at("extra_layers").at(name);
            maps.push((plan.push_reading(path, reads, ExtraLayer { out: *out, pooled }), *out));
        }
        let mut heads = Vec::with_capacity(maps.len());
        for (i, ((block, channels), (width, anchors))) in (0u32..).zip(maps.into_iter().zip(all)) {
            let pooled = i as usize + 1 == MAPS.len();
            // Where the width may vary, all networks of a space project the backbone's maps: their tensors are slices of one.
            let varies = options.width.is_some() && (i as usize) < features.len();
            let project = (!pooled && (channels != width || varies)).then_some(width);
            let head = SsdHead { project, anchors, classes: options.classes, pooled };
            heads.push(plan.push_reading(root.at("ssd_heads").at(i), vec![block], head));
        }
        let all = plan.push_reading(root.clone(), heads, Joined);
        let boxes = plan.push_reading(root.clone(), vec![all], Columns { start: 0, len: BOX });
        let scores = plan.push_reading(root, vec![all], Columns { start: BOX, len: options.classes });
        plan.outputs = vec![("boxes", boxes), ("scores", scores)];
        Ok(())
    }
}

/// Channels of a map where the widest one has another number of them than is published.
pub(crate) fn in_proportion(out: u32, width: Option<u32>, published: u32) -> u32 {
    match width {
        Some(width) if out == published => width,
        Some(width) if width != published => make_divisible(f64::from(out * width) / f64::from(published), 8),
        _ => out,
    }
}

/// Height and width of the maps that a detector predicts from, in the order of its anchors.
pub fn map_sizes(graph: &Graph) -> Vec<(u32, u32)> {
    let mut maps: Vec<usize> = Vec::new();
    for map in graph.blocks.iter().filter(|b| b.kind == HEAD).filter_map(|b| b.inputs.first()) {
        if !maps.contains(map) {
            maps.push(*map);
        }
    }
    maps.into_iter().filter_map(|i| graph.nodes[i].value.hw()).collect()
}

/// A map of half the size by a separable convolution; or of one pixel, by the mean and a 1x1 convolution.
#[derive(Debug, Hash)]
struct ExtraLayer {
    out: u32,
    pooled: bool,
}

impl Block for ExtraLayer {
    fn kind(&self) -> &'static str {
        "ssd_extra"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.init_style(InitStyle::Xavier);
        if self.pooled {
            let y = b.op(Op::GlobalPool { keep: true }, &[x])?;
            return b.within(1, |b| Unit { norm: false, ..Unit::new(self.out, 1) }.append(b, y));
        }
        let y = b.within("dw_conv", |b| Unit::depthwise(2).append(b, x))?;
        b.within("pw_conv", |b| Unit::new(self.out, 1).append(b, y))
    }
}

/// Predicts from one map: a row of offsets and logits for each anchor of each position.
#[derive(Debug, Hash)]
struct SsdHead {
    /// Channels of a 1x1 convolution before.
    project: Option<u32>,
    anchors: u32,
    classes: u32,
    pooled: bool,
}

impl Block for SsdHead {
    fn kind(&self) -> &'static str {
        HEAD
    }

    fn lower(&self, b: &mut Builder, mut x: Val) -> Result<Val, ShapeError> {
        b.class("SSDHead");
        b.init_style(InitStyle::Xavier);
        if let Some(width) = self.project {
            x = b.within("proj_layer", |b| Unit::new(width, 1).append(b, x))?;
        }
        let one = Sections::plain(BOX).join(&Sections::plain(self.classes));
        let all = (0..self.anchors).fold(Sections::default(), |all, _| all.join(&one));
        let y = b.within("loc_cls_layer", |b| {
            if self.pooled {
                return Unit::linear(all).append(b, x);
            }
            let y = b.within("dw_conv", |b| Unit::depthwise(1).append(b, x))?;
            b.within("pw_conv", |b| Unit::linear(all).append(b, y))
        })?;
        let y = b.op(Op::Flatten, &[y])?;
        b.op(Op::SplitRows { parts: self.anchors }, &[y])
    }
}

/// The rows of all maps.
#[derive(Debug, Hash)]
pub(crate) struct Joined;

impl Block for Joined {
    fn kind(&self) -> &'static str {
        "ssd_rows"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        b.op(Op::ConcatRows, values)
    }
}

/// Some columns of the rows.
#[derive(Debug, Hash)]
pub(crate) struct Columns {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Block for Columns {
    fn kind(&self) -> &'static str {
        "ssd_columns"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.op(Op::Slice { start: self.start, len: self.len }, &[x])
    }
}
