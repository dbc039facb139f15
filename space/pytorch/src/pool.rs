//! Pooling as Python.

use crate::error::PytorchError;
use crate::form::{Slot, Unit};
use crate::lower::{At, Line};

impl At<'_> {
    pub(crate) fn avg_pool(&self, kernel: u32, stride: u32, pad: u32) -> Line {
        let call = "F.avg_pool2d($0, #0, #1<, padding=#2|0>, count_include_pad=False)";
        Line::call(self.node(), call, window(kernel, stride, pad))
    }

    pub(crate) fn max_pool(&self, kernel: u32, stride: u32, pad: u32) -> Line {
        Line::call(self.node(), "F.max_pool2d($0, #0, #1<, padding=#2|0>)", window(kernel, stride, pad))
    }

    pub(crate) fn global_pool(&self, keep: bool) -> Result<Line, PytorchError> {
        let value = &self.input(0)?.value;
        let text = match (value.hw().is_some(), keep, value.dims.len()) {
            (true, true, _) => "@0.mean((2, 3), keepdim=True)",
            (true, false, _) => "@0.mean((2, 3))",
            (false, true, 2) => "@0.mean(1)[:, :, None, None]",
            (false, false, 2) => "@0.mean(1)",
            _ => return Err(self.unfit(value)),
        };
        Ok(Line::call(self.node(), text, Vec::new()))
    }
}

fn window(kernel: u32, stride: u32, pad: u32) -> Vec<Slot> {
    vec![
        Slot::int(Unit::Kernel, "kernel", kernel),
        Slot::int(Unit::Stride, "stride", stride),
        Slot::int(Unit::Pad, "padding", pad),
    ]
}
