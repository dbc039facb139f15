//! From image files to batches: what is cut out, what is damaged, how much memory it takes, and who makes which part.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use mobilenas_data::Target;
use mobilenas_data::dataset::{Dataset, ImageSource, InMemoryImages};
use mobilenas_data::loader::{
    Batch, DataLoader, LoaderConfig, MemoryBudget, Normalization, Sampler, Share, TransformedDataset,
};
use mobilenas_data::transform::{Augment, crop::Crop, mix::Mix};
use mobilenas_image::{Area, Picture, cut_file, decode};
use mobilenas_space::families::Interpolation;
use tempfile::TempDir;

fn jpegs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/jpegs")
}

/// Sub-sampled colours, restart markers, scans that refine, grey, turned by the camera: whatever is left out when only a part
/// is wanted, the part has the levels that the whole image has there.
#[test]
fn a_part_of_a_file_is_that_part_of_the_whole() {
    for name in
        ["420.jpg", "422.jpg", "444.jpg", "restarts.jpg", "progressive.jpg", "grey.jpg", "turned.jpg", "cmyk.jpg"]
    {
        let file = jpegs().join(name);
        let (bytes, whole) = (fs::read(&file).unwrap(), Picture::from(decode(&file).unwrap()));
        let (w, h) = (whole.width as u32, whole.height as u32);
        for y in 0..h - 8 {
            for height in [1, 7, 8].into_iter().chain([h - y]) {
                let area = Area { x: y % 5, y, width: w - 2 * (y % 5), height };
                let seen = |size: (u32, u32)| {
                    assert_eq!(size, (w, h), "{name}");
                    area
                };
                let part = cut_file(&bytes, seen, (area.width, height), Interpolation::Bilinear).unwrap();
                let expected = whole.part((area.x as usize, y as usize), (area.width as usize, height as usize));
                assert!(part == expected, "{name}: {area:?}");
            }
        }
    }
}

/// A JPEG of four inks, as Pillow has it within the rounding of the transform.
#[test]
fn cmyk_becomes_red_green_and_blue() {
    let image = decode(&jpegs().join("cmyk.jpg")).unwrap();
    for (at, expected) in CMYK {
        let found = image.get_pixel(at.0, at.1).0;
        assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{at:?}: {found:?}, Pillow {expected:?}");
    }
}

/// Pillow's `convert("RGB")` of the file, at four places.
const CMYK: [((u32, u32), [u8; 3]); 4] =
    [((2, 2), [219, 216, 0]), ((12, 12), [231, 222, 25]), ((20, 20), [212, 228, 40]), ((10, 8), [240, 51, 20])];

fn write(path: PathBuf, image: impl Into<DynamicImage>, format: ImageFormat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    fs::write(path, out.into_inner()).unwrap();
}

fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(60, 45, |x, y| Rgb([(x * 4 + seed * 40) as u8, (y * 5) as u8, (x * y + seed) as u8]))
}

fn feed(data: Dataset, side: u32, batch: usize, damaged: f64, augment: Augment) -> DataLoader {
    let n = data.targets.len();
    let mut view = TransformedDataset::new(Arc::new(data), Normalization::rgb([0.5; 3], [0.25; 3]), damaged);
    (view.side, view.frame.side) = (Some(side), side);
    let sampler = Sampler { batch, repeats: 1, scale: None };
    let how = LoaderConfig { augment, sampler, label_smoothing: 0.0, threads: 2 };
    DataLoader::new(view, &(0..n).collect::<Vec<_>>(), how, 1).unwrap()
}

fn cropped() -> Augment {
    Augment { crop: Some(Crop::USUAL), flip: true, ..Augment::default() }
}

fn files(files: Vec<PathBuf>) -> Dataset {
    Dataset {
        targets: vec![Target::Class(0); files.len()],
        images: ImageSource::Files(files),
        classes: vec!["a".into()],
        ..Dataset::default()
    }
}

