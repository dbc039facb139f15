//! Turning hues with Pillow's arithmetic, level for level: hue, saturation and value are levels, too, so that turning
//! by nothing is not quite the picture itself.

use crate::Picture;

/// Turns each pixel's hue by a part of the circle, from -0.5 to 0.5. Grey pictures stay as they are.
pub fn hue(picture: &mut Picture, turn: f64) {
    let turn = (turn * 255.0) as i32 as u8;
    if picture.channels == 3 {
        for pixel in picture.levels.as_chunks_mut::<3>().0 {
            let [h, s, v] = to_hsv(*pixel);
            *pixel = to_rgb([h.wrapping_add(turn), s, v]);
        }
    }
}

fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high == low {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let below = |level: u8| f32::from(high - level) / range;
    let (rc, gc, bc) = (below(r), below(g), below(b));
    let sixth = if r == high {
        bc - gc
    } else if g == high {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let h = ((f64::from(sixth) / 6.0 + 1.0) % 1.0) as f32;
    let s = range / f32::from(high);
    [(f64::from(h) * 255.0) as u8, (f64::from(s) * 255.0) as u8, high]
}

fn to_rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sixth = f64::from(h) * 6.0 / 255.0;
    let whole = sixth.floor();
    let f = f64::from((sixth - whole) as f32);
    let s = f64::from((f64::from(s) / 255.0) as f32);
    let level = |part: f64| (f64::from(v) * part).round().clamp(0.0, 255.0) as u8;
    let (p, q, t) = (level(1.0 - s), level(1.0 - s * f), level(1.0 - s * (1.0 - f)));
    match whole as u32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(turn: f64) -> Vec<u8> {
        let mut picture = Picture { width: LEVELS.len() / 3, height: 1, channels: 3, levels: LEVELS.to_vec() };
        hue(&mut picture, turn);
        picture.levels
    }

    #[test]
    fn levels_are_pillows() {
        for (turn, levels) in [(0.05, PLUS), (-0.05, MINUS), (0.0, NONE), (0.4, FAR)] {
            assert_eq!(turned(turn), levels, "{turn}");
        }
        let mut grey = Picture { width: 2, height: 1, channels: 1, levels: vec![3, 200] };
        hue(&mut grey, 0.3);
        assert_eq!(grey.levels, [3, 200]);
    }

    /// Levels, and what torchvision 0.26's `adjust_hue` makes of them with Pillow 12.
    const LEVELS: [u8; 66] = [
        68, 32, 130, 60, 253, 230, 241, 194, 107, 48, 249, 14, 199, 221, 1, 228, 136, 117, 52, 162, 15, 11, 13, 4, 195,
        110, 216, 14, 113, 224, 253, 119, 176, 118, 112, 235, 148, 11, 213, 51, 95, 151, 0, 0, 0, 255, 255, 255, 9, 9,
        9, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 0, 0, 254, 255, 255,
    ];
    const PLUS: [u8; 66] = [
        94, 32, 130, 61, 224, 253, 241, 230, 108, 15, 249, 42, 141, 221, 2, 228, 167, 117, 15, 162, 19, 9, 13, 4, 216,
        110, 207, 14, 59, 224, 253, 119, 141, 153, 112, 235, 201, 12, 213, 52, 68, 151, 0, 0, 0, 255, 255, 255, 9, 9,
        9, 255, 72, 0, 0, 255, 72, 72, 0, 255, 1, 0, 0, 254, 255, 255,
    ];
    const MINUS: [u8; 66] = [
        39, 32, 130, 61, 253, 174, 241, 155, 108, 119, 249, 15, 221, 177, 2, 228, 117, 128, 95, 162, 15, 13, 12, 4,
        165, 110, 216, 14, 177, 224, 253, 119, 217, 112, 141, 235, 87, 12, 213, 52, 124, 151, 0, 0, 0, 255, 255, 255,
        9, 9, 9, 255, 0, 66, 72, 255, 0, 0, 72, 255, 1, 0, 0, 254, 255, 255,
    ];
    const NONE: [u8; 66] = [
        67, 32, 130, 61, 253, 228, 241, 192, 108, 53, 249, 15, 203, 221, 2, 228, 135, 117, 53, 162, 15, 11, 13, 4, 195,
        110, 216, 14, 118, 224, 253, 119, 179, 118, 112, 235, 144, 12, 213, 52, 96, 151, 0, 0, 0, 255, 255, 255, 9, 9,
        9, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 0, 0, 254, 255, 255,
    ];
    const FAR: [u8; 66] = [
        130, 104, 32, 253, 61, 201, 108, 236, 241, 70, 15, 249, 2, 115, 221, 117, 228, 180, 36, 15, 162, 4, 8, 13, 197,
        216, 110, 224, 14, 34, 129, 253, 119, 235, 164, 112, 206, 213, 12, 151, 52, 56, 0, 0, 0, 255, 255, 255, 9, 9,
        9, 0, 255, 102, 102, 0, 255, 255, 96, 0, 0, 1, 0, 255, 254, 255,
    ];
}
