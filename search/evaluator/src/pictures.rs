//! Images with what a network finds in them, to be looked at.

use mobilenas_data::{Labels, TransformedDataset};
use mobilenas_image::{Area, Picture, cut_picture};
use mobilenas_space::families::Interpolation;
use mobilenas_task::{Batch, Outputs, Task};
use mobilenas_torch::{Mode, Net};

use super::EvalError;

/// Their longest side in pixels, at most.
const LONGEST: usize = 256;

/// Images at the given positions as PNG files, with the boxes or classes that the network finds drawn in. Damaged images are
/// left out, and a classifier has none.
///
/// # Errors
/// When libtorch refuses, or too many images are damaged.
pub fn pictures(
    net: &Net,
    images: &TransformedDataset,
    indices: &[usize],
    task: &dyn Task,
) -> Result<Vec<Vec<u8>>, EvalError> {
    let mut all = Vec::new();
    if task.labels() == Labels::Classes {
        return Ok(all);
    }
    let _guard = tch::no_grad_guard();
    for i in indices {
        for batch in images.batches(&[*i], 1) {
            let batch = batch?;
            let picture = images.whole(*i).ok().filter(|_| !batch.targets.is_empty());
            let Some(mut picture) = picture.and_then(|p| smaller(&p.colored()).ok()) else { continue };
            let batch = Batch::new(&batch)?.to(net.device())?;
            let outputs = Outputs::run(net, &batch.images, Mode::Eval)?;
            task.draw(&outputs, std::slice::from_mut(&mut picture))?;
            all.extend(picture.png().ok());
        }
    }
    Ok(all)
}

/// A picture whose longest side has at most [`LONGEST`] pixels.
fn smaller(picture: &Picture) -> Result<Picture, String> {
    let longest = picture.width.max(picture.height);
    let side = |side: usize| (side * LONGEST.min(longest) / longest.max(1)).max(1) as u32;
    let whole = Area { x: 0, y: 0, width: picture.width as u32, height: picture.height as u32 };
    cut_picture(picture, whole, (side(picture.width), side(picture.height)), Interpolation::Bilinear)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_made_smaller_and_keep_their_ratio() {
        let size = |width, height| {
            let small = smaller(&Picture::black(width, height, 3)).unwrap();
            (small.width, small.height)
        };
        assert_eq!(
            [size(640, 480), size(480, 640), size(96, 160), size(1000, 1)],
            [(256, 192), (192, 256), (96, 160), (256, 1)]
        );
    }
}
