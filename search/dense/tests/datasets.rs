//! Each layout of boxes and class maps: read whole, and with every kind of damage.

use std::fs;
use std::path::Path;

use mobilenas_dense::dataset::{Ade20k, Coco, Damage, DenseDataset, DenseReader, MaskFolder, ReadOptions, Voc};
use mobilenas_dense::{ClassMap, DenseError, IGNORED};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Writes an image or a class map of a size: a PNG with a palette is both.
fn png(path: &Path, (width, height): (usize, usize), label: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, ClassMap::filled(width, height, label).write_png().unwrap()).unwrap();
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn load(name: &str, dir: &TempDir, split: &str, options: &ReadOptions) -> Result<DenseDataset, DenseError> {
    let readers: [&dyn DenseReader; 4] = [&Coco, &Voc, &Ade20k, &MaskFolder];
    readers.into_iter().find(|r| r.name() == name).unwrap().load(dir.path(), split, options)
}

fn lenient() -> ReadOptions {
    ReadOptions { damaged_limit: 1.0, masks: true, ..ReadOptions::default() }
}

fn told(dir: &TempDir, text: impl ToString) -> String {
    text.to_string().replace(&dir.path().display().to_string(), "DIR")
}

fn error(name: &str, dir: &TempDir, split: &str) -> String {
    told(dir, load(name, dir, split, &ReadOptions::default()).unwrap_err())
}

/// Three images of 20 x 10 with ids that are not in order, and categories whose ids are not contiguous.
fn coco(dir: &TempDir) -> Value {
    for name in ["a.png", "b.png", "c.png"] {
        png(&dir.path().join("val").join(name), (20, 10), 3);
    }
    let image = |id: u64, name: &str| json!({"id": id, "file_name": name, "width": 20, "height": 10});
    json!({
        "info": {"year": 2026}, "images": [image(9, "c.png"), image(2, "a.png"), image(5, "b.png")],
        "categories": [{"id": 17, "name": "cat"}, {"id": 3, "name": "car", "supercategory": "vehicle"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 17, "bbox": [1, 2, 3.5, 4], "area": 7.25, "iscrowd": 0,
             "segmentation": [[1, 2, 4.5, 2, 4.5, 6, 1, 6]]},
            {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0, 0, 2, 10], "area": 20, "iscrowd": 1,
             "segmentation": {"size": [10, 20], "counts": [0, 20, 180]}},
            {"id": 3, "image_id": 9, "category_id": 3, "bbox": [18, 0, 2.5, 10], "area": 20, "iscrowd": 0,
             "segmentation": {"size": [10, 20], "counts": "d5d0"}},
        ],
    })
}

fn put(dir: &TempDir, json: &Value) {
    write(&dir.path().join("annotations/instances_val.json"), &json.to_string());
}

#[test]
fn coco_is_read_with_its_three_forms_of_masks() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir, &coco(&dir));
    let data = load("coco", &dir, "val", &ReadOptions { masks: true, ..ReadOptions::default() }).unwrap();
    assert_eq!(data.images.iter().map(|i| (i.id, i.objects.len())).collect::<Vec<_>>(), [(2, 1), (5, 0), (9, 2)]);
    assert_eq!(data.classes.iter().map(|c| (c.id, c.name.as_str())).collect::<Vec<_>>(), [(3, "car"), (17, "cat")]);
    assert_eq!((data.objects(), data.notes(), &data.maps), (3, Vec::<String>::new(), &None));
    let objects: Vec<_> = data.images.iter().flat_map(|i| &i.objects).collect();
    assert_eq!(
        objects.iter().map(|o| (o.class, o.crowd, o.area)).collect::<Vec<_>>(),
        [(0, true, 20.0), (1, false, 7.25), (0, false, 20.0)]
    );
    assert_eq!(objects[1].xywh, [1.0, 2.0, 3.5, 4.0]);
    let areas = objects.iter().map(|o| o.shape.as_ref().unwrap().rle(10, 20).unwrap().area());
    // The polygon's right edge goes through the middle of a column, which is inside.
    assert_eq!(areas.collect::<Vec<_>>(), [20, 16, 20]);
    let sample = data.sample(2).unwrap();
    assert_eq!((sample.image.width, sample.image.height, sample.target.boxes.len()), (20, 10, 2));
    assert_eq!(sample.target.boxes[1].bbox.xyxy(), [18.0, 0.0, 20.0, 10.0], "clipped");
    assert_eq!(data.sample(0).unwrap().target.boxes, [], "a crowd");
    assert_eq!(data.images[2].truths()[1].region, [18.0, 0.0, 2.5, 10.0], "as in the file");
    png(&data.images[1].path, (10, 20), 3);
    let e = told(&dir, data.sample(1).unwrap_err());
    assert_eq!(e, "DIR/val/b.png: found 10 x 20 pixels once upright, expected 20 x 10");
    png(&data.images[1].path, (20, 10), 3);
    let plain = load("coco", &dir, "val", &ReadOptions::default()).unwrap();
    assert!(plain.images.iter().flat_map(|i| &i.objects).all(|o| o.shape.is_none()));
}

