//! Resizing in ONNX. Small maps are resized bilinearly by a matrix product, which ONNX Runtime computes several times faster
//! than the operator `Resize`.

use super::lower::{Lowering, NodeCtx, OnnxValue};
use super::proto::{Attribute, kind};

/// Maps of at most so many pixels are resized by a matrix: its work grows with the product of the pixels before and after.
const SMALL: u32 = 64;

/// The matrix `[to, from]` of interpolation weights along one axis.
fn weights(from: u32, to: u32, align_corners: bool) -> Vec<f64> {
    let row = |i: u32| {
        let at = match align_corners {
            true => f64::from(i) * f64::from(from - 1) / f64::from(to.max(2) - 1),
            false => ((f64::from(i) + 0.5) * f64::from(from) / f64::from(to) - 0.5).max(0.0),
        };
        let low = (at as u32).min(from - 1);
        let (high, share) = ((low + 1).min(from - 1), at - f64::from(low));
        (0..from).map(move |j| {
            let of = |k: u32, w: f64| if j == k { w } else { 0.0 };
            of(low, 1.0 - share) + of(high, share)
        })
    };
    (0..to).flat_map(row).collect()
}

/// The matrix `[to, from]` of means over the windows of adaptive pooling along one axis.
fn means(from: u32, to: u32) -> Vec<f64> {
    let row = |i: u32| {
        let window = i * from / to..((i + 1) * from).div_ceil(to);
        let share = 1.0 / f64::from(window.end - window.start);
        (0..from).map(move |j| if window.contains(&j) { share } else { 0.0 })
    };
    (0..to).flat_map(row).collect()
}

