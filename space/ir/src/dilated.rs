//! A block of a backbone whose windows are dilated.

use std::hash::{Hash, Hasher};

use super::dilation::Dilation;
use super::{Block, BlockKey, Builder, ShapeError, Val};

/// A block whose windows are dilated.
#[derive(Debug)]
pub(super) struct Dilated {
    pub inner: Box<dyn Block>,
    pub dilation: Dilation,
}

impl Hash for Dilated {
    fn hash<H: Hasher>(&self, state: &mut H) {
        BlockKey::of(self.inner.as_ref()).hash(state);
        self.dilation.hash(state);
    }
}

impl Block for Dilated {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let size = b.value(x).hw();
        let y = b.dilated(self.dilation, |b| self.inner.lower(b, x))?;
        match b.value(y).hw() == size || !self.dilation.unstride {
            true => Ok(y),
            false => Err(b.error(b.value(y).to_string(), "a block that has a form without its stride")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{ActFn, Groups, InitStyle, Op, Path, Plan, Sections};

    /// A convolution without padding for even kernels, as patches are cut.
    #[derive(Debug, Hash)]
    struct Window {
        kernel: u32,
        stride: u32,
    }

    impl Block for Window {
        fn kind(&self) -> &'static str {
            "window"
        }

        fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
            let (kernel, stride, out) = (self.kernel, self.stride, Sections::plain(4));
            let pad = if kernel % 2 == 0 { 0 } else { kernel / 2 };
            let groups = Groups::Dense;
            let y = b.op_at("conv", Op::Conv { out, kernel, stride, pad, dilation: 1, groups, bias: false }, &[x])?;
            b.act(ActFn::Relu, y)
        }
    }

    fn plan(windows: &[(u32, u32)]) -> Plan {
        let mut plan = Plan::of_image(32, InitStyle::Mobile);
        for (i, (kernel, stride)) in (0u32..).zip(windows) {
            plan.push(Path::root().at("stages").at(i), Window { kernel: *kernel, stride: *stride });
        }
        plan
    }

    /// Kernel, stride, padding and dilation of each convolution.
    fn convs(plan: &Plan) -> Vec<[u32; 4]> {
        let mut all = Vec::new();
        for node in plan.lower().unwrap().nodes {
            if let Op::Conv { kernel, stride, pad, dilation, .. } = node.op {
                all.push([kernel, stride, pad, dilation]);
            }
        }
        all
    }

    #[test]
    fn strides_beyond_the_output_stride_become_dilation() {
        let windows = [(3, 2), (3, 2), (1, 1), (5, 2), (3, 1)];
        let (eight, features) = plan(&windows).into_backbone("backbone", Some(4)).unwrap();
        assert_eq!(convs(&eight), [[3, 2, 1, 1], [3, 2, 1, 1], [1, 1, 0, 1], [5, 1, 2, 1], [3, 1, 2, 2]]);
        // Features keep their names: the last one was at stride 8.
        let told: Vec<_> = features.iter().map(|f| (f.stride, f.value.hw().unwrap().0)).collect();
        assert_eq!(told, [(2, 16), (4, 8), (8, 8)]);
        let (two, _) = plan(&windows).into_backbone("backbone", Some(2)).unwrap();
        assert_eq!(convs(&two), [[3, 2, 1, 1], [3, 1, 1, 1], [1, 1, 0, 1], [5, 1, 4, 2], [3, 1, 4, 4]]);
    }

    #[test]
    fn a_block_without_such_a_form_is_named() {
        let error = plan(&[(2, 2), (2, 2)]).into_backbone("backbone", Some(2)).unwrap_err().to_string();
        assert_eq!(error, "backbone.stages.1: block got 4x15x15, expected a block that has a form without its stride");
    }
}