#[test]
fn every_damage_of_coco_is_counted_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut json = coco(&dir);
    png(&dir.path().join("val/large.png"), (21, 10), 3);
    write(&dir.path().join("val/text.png"), "no image");
    let image = |id: u64, name: &str| json!({"id": id, "file_name": name, "width": 20, "height": 10});
    let more = [
        image(11, "none.png"),
        image(12, "large.png"),
        image(13, "text.png"),
        image(14, "../x.png"),
        image(2, "a.png"),
    ];
    json["images"].as_array_mut().unwrap().extend(more);
    let object = |id: u64, image: u64, category: u64, bbox: Value, mask: Value| {
        let keys = json!({"id": id, "image_id": image, "category_id": category});
        let mut keys = keys.as_object().unwrap().clone();
        keys.extend([("bbox".to_string(), bbox), ("segmentation".to_string(), mask)]);
        Value::Object(keys)
    };
    let good = json!([0, 0, 2, 2]);
    json["annotations"].as_array_mut().unwrap().extend([
        object(21, 11, 3, good.clone(), json!(null)),
        object(22, 77, 3, good.clone(), json!(null)),
        object(23, 2, 4, good.clone(), json!(null)),
        object(24, 2, 3, json!([0, 0, 2]), json!(null)),
        object(25, 2, 3, json!([0, 0, 2, 0]), json!(null)),
        object(26, 2, 3, json!([15, 0, 6.5, 2]), json!(null)),
        object(27, 2, 3, good.clone(), json!([[1, 1, 2, 2]])),
        object(28, 2, 3, good.clone(), json!({"size": [10, 20], "counts": [7]})),
        object(29, 2, 3, good.clone(), json!({"size": [20, 10], "counts": [200]})),
        object(1, 2, 3, good, json!([])),
    ]);
    put(&dir, &json);
    let data = load("coco", &dir, "val", &lenient()).unwrap();
    let damaged: Vec<String> = data.damaged.iter().map(|d| format!("{:?}: {}", d.what, told(&dir, &d.told))).collect();
    insta::assert_snapshot!(damaged.join("\n"), @r#"
    FileName: image 14: found the file name "../x.png", expected one inside of the folder
    DuplicateId: image 2: found it a second time, expected each id once
    UnknownImage: annotation 22: found image 77, expected one that is listed
    UnknownCategory: annotation 23: found category 4, expected one that is listed
    NoBox: annotation 24: found a box of 3 numbers, expected left, top, width and height
    MaskUnreadable: annotation 27: mask: found a polygon of 4 numbers, expected x and y of three corners or more
    MaskUnreadable: annotation 28: mask: found run lengths of 7 pixels, expected 200, those of 20 x 10
    DuplicateId: annotation 1: found it a second time, expected each id once
    EmptyBox: annotation 25: found a box of 2 x 0 pixels, expected an area
    BoxOutside: annotation 26: found a box from (15, 0) to (21.5, 2), expected it within 20 x 10
    MaskSize: annotation 29: found a mask of 10 x 20, expected 20 x 10
    ImageMissing: DIR/val/none.png: found no such file, expected an image
    ImageSize: DIR/val/large.png: found 21 x 10 pixels, expected 20 x 10
    ImageUnreadable: DIR/val/text.png: found another format, expected an image
    "#);
    assert_eq!(data.images.iter().map(|i| (i.id, i.objects.len())).collect::<Vec<_>>(), [(2, 1), (5, 0), (9, 2)]);
    // Of 8 images and 13 objects.
    let half = ReadOptions { damaged_limit: 0.5, ..lenient() };
    let text = told(&dir, load("coco", &dir, "val", &half).unwrap_err());
    assert!(
        text.starts_with("DIR/annotations/instances_val.json: found 14 damaged entries among 21, expected at most 10"),
        "{text}"
    );
    // Unchecked, images are taken as they are stated.
    let unchecked = load("coco", &dir, "val", &ReadOptions { check_images: false, ..lenient() }).unwrap();
    assert_eq!(unchecked.images.len(), 6);
}

