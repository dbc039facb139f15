//! Pooling as Python.

use crate::error::PytorchError;
use crate::form::{Slot, Unit};
use crate::lower::{At, Line};

impl At<'_> {
    pub(crate) fn avg_pool(&self, kernel: u32, stride: u32, pad: u32) -> Line {
        let slots = vec![
            Slot::int(Unit::Kernel, "kernel", kernel),
            Slot::int(Unit::Stride, "stride", stride),
            Slot::int(Unit::Pad, "padding", pad),
        ];
        Line::call(self.node(), "F.avg_pool2d($0, #0, #1<, padding=#2|0>, count_include_pad=False)", slots)
    }

    pub(crate) fn max_pool(&self, kernel: u32, stride: u32, pad: u32) -> Line {
        let slots = vec![
            Slot::int(Unit::Kernel, "kernel", kernel),
            Slot::int(Unit::Stride, "stride", stride),
            Slot::int(Unit::Pad, "padding", pad),
        ];
        Line::call(self.node(), "F.max_pool2d($0, #0, #1<, padding=#2|0>)", slots)
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
