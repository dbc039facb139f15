//! The features of regions.

use mobilenas_space::ir::regions::{Corners, bins, level, spread};
use tch::{Kind, TchError, Tensor};

/// A region of an image of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// The image's place in the batch.
    pub image: usize,
    /// Left, top, right and bottom in pixels of the images.
    pub corners: Corners,
}

/// The features of regions, `[R, C, side, side]`, from the maps `[B, C, H, W]` of a pyramid's levels. All bins of all regions
/// are one sum of rows with weights, so no gradient of a whole map is made for a single region.
pub(crate) fn features(maps: &[&Tensor], regions: &[Region], (side, stride): (u32, u32)) -> Result<Tensor, TchError> {
    let (mut tables, mut begins, mut end) = (Vec::with_capacity(maps.len()), Vec::with_capacity(maps.len()), 0);
    for map in maps {
        let (b, c, h, w) = map.size4()?;
        tables.push(map.f_permute([0, 2, 3, 1])?.f_reshape([-1, c])?);
        begins.push((end, h as usize, w as usize));
        end += b * h * w;
    }
    let (table, channels) = (Tensor::f_cat(&tables, 0)?, tables.first().map_or(0, |t| t.size()[1]));
    // Sums of many small parts need their digits.
    let table = if table.kind() == Kind::Double { table } else { table.f_to_kind(Kind::Float)? };
    let (mut places, mut weights, mut offsets): (Vec<i64>, Vec<f64>, Vec<i64>) = Default::default();
    for region in regions {
        let level = level(region.corners, maps.len());
        let Some((begin, rows, columns)) = begins.get(level).copied() else { continue };
        let begin = begin + (region.image * rows * columns) as i64;
        let stride = f64::from(stride) * (1u32 << level) as f64;
        bins(region.corners, stride, (rows, columns), side as usize, |taps| {
            offsets.push(places.len() as i64);
            for (at, weight) in taps {
                places.push(begin + at as i64);
                weights.push(weight);
            }
        });
    }
    let (n, side) = (regions.len() as i64, i64::from(side));
    if n == 0 {
        return table.f_narrow(0, 0, 0)?.f_reshape([0, channels, side, side]);
    }
    let device = table.device();
    let tensor = |v: &[i64]| Tensor::f_from_slice(v)?.f_to_device(device);
    let weights = Tensor::f_from_slice(&weights)?.f_to_device(device)?.f_to_kind(table.kind())?;
    let (sums, ..) = Tensor::f_embedding_bag(
        &table,
        &tensor(&places)?,
        &tensor(&offsets)?,
        false,
        SUM,
        false,
        Some(&weights),
        false,
    )?;
    sums.f_view([n, side, side, channels])?.f_permute([0, 3, 1, 2])
}

/// `embedding_bag`'s mode that adds.
const SUM: i64 = 0;

/// The features of regions that nobody names.
pub(crate) fn unnamed(maps: &[&Tensor], count: u32, (side, stride): (u32, u32)) -> Result<Tensor, TchError> {
    let Some(first) = maps.first() else { return Tensor::f_cat(maps, 0) };
    let (b, _, h, w) = first.size4()?;
    let size = |n: i64| f64::from(stride) * n as f64;
    let all = spread(count, (size(h), size(w)));
    let of_image = |image| all.iter().map(move |corners| Region { image, corners: *corners });
    let regions: Vec<Region> = (0..b as usize).flat_map(of_image).collect();
    features(maps, &regions, (side, stride))
}