#[test]
fn a_json_that_is_none_has_one_message() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(error("coco", &dir, "val"), @"DIR/annotations/instances_val.json: found No such file or directory (os error 2), expected COCO's JSON: `images`, `annotations` and `categories`");
    write(&dir.path().join("annotations/instances_val.json"), "{\"images\": [],\n \"annotations\": 3}");
    insta::assert_snapshot!(error("coco", &dir, "val"), @"DIR/annotations/instances_val.json: found invalid type: integer `3`, expected a sequence at line 2 column 18, expected COCO's JSON: `images`, `annotations` and `categories`");
    let mut json = coco(&dir);
    json["categories"][0]["id"] = json!(3);
    put(&dir, &json);
    insta::assert_snapshot!(error("coco", &dir, "val"), @"DIR/annotations/instances_val.json: found the categories cat and car with the id 3, expected an id of its own for each");
    json["categories"] = json!([]);
    put(&dir, &json);
    insta::assert_snapshot!(error("coco", &dir, "val"), @"DIR/annotations/instances_val.json: found no categories, expected at least one");
}

fn xml(name: &str, size: (u32, u32), objects: &str) -> String {
    format!(
        "<annotation><folder>VOC2012</folder><filename>{name}.png</filename><size><width>{}</width><height>{}</height>\
         <depth>3</depth></size><segmented>1</segmented>{objects}</annotation>",
        size.0, size.1
    )
}

fn named(name: &str, corners: [i32; 4], flags: &str) -> String {
    let [a, b, c, d] = corners;
    let bndbox = format!("<bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>");
    let part =
        "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>";
    format!("<object><name>{name}</name><pose>Left</pose>{flags}{bndbox}{part}</object>")
}

/// Two images of 8 x 6, both with boxes, the second with a class map.
fn voc(dir: &TempDir) {
    for name in ["one", "two"] {
        png(&dir.path().join(format!("JPEGImages/{name}.png")), (8, 6), 1);
    }
    png(&dir.path().join("SegmentationClass/two.png"), (8, 6), 20);
    let flags = "<truncated>1</truncated><difficult>1</difficult>";
    let objects = named("person", [1, 2, 8, 6], "") + "\n" + &named("tvmonitor", [3, 3, 3, 3], flags);
    write(&dir.path().join("Annotations/one.xml"), &xml("one", (8, 6), &objects));
    write(&dir.path().join("Annotations/two.xml"), &xml("two", (8, 6), ""));
    write(&dir.path().join("ImageSets/Main/train.txt"), "two  1\none -1\n");
    write(&dir.path().join("ImageSets/Segmentation/train.txt"), "two\n");
}

