//! Composed scenes: their files say the same in both layouts, and what they say is what the images show.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_data::dataset::{ReadOptions as ImageOptions, dataset};
use mobilenas_dense::dataset::{Coco, DenseDataset, DenseReader, ReadOptions, Voc};
use mobilenas_dense::shapes::{ShapesConfig, Sprites, compose, write};

/// Discs, and squares with a hole, of 12 x 12 pixels.
fn sprites() -> (Vec<u8>, Vec<u32>) {
    let level = |i: usize| {
        let (n, x, y) = (i / 144, (i % 12) as i32 - 6, (i / 12 % 12) as i32 - 6);
        let inside = if n % 2 == 0 { x * x + y * y < 30 } else { x.abs().max(y.abs()) < 5 && x.abs().max(y.abs()) > 1 };
        if inside { 90 + 20 * n as u8 } else { 0 }
    };
    ((0..6 * 144).map(level).collect(), (0..6).map(|n| n % 3).collect())
}

fn config() -> ShapesConfig {
    ShapesConfig { train: 9, val: 4, min_side: 50, max_side: 80, ..ShapesConfig::default() }
}

fn classes() -> Vec<String> {
    ["disc/\u{df}", "a < b & c", "third"].map(str::to_string).to_vec()
}

fn written(dir: &Path, config: &ShapesConfig) -> PathBuf {
    let (levels, labels) = sprites();
    let sprites = Sprites { width: 12, height: 12, levels: &levels, labels: &labels };
    let out = dir.join(format!("shapes{}", config.seed));
    let written = write(&out, [&sprites, &sprites], &classes(), config).unwrap();
    assert!(written.images == 13 && written.objects > 13, "{written:?}");
    out
}

fn load(reader: &dyn DenseReader, dir: &Path, split: &str) -> DenseDataset {
    let strict = ReadOptions { damaged_limit: 0.0, masks: true, ..ReadOptions::default() };
    reader.load(dir, split, &strict).unwrap()
}

/// The files under a folder with their bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            all.extend(files(&entry).into_iter().map(|(p, b)| (PathBuf::from(entry.file_name().unwrap()).join(p), b)));
        } else {
            all.insert(PathBuf::from(entry.file_name().unwrap()), fs::read(&entry).unwrap());
        }
    }
    all
}

/// Every box is tight around its mask, every mask is of its class in the class map, and nothing else is in there.
fn assert_consistent(dir: &Path, split: &str, images: usize) {
    let (coco, voc) = (load(&Coco, dir, split), load(&Voc, dir, split));
    assert_eq!((coco.images.len(), voc.images.len()), (images, images));
    let names = |d: &DenseDataset| d.classes.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&coco), names(&voc));
    for (i, (a, b)) in coco.images.iter().zip(&voc.images).enumerate() {
        assert_eq!((&a.path, a.width, a.height), (&b.path, b.width, b.height));
        let told = |o: &mobilenas_dense::dataset::Object| (o.xywh, o.class);
        assert_eq!(a.objects.iter().map(told).collect::<Vec<_>>(), b.objects.iter().map(told).collect::<Vec<_>>());
        let (w, h) = (a.width as usize, a.height as usize);
        let mut map = vec![0u8; w * h];
        for object in &a.objects {
            let mask = object.shape.as_ref().unwrap().rle(h, w).unwrap();
            assert_eq!((mask.bbox().xywh(), mask.area() as f64), (object.xywh, object.area));
            let inside = mask.decode();
            map.iter_mut().zip(inside).filter(|(_, l)| *l == 1).for_each(|(m, _)| {
                assert_eq!(*m, 0, "masks share no pixel");
                *m = object.class as u8 + 1;
            });
        }
        let sample = voc.sample(i).unwrap();
        assert_eq!(sample.target.map.unwrap().labels, map);
        assert_eq!(sample.target.boxes.len(), a.objects.len());
        assert!(!a.objects.is_empty());
    }
}