/// Grey, 16 bits, alpha, four inks, turned: all of them through the feed, three channels each.
#[test]
fn every_kind_of_file_goes_through_the_feed() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let grey: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(40, 30, |x, y| Luma([(x * 900 + y) as u16]));
    let alpha: ImageBuffer<LumaA<u8>, Vec<u8>> = ImageBuffer::from_fn(40, 30, |x, y| LumaA([(x * 6) as u8, y as u8]));
    let deep: ImageBuffer<Rgba<u16>, Vec<u16>> =
        ImageBuffer::from_fn(40, 30, |x, y| Rgba([x as u16 * 999, 7, y as u16, 9]));
    write(at("a.png"), grey, ImageFormat::Png);
    write(at("b.png"), alpha, ImageFormat::Png);
    write(at("c.png"), deep, ImageFormat::Png);
    let rgba = ImageBuffer::<Rgba<u8>, Vec<u8>>::from_fn(40, 30, |x, y| Rgba([x as u8, y as u8, 3, 0]));
    write(at("d.webp"), rgba, ImageFormat::WebP);
    let mut all: Vec<PathBuf> = ["a.png", "b.png", "c.png", "d.webp"].map(at).to_vec();
    all.extend(["cmyk.jpg", "grey.jpg", "turned.jpg", "progressive.jpg"].map(|n| jpegs().join(n)));
    for augment in [cropped(), Augment::default()] {
        let feed = feed(files(all.clone()), 24, 8, 0.0, augment);
        let batch = feed.at(0).unwrap();
        assert_eq!((batch.targets.len(), batch.shape), (8, (3, 24, 24)));
        assert!(batch.values.iter().all(|v| v.is_finite()));
        assert!(batch == feed.at(0).unwrap(), "the step alone decides");
        assert!(feed.images().damaged.list().is_empty());
    }
}

#[test]
fn damaged_images_are_replaced_up_to_the_limit_and_then_listed() {
    let dir = TempDir::new().unwrap();
    let mut all = Vec::new();
    for i in 0..20 {
        all.push(dir.path().join(format!("{i:02}.jpg")));
        write(all[i as usize].clone(), picture(i), ImageFormat::Jpeg);
    }
    let whole = fs::read(&all[0]).unwrap();
    fs::write(&all[3], &whole[..whole.len() / 2]).unwrap();
    fs::write(&all[11], b"").unwrap();
    // Two of twenty are let pass.
    let sound = feed(files(all.clone()), 16, 5, 0.1, cropped());
    let batches: Vec<_> = (0..4).map(|s| sound.at(s).unwrap()).collect();
    assert!(batches.iter().all(|b| b.targets.len() == 5), "others stand in");
    let list = sound.images().damaged.list();
    assert_eq!(list.len(), 2);
    assert!(list[0].ends_with("03.jpg: cut short") && list[1].ends_with("11.jpg: an empty file"), "{list:?}");
    let again = feed(files(all.clone()), 16, 5, 0.1, cropped());
    assert!((0..4).all(|s| again.at(s).unwrap() == batches[s as usize]), "always the same ones");
    // One more stops it, with the list; a stream hands the error on and ends.
    fs::write(&all[7], b"no image at all").unwrap();
    let broken = feed(files(all), 16, 5, 0.1, cropped());
    let mut stream = broken.prefetch(0, 1000, Batch::clone);
    let said = (0..1000).find_map(|_| stream.take().err()).unwrap().to_string();
    assert!(said.starts_with("3 damaged images among 20, expected at most 2 (data.damaged_limit):\n"), "{said}");
    assert!(
        ["03.jpg: cut short", "07.jpg: another format", "11.jpg: an empty file"].iter().all(|l| said.contains(l)),
        "{said}"
    );
}