#[test]
fn voc_is_read_with_boxes_and_class_maps() {
    let dir = tempfile::tempdir().unwrap();
    voc(&dir);
    let data = load("voc", &dir, "train", &ReadOptions::default()).unwrap();
    assert_eq!((data.images.len(), data.classes.len(), data.notes()), (2, 20, Vec::new()));
    let [a, b] = &data.images[0].objects[..] else { panic!("{data:?}") };
    assert_eq!((a.xywh, a.class, a.difficult, a.truncated), ([0.0, 1.0, 8.0, 5.0], 14, false, false));
    assert_eq!((b.xywh, b.class, b.difficult, b.truncated), ([2.0, 2.0, 1.0, 1.0], 19, true, true));
    assert_eq!(data.images[0].map, None);
    let rule = data.maps.as_ref().unwrap();
    assert_eq!(
        (rule.classes.len(), rule.classes[0].as_str(), rule.classes[20].as_str()),
        (21, "background", "tvmonitor")
    );
    let file = data.images[1].map.as_ref().unwrap();
    assert_eq!(rule.read(file).unwrap(), ClassMap::filled(8, 6, 20));
    assert_eq!(data.sample(1).unwrap().target.map, Some(ClassMap::filled(8, 6, 20)));
    assert_eq!(data.sample(0).unwrap().target.boxes.len(), 2);
    png(file, (8, 6), IGNORED);
    assert_eq!(rule.read(file).unwrap(), ClassMap::filled(8, 6, IGNORED));
    png(file, (8, 6), 21);
    insta::assert_snapshot!(told(&dir, rule.read(file).unwrap_err()), @"DIR/SegmentationClass/two.png: found 21 at column 0, row 0, expected 0 to 20, or 255 for ignored");
}

