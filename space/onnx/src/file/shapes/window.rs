//! Operators over windows, resizing, and recurrent layers.

use super::known::{Known, Op};

pub(super) fn infer(name: &str, op: &Op) -> Option<Vec<Known>> {
    match name {
        "Conv" | "FusedConv" | "ConvInteger" | "NhwcFusedConv" => conv(op, 1),
        "QLinearConv" => conv(op, 3),
        "ConvTranspose" => transposed(op),
        "MaxPool" | "AveragePool" | "LpPool" | "QLinearAveragePool" => pool(op),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" | "QLinearGlobalAveragePool" => {
            let dims = op.dims(0)?;
            Some(vec![Known::sized(dims.iter().enumerate().map(|(i, d)| if i < 2 { *d } else { 1 }).collect())])
        }
        "Resize" | "Upsample" => resize(name, op),
        "GridSample" => {
            let ([n, c, ..], [_, grid @ .., _]) = (op.dims(0)?, op.dims(1)?) else { return None };
            Some(vec![Known::sized([&[*n, *c], grid].concat())])
        }
        "LSTM" | "GRU" | "RNN" => recurrent(name, op),
        _ => None,
    }
}

/// Sizes of an axis after windows: its size, the window's, and which of the spatial axes it is.
fn windows(op: &Op, size: i64, kernel: i64, at: usize, spatial: usize) -> Option<i64> {
    let of = |name: &str, default: i64| op.list(name).map_or(Some(default), |l| l.get(at).copied());
    let (stride, dilation) = (of("strides", 1)?.max(1), of("dilations", 1)?);
    let reach = (kernel - 1) * dilation + 1;
    match op.text("auto_pad").unwrap_or("NOTSET") {
        "SAME_UPPER" | "SAME_LOWER" => Some((size + stride - 1) / stride),
        "VALID" => Some((size - reach).div_euclid(stride) + 1),
        _ => {
            let pads = match op.list("pads") {
                Some(p) => p.get(at)? + p.get(at + spatial)?,
                None => 0,
            };
            let free = size + pads - reach;
            let steps = match op.int("ceil_mode", 0) {
                1 => {
                    let steps = (free + stride - 1).div_euclid(stride);
                    // The last window has to begin within the input or the padding before it.
                    let before = op.list("pads").and_then(|p| p.get(at).copied()).unwrap_or(0);
                    if steps * stride >= size + before { steps - 1 } else { steps }
                }
                _ => free.div_euclid(stride),
            };
            Some(steps + 1)
        }
    }
}

fn conv(op: &Op, weights: usize) -> Option<Vec<Known>> {
    let ([n, _, size @ ..], [out, _, kernel @ ..]) = (op.dims(0)?, op.dims(weights)?) else { return None };
    let spatial = size.len();
    let sizes = size.iter().zip(kernel).enumerate().map(|(i, (s, k))| windows(op, *s, *k, i, spatial));
    Some(vec![Known::sized([*n, *out].into_iter().map(Some).chain(sizes).collect::<Option<_>>()?)])
}

fn transposed(op: &Op) -> Option<Vec<Known>> {
    let ([n, _, size @ ..], [_, out, kernel @ ..]) = (op.dims(0)?, op.dims(1)?) else { return None };
    let spatial = size.len();
    let channels = out * op.int("group", 1);
    let one = |(i, (s, k)): (usize, (&i64, &i64))| {
        let of = |name: &str, default: i64| op.list(name).map_or(Some(default), |l| l.get(i).copied());
        if let Some(given) = op.list("output_shape") {
            return given.get(given.len() + i - spatial).copied();
        }
        let stride = of("strides", 1)?;
        if op.text("auto_pad").is_some_and(|p| p.starts_with("SAME")) {
            return Some(s * stride);
        }
        let pads = match op.list("pads") {
            Some(p) => p.get(i)? + p.get(i + spatial)?,
            None => 0,
        };
        Some(stride * (s - 1) + of("output_padding", 0)? + (k - 1) * of("dilations", 1)? + 1 - pads)
    };
    let sizes = size.iter().zip(kernel).enumerate().map(one);
    Some(vec![Known::sized([*n, channels].into_iter().map(Some).chain(sizes).collect::<Option<_>>()?)])
}

fn pool(op: &Op) -> Option<Vec<Known>> {
    let ([n, c, size @ ..], kernel) = (op.dims(0)?, op.list("kernel_shape")?) else { return None };
    let spatial = size.len();
    let sizes = size.iter().zip(kernel).enumerate().map(|(i, (s, k))| windows(op, *s, *k, i, spatial));
    let pooled = Known::sized([*n, *c].into_iter().map(Some).chain(sizes).collect::<Option<_>>()?);
    Some(vec![pooled.clone(), pooled])
}

fn resize(name: &str, op: &Op) -> Option<Vec<Known>> {
    let dims = op.dims(0)?;
    // Older operator sets have the scales second; the newest may name the axes that they are for.
    let (scales, sizes) = if name == "Upsample" || op.opset < 11 { (1, 3) } else { (2, 3) };
    let axes: Vec<usize> = match op.list("axes") {
        Some(axes) => axes.iter().map(|a| super::known::axis(*a, dims.len())).collect::<Option<_>>()?,
        None => (0..dims.len()).collect(),
    };
    let mut resized = dims.to_vec();
    if op.has(sizes) {
        for (at, size) in axes.iter().zip(op.ints(sizes)?) {
            resized[*at] = size;
        }
    } else {
        let attribute = || op.attribute("scales").map(|a| a.floats.iter().map(|v| f64::from(*v)).collect());
        let scales: Vec<f64> = op.input(scales).and_then(|k| k.numbers.clone()).or_else(attribute)?;
        for (at, scale) in axes.iter().zip(&scales) {
            resized[*at] = (dims[*at] as f64 * scale).floor() as i64;
        }
    }
    Some(vec![Known::sized(resized)])
}

/// All states, the last one, and that of an LSTM's cells.
fn recurrent(name: &str, op: &Op) -> Option<Vec<Known>> {
    let ([first, second, _], [directions, _, hidden]) = (op.dims(0)?, op.dims(2)?) else { return None };
    let last = Known::sized(vec![*directions, if op.int("layout", 0) == 1 { *first } else { *second }, *hidden]);
    let all = match op.int("layout", 0) {
        1 => vec![*first, *second, *directions, *hidden],
        _ => vec![*first, *directions, *second, *hidden],
    };
    let mut found = vec![Known::sized(all), last.clone()];
    found.extend((name == "LSTM").then_some(last));
    Some(found)
}