/// Bytes of memory of this process.
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The most that memory grows while `work` runs.
fn growth(work: impl FnOnce()) -> usize {
    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (asked, seen, before) = (stop.clone(), most.clone(), resident());
    let watch = std::thread::spawn(move || {
        while !asked.load(Ordering::Relaxed) {
            seen.fetch_max(resident().saturating_sub(before), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    work();
    stop.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    most.load(Ordering::Relaxed)
}

#[test]
fn memory_stays_under_the_bound_whatever_the_speed_of_either_end() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("a.jpg");
    let photo = RgbImage::from_fn(1200, 900, |x, y| Rgb([(x / 4) as u8, (y / 4) as u8, (x ^ y) as u8]));
    write(file.clone(), photo, ImageFormat::Jpeg);
    let mut view =
        TransformedDataset::new(Arc::new(files(vec![file; 64])), Normalization::rgb([0.5; 3], [0.25; 3]), 0.0);
    (view.side, view.frame.side, view.budget) = (Some(256), 256, Arc::new(MemoryBudget::new(40 << 20)));
    let sampler = Sampler { batch: 64, repeats: 1, scale: None };
    let how = LoaderConfig { augment: cropped(), sampler, label_smoothing: 0.0, threads: 2 };
    let feed = DataLoader::new(view, &(0..64).collect::<Vec<_>>(), how, 1).unwrap();
    assert_eq!(feed.bound(), (40 << 20) + (feed.ahead() + 3) * feed.batch_bytes());
    drop(feed.at(0).unwrap());
    // A slow end: what is made waits, and no more is made.
    let grown = growth(|| {
        let mut stream = feed.prefetch(0, 1000, Batch::clone);
        for taken in 1..4 {
            drop(stream.take().unwrap());
            std::thread::sleep(Duration::from_millis(700));
            assert!(stream.made() <= taken + feed.ahead() as u64 + 1, "{} made, {taken} taken", stream.made());
        }
    });
    let room = feed.bound();
    assert!(grown <= room, "grew by {} MiB, {} MiB are stated", grown >> 20, room >> 20);
    // A fast end: nothing piles up.
    let grown = growth(|| {
        let mut stream = feed.prefetch(0, 8, Batch::clone);
        (0..8).for_each(|_| drop(stream.take().unwrap()));
    });
    assert!(grown <= room, "grew by {} MiB, {} MiB are stated", grown >> 20, room >> 20);
    assert!(feed.images().budget.peak() <= feed.images().budget.limit());
}

#[test]
fn images_in_memory_go_through_the_feed_at_any_side() {
    let images =
        InMemoryImages { n: 6, height: 8, width: 8, channels: 1, pixels: (0..6 * 64).map(|i| i as u8).collect() };
    let (images, targets) = (ImageSource::Memory(images), vec![Target::Class(0); 6]);
    let data = Dataset { images, targets, classes: vec!["a".into()], ..Dataset::default() };
    let batch = feed(data, 12, 3, 0.0, Augment::default()).at(0).unwrap();
    assert_eq!((batch.targets.len(), batch.shape), (3, (1, 12, 12)));
}

/// Mixed or not, the parts are the batch that one process makes, image by image.
#[test]
fn the_parts_of_several_processes_are_the_batch_of_one() {
    let images =
        InMemoryImages { n: 9, height: 8, width: 8, channels: 1, pixels: (0..9 * 64).map(|i| i as u8).collect() };
    let targets: Vec<Target> = (0..9).map(|i| Target::Class(i % 3)).collect();
    let classes = ["a", "b", "c"].map(str::to_string).to_vec();
    let data = Dataset { images: ImageSource::Memory(images), targets, classes, ..Dataset::default() };
    for (mix, ranks) in [(false, 3), (true, 2), (true, 4)] {
        let mix = mix.then_some(Mix { mixup: 1.0, cutmix: 1.0, switch: 0.5 });
        let mixed = mix.is_some();
        let feed = feed(data.clone(), 12, 9, 0.0, Augment { mix, shift: 2, flip: true, ..Augment::default() });
        for step in 0..4 {
            let whole = feed.at(step).unwrap();
            let (size, classes) = (whole.values.len() / 9, 3);
            for rank in 0..ranks {
                let share = Share { rank, ranks };
                let (part, slots) = (feed.share(share).at(step).unwrap(), share.slots(9, mixed));
                let of = |values: &[f32], size: usize| -> Vec<f32> {
                    slots.iter().flat_map(|slot| values[slot * size..(slot + 1) * size].to_vec()).collect()
                };
                assert!(part.values == of(&whole.values, size), "mixed {mixed}, step {step}, rank {rank} of {ranks}");
                let targets = whole.mixed.as_ref().map(|all| of(all, classes));
                assert_eq!(part.mixed, targets);
                assert_eq!(part.targets, slots.iter().map(|slot| whole.targets[*slot].clone()).collect::<Vec<_>>());
            }
        }
        assert_eq!(feed.count(0), 9);
    }
}
