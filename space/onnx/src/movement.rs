//! Slices, patches and rows in ONNX.

use mobilenas_space::ir::Layout;

use super::lower::{Lowering, NodeCtx, OnnxValue, shape};

impl Lowering<'_> {
    pub(super) fn slice(&mut self, at: &NodeCtx, start: u32, len: u32) -> OnnxValue {
        let rows: Vec<usize> = (start..start + len).map(|r| r as usize).collect();
        match self.linear_slice(at, &rows, format!("{start}..{}", start + len))? {
            Some(slice) => Ok(slice),
            None => Ok(self.slice_axis(at.input(0)?, 1 + at.node.value.axis as i64, start, len)),
        }
    }

    pub(super) fn slice_axis(&mut self, x: &str, axis: i64, start: u32, len: u32) -> String {
        let ends = [start, start + len].map(|v| self.w.ints(&[i64::from(v)]));
        let axes = self.w.ints(&[axis]);
        self.w.node("Slice", &[x, &ends[0], &ends[1], &axes], vec![])
    }

    pub(super) fn slice_heads(&mut self, at: &NodeCtx, heads: u32, start: u32, len: u32) -> OnnxValue {
        let whole = self.source(at.index).map_or(0, |i| self.graph.nodes[i].value.channels());
        let run = whole / heads.max(1);
        let of_head = |h: u32| (h * run + start..h * run + start + len).map(|r| r as usize);
        let rows: Vec<usize> = (0..heads).flat_map(of_head).collect();
        if let Some(slice) = self.linear_slice(at, &rows, format!("{heads}x{start}..{}", start + len))? {
            return Ok(slice);
        }
        // The axes before the channels are one, so that there are no more than three.
        let runs = self.reshape(at.input(0)?, &[-1, i64::from(heads), i64::from(run)]);
        let cut = self.slice_axis(&runs, -1, start, len);
        let mut whole = shape([-1], &at.node.value.dims[..at.node.value.axis]);
        whole.push(i64::from(heads * len));
        Ok(self.reshape(&cut, &whole))
    }

    pub(super) fn unflatten(&mut self, at: &NodeCtx) -> OnnxValue {
        let columns = self.transpose(at.input(0)?, &[0, 2, 1]);
        Ok(self.reshape(&columns, &shape([0], &at.node.value.dims)))
    }

    pub(super) fn shuffle(&mut self, at: &NodeCtx, groups: u32) -> OnnxValue {
        let (h, w) = at.node.value.hw().ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let [c, g, h, w] = [at.node.value.channels(), groups, h, w].map(i64::from);
        let x = self.reshape(at.input(0)?, &[-1, g, c / g, h * w]);
        let x = self.transpose(&x, &[0, 2, 1, 3]);
        Ok(self.reshape(&x, &[-1, c, h, w]))
    }

    pub(super) fn unfold(&mut self, at: &NodeCtx, patch: u32, layout: Layout) -> OnnxValue {
        let x = at.input(0)?;
        let source = self.source(at.index).and_then(|i| self.graph.nodes[i].value.hw());
        let (h, w) = source.ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let [c, p, rows, cols] = [at.node.value.channels(), patch, h / patch, w / patch].map(i64::from);
        match (p, layout) {
            // Patches of one pixel are all there is of a map: nothing but its pixels in a row.
            (1, Layout::Rows) => {
                let x = self.transpose(x, &[0, 2, 3, 1]);
                return Ok(self.reshape(&x, &[-1, 1, rows * cols, c]));
            }
            (1, Layout::Map) => return Ok(self.reshape(x, &[-1, c, 1, rows * cols])),
            (_, Layout::Rows | Layout::Map) => {}
        }
        // Runtimes for phones take no more than four axes, so rows and columns of patches are parted one after the other.
        // Positions come out column by column, which no operation on patches sees; `fold` undoes it.
        match layout {
            Layout::Rows => {
                // Channels go last first, so that the transposes move whole rows of them.
                let x = self.transpose(x, &[0, 2, 3, 1]);
                let x = self.reshape(&x, &[-1, rows, p, cols * p * c]);
                let x = self.transpose(&x, &[0, 2, 1, 3]);
                let x = self.reshape(&x, &[-1, p * rows * cols, p, c]);
                let x = self.transpose(&x, &[0, 2, 1, 3]);
                Ok(self.reshape(&x, &[-1, p * p, rows * cols, c]))
            }
            Layout::Map => {
                let x = self.reshape(x, &[-1, c * rows, p, cols * p]);
                let x = self.transpose(&x, &[0, 2, 1, 3]);
                let x = self.reshape(&x, &[-1, p * c * rows * cols, p]);
                let x = self.transpose(&x, &[0, 2, 1]);
                let x = self.reshape(&x, &[-1, p * p, c, rows * cols]);
                Ok(self.transpose(&x, &[0, 2, 1, 3]))
            }
        }
    }

    pub(super) fn fold(&mut self, at: &NodeCtx, patch: u32, layout: Layout, (h, w): (u32, u32)) -> OnnxValue {
        let x = at.input(0)?;
        let [c, p, rows, cols] = [at.node.value.channels(), patch, h / patch, w / patch].map(i64::from);
        let (h, w) = (i64::from(h), i64::from(w));
        match (p, layout) {
            (1, Layout::Rows) => {
                let x = self.reshape(x, &[-1, h, w, c]);
                return Ok(self.transpose(&x, &[0, 3, 1, 2]));
            }
            (1, Layout::Map) => return Ok(self.reshape(x, &[-1, c, h, w])),
            (_, Layout::Rows | Layout::Map) => {}
        }
        match layout {
            Layout::Rows => {
                let x = self.reshape(x, &[-1, p, p * rows * cols, c]);
                let x = self.transpose(&x, &[0, 2, 1, 3]);
                let x = self.reshape(&x, &[-1, p, rows, cols * p * c]);
                let x = self.transpose(&x, &[0, 2, 1, 3]);
                let x = self.reshape(&x, &[-1, h, w, c]);
                Ok(self.transpose(&x, &[0, 3, 1, 2]))
            }
            Layout::Map => {
                let x = self.transpose(x, &[0, 2, 1, 3]);
                let x = self.reshape(&x, &[-1, p, p * c * rows * cols]);
                let x = self.transpose(&x, &[0, 2, 1]);
                let x = self.reshape(&x, &[-1, p, c * rows, cols * p]);
                let x = self.transpose(&x, &[0, 2, 1, 3]);
                Ok(self.reshape(&x, &[-1, c, h, w]))
            }
        }
    }

    /// The rows and columns of windows of a map of `h` x `w`, and what the map lacks to whole ones.
    fn cells(side: u32, (h, w): (u32, u32)) -> [[i64; 2]; 2] {
        [h, w].map(|size| [size.div_ceil(side), size.next_multiple_of(side) - size].map(i64::from))
    }

    pub(super) fn windows(&mut self, at: &NodeCtx, side: u32) -> OnnxValue {
        let source = self.source(at.index).and_then(|i| self.graph.nodes[i].value.hw());
        let size = source.ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let [[rows, below], [cols, right]] = Self::cells(side, size);
        let (c, side) = (i64::from(at.node.value.channels()), i64::from(side));
        let mut x = at.input(0)?.to_string();
        if below + right > 0 {
            let pads = self.w.ints(&[0, 0, 0, 0, 0, 0, below, right]);
            x = self.w.node("Pad", &[&x, &pads], vec![]);
        }
        if (rows, cols) == (1, 1) {
            return Ok(x);
        }
        let x = self.reshape(&x, &[-1, c, rows, side * cols * side]);
        let x = self.transpose(&x, &[0, 2, 1, 3]);
        let x = self.reshape(&x, &[-1, c * side, cols, side]);
        let x = self.transpose(&x, &[0, 2, 1, 3]);
        Ok(self.reshape(&x, &[-1, c, side, side]))
    }

    pub(super) fn unwindow(&mut self, at: &NodeCtx, (h, w): (u32, u32)) -> OnnxValue {
        let source = self.source(at.index).and_then(|i| self.graph.nodes[i].value.hw());
        let (side, _) = source.ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let [[rows, below], [cols, right]] = Self::cells(side, (h, w));
        let (c, side) = (i64::from(at.node.value.channels()), i64::from(side));
        let mut x = at.input(0)?.to_string();
        if (rows, cols) != (1, 1) {
            let parted = self.reshape(&x, &[-1, cols, c * side, side]);
            let parted = self.transpose(&parted, &[0, 2, 1, 3]);
            let parted = self.reshape(&parted, &[-1, rows, c, side * cols * side]);
            let parted = self.transpose(&parted, &[0, 2, 1, 3]);
            x = self.reshape(&parted, &[-1, c, rows * side, cols * side]);
        }
        for (axis, size, over) in [(2, h, below), (3, w, right)] {
            x = if over > 0 { self.slice_axis(&x, axis, 0, size) } else { x };
        }
        Ok(x)
    }

    /// `[C, H, W]` to `[H * W, C]`.
    pub(super) fn flatten_map(&mut self, at: &NodeCtx) -> OnnxValue {
        let (x, value) = (at.input(0)?, &at.node.value);
        let n = value.dims.first().map_or(1, |n| i64::from(*n));
        let x = self.reshape(x, &[0, i64::from(value.channels()), n]);
        Ok(self.transpose(&x, &[0, 2, 1]))
    }
}