#[test]
fn every_damage_of_voc_is_named() {
    let dir = tempfile::tempdir().unwrap();
    voc(&dir);
    let objects =
        named("person", [1, 1, 2, 2], "") + &named("robot", [1, 1, 2, 2], "") + &named("cat", [5, 1, 4, 2], "");
    let objects = objects + &named("cat", [5, 1, 12, 2], "") + "<object><name>cat</name></object>";
    write(&dir.path().join("Annotations/one.xml"), &xml("one", (8, 6), &objects));
    write(&dir.path().join("Annotations/two.xml"), &xml("two", (9, 6), ""));
    write(&dir.path().join("ImageSets/Segmentation/train.txt"), "one\n");
    let data = load("voc", &dir, "train", &lenient());
    insta::assert_snapshot!(told(&dir, data.unwrap_err()), @"DIR: found no usable image (DIR/JPEGImages/two.png: found 8 x 6 pixels, expected 9 x 6), expected at least one");
    png(&dir.path().join("SegmentationClass/one.png"), (8, 7), 20);
    let data = load("voc", &dir, "train", &lenient());
    insta::assert_snapshot!(told(&dir, data.unwrap_err()), @"DIR: found no usable image (DIR/JPEGImages/two.png: found 8 x 6 pixels, expected 9 x 6), expected at least one");
    png(&dir.path().join("SegmentationClass/one.png"), (8, 6), 20);
    let data = load("voc", &dir, "train", &lenient()).unwrap();
    insta::assert_snapshot!(told(&dir, data.notes().join("\n")), @r#"
    DIR: left out 1 image of another size than stated (DIR/JPEGImages/two.png: found 8 x 6 pixels, expected 9 x 6)
    DIR: left out 1 object of an unknown category (DIR/Annotations/one.xml: object 2: found the class "robot", expected one of the 20)
    DIR: left out 1 object without a box (DIR/Annotations/one.xml: object 5: found no bndbox, expected one)
    DIR: left out 1 box without area (DIR/Annotations/one.xml: object 3: found a box of 0 x 2 pixels, expected an area)
    DIR: left out 1 box outside of its image (DIR/Annotations/one.xml: object 4: found a box from (4, 0) to (12, 2), expected it within 8 x 6)
    "#);
    assert_eq!(data.objects(), 1);
    write(&dir.path().join("Annotations/one.xml"), "<annotation><size>");
    let text = error("voc", &dir, "train");
    assert!(
        text.starts_with("DIR/Annotations/one.xml: found ") && text.ends_with("an annotation of Pascal VOC"),
        "{text}"
    );
    write(&dir.path().join("ImageSets/Main/train.txt"), "../one\n");
    insta::assert_snapshot!(error("voc", &dir, "train"), @r#"DIR/ImageSets/Main/train.txt: found "../one", expected a name of an image without its ending"#);
    insta::assert_snapshot!(error("voc", &dir, "test"), @"DIR: found no list of the split test, expected DIR/ImageSets/Main/SPLIT.txt for boxes or DIR/ImageSets/Segmentation/SPLIT.txt for class maps, with DIR/Annotations, DIR/JPEGImages and DIR/SegmentationClass");
    write(&dir.path().join("classes.txt"), "cat\ncat\n");
    insta::assert_snapshot!(error("voc", &dir, "train"), @"DIR/classes.txt: found 2 names, 1 of them different, expected 1 to 254 different names of classes, one a line");
}

#[test]
fn ade20k_shifts_its_labels() {
    let dir = tempfile::tempdir().unwrap();
    for (name, label) in [("a", 0), ("b", 1), ("c", 3), ("d", 4)] {
        png(&dir.path().join(format!("images/training/{name}.png")), (5, 4), 9);
        png(&dir.path().join(format!("annotations/training/{name}.png")), (5, 4), label);
    }
    let rows = "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t2\t3\t1\twall\n\
                2\t0.1\t2\t3\t1\tbuilding, edifice\n3\t0\t0\t0\t0\tsky\n";
    write(&dir.path().join("objectInfo150.txt"), rows);
    let data = load("ade20k", &dir, "training", &ReadOptions::default()).unwrap();
    let rule = data.maps.as_ref().unwrap();
    assert_eq!(rule.classes, ["wall", "building, edifice", "sky"]);
    let read = |i: usize| rule.read(data.images[i].map.as_ref().unwrap());
    assert_eq!([0, 1, 2].map(|i| read(i).unwrap().labels[0]), [IGNORED, 0, 2]);
    insta::assert_snapshot!(told(&dir, read(3).unwrap_err()), @"DIR/annotations/training/d.png: found 4 at column 0, row 0, expected 1 to 3, or 0 for ignored");
    write(&dir.path().join("objectInfo150.txt"), "Idx\tName\n2\twall\n");
    insta::assert_snapshot!(error("ade20k", &dir, "training"), @r#"DIR/objectInfo150.txt: found the row "2\twall" after 0 classes, expected ADE20K's table of classes: a heading, then a row for each class with its number first and its name last, parted by tabs"#);
    insta::assert_snapshot!(error("ade20k", &tempfile::tempdir().unwrap(), "training").split(':').nth(1).unwrap(), @" found No such file or directory (os error 2), expected ADE20K's table of classes");
}

#[test]
fn class_maps_of_ones_own_have_the_names_of_their_images() {
    let dir = tempfile::tempdir().unwrap();
    for (name, label) in [("a", 0), ("b", 2)] {
        png(&dir.path().join(format!("images/{name}.png")), (5, 4), 9);
        png(&dir.path().join(format!("masks/{name}.png")), (5, 4), label);
    }
    write(&dir.path().join("classes.txt"), "road\nsky\ncar\n");
    let data = load("masks", &dir, ".", &ReadOptions::default()).unwrap();
    let rule = data.maps.as_ref().unwrap();
    assert_eq!(rule.read(data.images[1].map.as_ref().unwrap()).unwrap().labels, [2; 20]);
    fs::remove_file(dir.path().join("masks/b.png")).unwrap();
    let data = load("masks", &dir, ".", &lenient()).unwrap();
    assert_eq!((data.images.len(), data.damaged[0].what), (1, Damage::MapMissing));
    png(&dir.path().join("masks/b.png"), (4, 5), 2);
    assert_eq!(load("masks", &dir, ".", &lenient()).unwrap().damaged[0].what, Damage::MaskSize);
    write(&dir.path().join("masks/b.png"), "no image");
    assert_eq!(load("masks", &dir, ".", &lenient()).unwrap().damaged[0].what, Damage::MaskUnreadable);
    insta::assert_snapshot!(error("masks", &dir, "val"), @"DIR/val/images: found No such file or directory (os error 2), expected DIR/SPLIT/images/*.{jpg,png,webp,bmp,gif,tiff} and DIR/SPLIT/masks/*.png of the same names");
}
