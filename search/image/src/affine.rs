//! Straight lines to straight lines: turning, shearing and moving, with Pillow's arithmetic, level for level. What comes in
//! from outside is filled.

use mobilenas_space::families::Interpolation;

use crate::Picture;

/// Where a new pixel's middle (x, y) comes from: `(a x + b y + c, d x + e y + f)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Shears along rows.
    pub fn shear_x(factor: f64) -> Affine {
        Affine([1.0, factor, 0.0, 0.0, 1.0, 0.0])
    }

    /// Shears along columns.
    pub fn shear_y(factor: f64) -> Affine {
        Affine([1.0, 0.0, 0.0, factor, 1.0, 0.0])
    }

    /// Moves to the left and up.
    pub fn shift(x: f64, y: f64) -> Affine {
        Affine([1.0, 0.0, x, 0.0, 1.0, y])
    }

    /// Turns against the clock about the middle of a picture of a size.
    pub fn turn(degrees: f64, (width, height): (usize, usize)) -> Affine {
        let (sin, cos) = (-degrees.to_radians()).sin_cos();
        let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
        Affine([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// The picture transformed; `fill` is the pixel that comes in.
    pub fn apply(&self, picture: &Picture, fill: &[u8], how: Interpolation) -> Picture {
        let (w, h, c) = (picture.width, picture.height, picture.channels);
        let mut out = Picture::black(w, h, c);
        let sample = match how {
            Interpolation::Bilinear => bilinear,
            Interpolation::Bicubic => bicubic,
        };
        for (y, row) in out.levels.chunks_exact_mut((w * c).max(1)).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(c).enumerate() {
                let (fx, fy) = self.at(x as f64 + 0.5, y as f64 + 0.5);
                if fx < 0.0 || fy < 0.0 || fx >= w as f64 || fy >= h as f64 {
                    pixel.copy_from_slice(&fill[..c]);
                } else {
                    sample(picture, fx - 0.5, fy - 0.5, pixel);
                }
            }
        }
        out
    }
}

/// The row or column `at`, or the nearest there is.
fn inside(at: i64, size: usize) -> usize {
    at.clamp(0, size as i64 - 1) as usize
}

fn bilinear(p: &Picture, x: f64, y: f64, out: &mut [u8]) {
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let [x0, x1] = [0, 1].map(|k| inside(left as i64 + k, p.width));
    let [y0, y1] = [0, 1].map(|k| inside(top as i64 + k, p.height));
    let between = |a: f64, b: f64, d: f64| a + (b - a) * d;
    for (k, level) in out.iter_mut().enumerate() {
        let row = |y: usize| between(f64::from(p.pixel(x0, y)[k]), f64::from(p.pixel(x1, y)[k]), dx);
        *level = between(row(y0), row(y1), dy) as u8;
    }
}

fn cubic(v: [f64; 4], d: f64) -> f64 {
    let (p2, p3, p4) = (-v[0] + v[2], 2.0 * (v[0] - v[1]) + v[2] - v[3], -v[0] + v[1] - v[2] + v[3]);
    v[1] + d * (p2 + d * (p3 + d * p4))
}

fn bicubic(p: &Picture, x: f64, y: f64, out: &mut [u8]) {
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let columns = [-1, 0, 1, 2].map(|k| inside(left as i64 + k, p.width));
    let rows = [-1, 0, 1, 2].map(|k| inside(top as i64 + k, p.height));
    for (k, level) in out.iter_mut().enumerate() {
        let row = |y: usize| cubic(columns.map(|x| f64::from(p.pixel(x, y)[k])), dx);
        *level = cubic(rows.map(row), dy).clamp(0.0, 255.0) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let levels = (0..5 * 4).flat_map(|i| [i * 11 % 251, i * 53 % 256, i * i % 256].map(|v| v as u8)).collect();
        Picture { width: 5, height: 4, channels: 3, levels }
    }

    #[test]
    fn whole_pixels_move_as_they_are_and_the_fill_comes_in() {
        let grey = Picture { width: 3, height: 2, channels: 1, levels: vec![1, 2, 3, 4, 5, 6] };
        for how in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let moved = |x, y| Affine::shift(x, y).apply(&grey, &[9], how).levels;
            assert_eq!(moved(0.0, 0.0), grey.levels);
            assert_eq!(moved(1.0, 0.0), [2, 3, 9, 5, 6, 9]);
            assert_eq!(moved(0.0, -1.0), [9, 9, 9, 1, 2, 3]);
            // The lower row comes from one pixel further right.
            assert_eq!(Affine([1.0, 1.0, -0.5, 0.0, 1.0, 0.0]).apply(&grey, &[9], how).levels, [1, 2, 3, 5, 6, 9]);
        }
        let square = Picture { width: 2, height: 2, channels: 1, levels: vec![1, 2, 3, 4] };
        let turned = Affine::turn(90.0, (2, 2)).apply(&square, &[9], Interpolation::Bilinear);
        assert!(turned.levels.iter().zip([2u8, 4, 1, 3]).all(|(a, b)| a.abs_diff(b) <= 1), "{:?}", turned.levels);
    }

    #[test]
    fn levels_are_pillows() {
        let red = |p: Picture| p.levels.chunks(3).map(|c| c[0]).collect::<Vec<_>>();
        let fill = [124, 116, 104];
        let at = |a: Affine, how| red(a.apply(&picture(), &fill, how));
        let turn = Affine::turn(27.0, (5, 4));
        assert_eq!(at(turn, Interpolation::Bilinear), PILLOW_TURNED);
        assert_eq!(at(turn, Interpolation::Bicubic), PILLOW_TURNED_CUBIC);
        assert_eq!(at(Affine::shear_x(0.27), Interpolation::Bicubic), PILLOW_SHEARED);
        assert_eq!(at(Affine::shift(0.0, -1.45), Interpolation::Bilinear), PILLOW_MOVED);
    }

    /// Red of Pillow 12's `rotate(27)`, bilinear and bicubic, and of its shears and moves.
    const PILLOW_TURNED: [u8; 20] =
        [124, 19, 38, 73, 102, 12, 47, 82, 117, 151, 57, 91, 126, 161, 196, 106, 135, 170, 189, 124];
    const PILLOW_TURNED_CUBIC: [u8; 20] =
        [124, 10, 36, 66, 107, 10, 40, 86, 118, 150, 58, 90, 122, 168, 198, 101, 142, 172, 198, 124];
    const PILLOW_SHEARED: [u8; 20] =
        [1, 13, 24, 35, 45, 58, 70, 81, 94, 100, 115, 127, 138, 151, 124, 174, 185, 196, 208, 124];
    const PILLOW_MOVED: [u8; 20] =
        [124, 124, 124, 124, 124, 0, 11, 22, 33, 44, 30, 41, 52, 63, 74, 85, 96, 107, 118, 129];
}