impl Lowering<'_> {
    pub(super) fn resize(&mut self, at: &NodeCtx, to: (u32, u32), align_corners: bool) -> OnnxValue {
        let from = self.source(at.index).and_then(|i| self.graph.nodes[i].value.hw());
        let from = from.ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let x = at.input(0)?;
        if from.0 * from.1 <= SMALL && to.0 * to.1 <= 8 * SMALL {
            return self.resize_by_matrix(at, from, to, align_corners);
        }
        let mode = if align_corners { "align_corners" } else { "half_pixel" };
        let size = self.w.ints(&[i64::from(to.0), i64::from(to.1)]);
        let attributes = vec![
            Attribute::ints("axes", &[2, 3]),
            Attribute::text("coordinate_transformation_mode", mode),
            Attribute::text("mode", "linear"),
        ];
        Ok(self.w.node("Resize", &[x, "", "", &size], attributes))
    }

    /// ONNX's coefficient is -0.75 unless told otherwise, too; it is written because runtimes differ in what they read.
    pub(super) fn resize_cubic(&mut self, at: &NodeCtx, to: (u32, u32)) -> OnnxValue {
        let size = self.w.ints(&[i64::from(to.0), i64::from(to.1)]);
        let attributes = vec![
            Attribute::ints("axes", &[2, 3]),
            Attribute::text("coordinate_transformation_mode", "half_pixel"),
            Attribute::text("mode", "cubic"),
            Attribute::float("cubic_coeff_a", -0.75),
        ];
        Ok(self.w.node("Resize", &[at.input(0)?, "", "", &size], attributes))
    }

    /// By scales of all axes: ONNX Runtime moves transpositions past `Resize`, and then reads sizes of two axes wrongly.
    /// Scales that are no whole numbers may round to another size; there rows and columns are gathered.
    pub(super) fn resize_nearest(&mut self, at: &NodeCtx, to: (u32, u32)) -> OnnxValue {
        let from = self.source(at.index).and_then(|i| self.graph.nodes[i].value.hw());
        let from = from.ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let x = at.input(0)?.to_string();
        if to.0.is_multiple_of(from.0) && to.1.is_multiple_of(from.1) {
            let scales = self.w.vectors(&[1.0, 1.0, (to.0 / from.0) as f32, (to.1 / from.1) as f32]);
            let attributes = vec![
                Attribute::text("coordinate_transformation_mode", "asymmetric"),
                Attribute::text("mode", "nearest"),
                Attribute::text("nearest_mode", "floor"),
            ];
            return Ok(self.w.node("Resize", &[&x, "", &scales], attributes));
        }
        // As PyTorch rounds.
        let nearest = |from: u32, to: u32| {
            let scale = from as f32 / to as f32;
            (0..to).map(|i| i64::from(((i as f32 * scale) as u32).min(from - 1))).collect::<Vec<_>>()
        };
        let (rows, columns) = (self.w.ints(&nearest(from.0, to.0)), self.w.ints(&nearest(from.1, to.1)));
        let tall = self.w.node("Gather", &[&x, &rows], vec![Attribute::int("axis", 2)]);
        Ok(self.w.node("Gather", &[&tall, &columns], vec![Attribute::int("axis", 3)]))
    }

    /// Windows of equal size are a pool. Others are a matrix product along each axis: ONNX has no pooling to a given size.
    pub(super) fn adaptive_avg_pool(&mut self, at: &NodeCtx, to: (u32, u32)) -> OnnxValue {
        let from = self.source(at.index).and_then(|i| self.graph.nodes[i].value.hw());
        let from = from.ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        if to == (1, 1) {
            return Ok(self.w.node("GlobalAveragePool", &[at.input(0)?], vec![]));
        }
        if from.0.is_multiple_of(to.0) && from.1.is_multiple_of(to.1) && from.0 / to.0 == from.1 / to.1 {
            return self.avg_pool(at, [from.0 / to.0, from.0 / to.0, 0]);
        }
        let mut side = |from: u32, to: u32, transposed: bool| {
            let rows = means(from, to);
            let at =
                |i: u32, j: u32| if transposed { rows[(j * from + i) as usize] } else { rows[(i * from + j) as usize] };
            let (h, w) = if transposed { (from, to) } else { (to, from) };
            let cells = (0..h).flat_map(|i| (0..w).map(move |j| (i, j)));
            let raw = cells.flat_map(|(i, j)| (at(i, j) as f32).to_le_bytes()).collect();
            let name = format!("means.{from}.{to}.{}", if transposed { "columns" } else { "rows" });
            self.w.tensor(name, kind::FLOAT, &[i64::from(h), i64::from(w)], raw)
        };
        let (rows, columns) = (side(from.0, to.0, false), side(from.1, to.1, true));
        let narrow = self.w.node("MatMul", &[at.input(0)?, &columns], vec![]);
        Ok(self.w.node("MatMul", &[&rows, &narrow], vec![]))
    }

    /// `[C, pixels before]` times `[pixels before, pixels after]`.
    fn resize_by_matrix(&mut self, at: &NodeCtx, from: (u32, u32), to: (u32, u32), align_corners: bool) -> OnnxValue {
        let (rows, cols) = (weights(from.0, to.0, align_corners), weights(from.1, to.1, align_corners));
        let mut matrix = Vec::with_capacity(rows.len() * cols.len());
        for (y, x) in (0..from.0).flat_map(|y| (0..from.1).map(move |x| (y, x))) {
            for (row, col) in (0..to.0).flat_map(|row| (0..to.1).map(move |col| (row, col))) {
                let weight = rows[(row * from.0 + y) as usize] * cols[(col * from.1 + x) as usize];
                matrix.extend((weight as f32).to_le_bytes());
            }
        }
        let (before, after) = (i64::from(from.0 * from.1), i64::from(to.0 * to.1));
        let mode = if align_corners { "corners" } else { "halves" };
        let name = format!("resize.{}x{}.{}x{}.{mode}", from.0, from.1, to.0, to.1);
        let matrix = self.w.tensor(name, kind::FLOAT, &[before, after], matrix);
        let channels = i64::from(at.node.value.channels());
        let flat = self.reshape(at.input(0)?, &[0, channels, before]);
        let product = self.w.node("MatMul", &[&flat, &matrix], vec![]);
        Ok(self.reshape(&product, &[0, channels, i64::from(to.0), i64::from(to.1)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_adaptive_pooling_overlap_as_in_pytorch() {
        let third = 1.0 / 3.0;
        assert_eq!(means(5, 2), [third, third, third, 0.0, 0.0, 0.0, 0.0, third, third, third]);
        assert_eq!(means(4, 2), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]);
    }

    #[test]
    fn weights_interpolate_between_neighbours() {
        assert_eq!(weights(2, 4, false), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        assert_eq!(weights(2, 3, true), [1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
        assert_eq!(weights(3, 1, true), [1.0, 0.0, 0.0]);
        assert_eq!(weights(1, 2, false), [1.0, 1.0]);
        for (from, to) in [(7, 14), (5, 7), (8, 3)] {
            for row in weights(from, to, false).chunks(from as usize) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
    }
}
