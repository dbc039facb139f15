//! SSDLite as torchvision has it with MobileNetV3 (Howard et al., 2019, arXiv 1905.02244): separate towers for boxes and
//! classes, on the expanded map of stride 16, the last map and four more.
//!
//! Its backbone is MobileNetV3-Large with half as many channels in the last stage and in the convolution after it.

use mobilenas_dense::ssd::SsdRules;
use mobilenas_space::ir::{
    ActFn, Block, Builder, Feature, Groups, InitStyle, Op, Path, Plan, Sections, ShapeError, Val,
};

use super::head::{BACKBONE, Head, HeadOptions, Needs, Task};
use super::ssd::{HEAD, Joined, in_proportion};

#[derive(Debug)]
pub(super) struct SsdLite320;

/// Anchors at each position of each map.
const ANCHORS: u32 = 6;

/// Channels of the maps that the head makes itself.
const EXTRA: [u32; 4] = [512, 256, 256, 128];

/// torchvision's initialisation of what it adds to the backbone.
const STYLE: InitStyle = InitStyle::Normal { std_e3: 30 };

/// Epsilon of all batch norms, those of the backbone too, in units of 1e-7.
const BN_EPS_E7: u32 = 10_000;

impl Head for SsdLite320 {
    fn name(&self) -> &'static str {
        "ssdlite320"
    }

    fn cite(&self) -> &'static str {
        "SSDLite, Sandler et al. 2018, arXiv 1801.04381, as torchvision has it with MobileNetV3, arXiv 1905.02244"
    }

    fn task(&self) -> Task {
        Task::Detection
    }

    fn resolution(&self) -> u32 {
        320
    }

    fn classes(&self) -> u32 {
        91
    }

    fn needs(&self) -> Needs {
        Needs { strides: &[16, 32], output_stride: None, output_strides: &[], expanded: true }
    }

    fn width(&self) -> u32 {
        EXTRA[0]
    }

    fn ssd_rules(&self) -> Option<SsdRules> {
        Some(SsdRules::Torchvision)
    }

    fn append(&self, plan: &mut Plan, features: &[Feature], options: &HeadOptions) -> Result<(), ShapeError> {
        plan.bn_eps_e7 = BN_EPS_E7;
        let (root, head) = (Path::root(), Path::root().at("head"));
        let mut maps: Vec<usize> = features.iter().map(|f| f.block).collect();
        for (i, out) in (0u32..).zip(EXTRA) {
            let reads = maps.last().copied().into_iter().collect();
            let layer = ExtraLayer { out: in_proportion(out, options.width, self.width()) };
            maps.push(plan.push_reading(root.at(BACKBONE).at("extra").at(i), reads, layer));
        }
        plan.outputs.clear();
        for (name, tower, columns) in
            [("boxes", "regression_head", 4), ("scores", "classification_head", options.classes)]
        {
            let (path, mut rows) = (head.at(tower).at("module_list"), Vec::with_capacity(maps.len()));
            for (i, map) in (0u32..).zip(&maps) {
                rows.push(plan.push_reading(path.at(i), vec![*map], Tower { columns }));
            }
            let joined = plan.push_reading(head.at(tower), rows, Joined);
            plan.outputs.push((name, joined));
        }
        Ok(())
    }
}

/// A convolution, batch norm and ReLU6, under the indices of a sequence.
fn unit(b: &mut Builder, index: u32, x: Val, out: Option<u32>, stride: u32) -> Result<Val, ShapeError> {
    let (out, kernel, groups) = match out {
        Some(out) => (Sections::plain(out), 1, Groups::Dense),
        None => (b.value(x).sections.clone(), 3, Groups::Depthwise),
    };
    b.within(index, |b| {
        b.class("ConvNormAct");
        let conv = Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias: false };
        let y = b.op_at(0u32, conv, &[x])?;
        let y = b.op_at(1u32, Op::BatchNorm, &[y])?;
        b.act(ActFn::Relu6, y)
    })
}

/// A map of half the size: half its channels, each filtered, then all.
#[derive(Debug, Hash)]
struct ExtraLayer {
    out: u32,
}

impl Block for ExtraLayer {
    fn kind(&self) -> &'static str {
        "ssd320_extra"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.init_style(STYLE);
        let y = unit(b, 0, x, Some(self.out / 2), 1)?;
        let y = unit(b, 1, y, None, 2)?;
        unit(b, 2, y, Some(self.out), 1)
    }
}

/// Predicts some numbers for each anchor of each position.
#[derive(Debug, Hash)]
struct Tower {
    columns: u32,
}

impl Block for Tower {
    fn kind(&self) -> &'static str {
        HEAD
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("SSDLitePrediction");
        b.init_style(STYLE);
        let y = unit(b, 0, x, None, 1)?;
        let out = Sections::runs(ANCHORS, self.columns);
        let conv = Op::Conv { out, kernel: 1, stride: 1, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
        let y = b.op_at(1u32, conv, &[y])?;
        let y = b.op(Op::Flatten, &[y])?;
        b.op(Op::SplitRows { parts: ANCHORS }, &[y])
    }
}