#[test]
fn both_layouts_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let out = written(dir.path(), &config());
    assert_consistent(&out, "train", 9);
    assert_consistent(&out, "val", 4);
    assert_eq!(load(&Voc, &out, "val").classes[1].name, "a < b & c");
    assert!(!dir.path().join("shapes1.part").exists());
    let text = fs::read_to_string(out.join("Annotations/000001.xml")).unwrap();
    assert!(text.contains("<filename>000001.png</filename>"), "{text}");
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let [a, b] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (first, second) = (files(&written(a.path(), &config())), files(&written(b.path(), &config())));
    assert_eq!(first, second);
    assert_eq!(first.len(), 3 * 13 + 2 + 4 + 1);
    let other = files(&written(a.path(), &ShapesConfig { seed: 2, ..config() }));
    let scene = Path::new("JPEGImages/000001.png");
    assert_ne!(first[scene], other[scene]);
    assert_ne!(first[scene], first[Path::new("JPEGImages/000002.png")]);
    // A scene does not depend on how many there are.
    let (levels, labels) = sprites();
    let sprites = Sprites { width: 12, height: 12, levels: &levels, labels: &labels };
    let longer = ShapesConfig { train: 12, ..config() };
    assert_eq!(compose(&sprites, &config(), 0, 5).unwrap(), compose(&sprites, &longer, 0, 5).unwrap());
}

#[test]
fn what_cannot_be_composed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let out = written(dir.path(), &config());
    let (levels, labels) = sprites();
    let sprites = Sprites { width: 12, height: 12, levels: &levels, labels: &labels };
    let said = |dir: &Path, classes: &[String], config: &ShapesConfig| {
        write(dir, [&sprites, &sprites], classes, config).unwrap_err().to_string()
    };
    let text = said(&out, &classes(), &config()).replace(&out.display().to_string(), "OUT");
    assert_eq!(text, "OUT: found a folder that is not empty, expected an empty one, or none");
    let text = said(&dir.path().join("x"), &classes()[..2], &config());
    assert_eq!(text, "scenes: found 2 names for classes up to 2, expected a name for each class, at most 254");
    let text = said(&dir.path().join("x"), &classes(), &ShapesConfig { min_object: 30, ..config() });
    assert!(text.starts_with("scenes: found sides (50, 80, 30, 96), expected "), "{text}");
    let none = Sprites { labels: &[], levels: &[], ..sprites };
    assert!(
        compose(&none, &config(), 0, 0).unwrap_err().to_string().starts_with("scenes: found 0 levels for 0 images")
    );
}

/// Scenes of Fashion-MNIST: all classes, sizes and overlaps occur.
#[test]
fn fashion_mnist_is_composed() {
    let root = std::env::var_os("MOBILENAS_DATA").expect("`cargo xtask test` fetches the data and sets it");
    let fashion = dataset("fashion-mnist").unwrap();
    let splits = fashion.load(&Path::new(&root).join("fashion-mnist"), &ImageOptions::default()).unwrap();
    let images = splits.train.images.memory().unwrap();
    let labels: Vec<u32> = splits.train.targets.iter().filter_map(|t| t.class()).collect();
    let sprites = Sprites { width: images.width, height: images.height, levels: &images.pixels, labels: &labels };
    let config = ShapesConfig::default();
    let (mut count, mut classes, mut small, mut large, mut hidden) = (0, [0; 10], 0, 0, 0);
    for index in 0..300 {
        let scene = compose(&sprites, &config, 0, index).unwrap();
        assert!((96..=160).contains(&scene.image.width) && (96..=160).contains(&scene.image.height));
        assert!((1..=6).contains(&scene.objects.len()));
        for o in &scene.objects {
            count += 1;
            classes[o.class as usize] += 1;
            small += usize::from(o.mask.area() < 32 * 32);
            large += usize::from(o.mask.area() > 48 * 48);
            hidden += usize::from(o.visible < 1.0);
            assert!(o.visible >= 0.4);
        }
    }
    assert!(classes.iter().all(|n| *n > count / 30), "{classes:?}");
    assert!(small > count / 5 && large > count / 20 && hidden > count / 20, "{small} {large} {hidden} of {count}");
}
