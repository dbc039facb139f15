//! Datasets of boxes and class maps, as this crate's datasets.

use std::path::Path;
use std::sync::Arc;

use mobilenas_dense::DenseLabel;
use mobilenas_dense::dataset::{
    Ade20k, Coco, DenseDataset, DenseReader, MaskFolder, ReadOptions as DenseReadOptions, Voc,
};

use super::{DataError, Dataset, DatasetReader, ImageSource, ReadOptions, Splits};
use crate::{Labels, Target};

/// A reader with what its images are labelled with.
#[derive(Clone, Copy)]
pub(super) struct Dense<R> {
    reader: R,
    labels: &'static [Labels],
}

pub(super) static COCO: Dense<Coco> = Dense { reader: Coco, labels: &[Labels::Boxes, Labels::Masks] };
pub(super) static VOC: Dense<Voc> = Dense { reader: Voc, labels: &[Labels::Boxes, Labels::ClassMaps] };
pub(super) static ADE20K: Dense<Ade20k> = Dense { reader: Ade20k, labels: &[Labels::ClassMaps] };
pub(super) static MASKS: Dense<MaskFolder> = Dense { reader: MaskFolder, labels: &[Labels::ClassMaps] };

impl<R: DenseReader> DatasetReader for Dense<R> {
    fn name(&self) -> &'static str {
        self.reader.name()
    }

    fn help(&self) -> &'static str {
        self.reader.help()
    }

    fn classes(&self) -> Option<u32> {
        None
    }

    fn labels(&self) -> &'static [Labels] {
        self.labels
    }

    fn photos(&self) -> bool {
        true
    }

    fn load(&self, dir: &Path, options: &ReadOptions) -> Result<Splits, DataError> {
        let how = DenseReadOptions {
            damaged_limit: options.dense.damaged_limit,
            check_images: options.dense.check_images,
            masks: options.labels == Labels::Masks,
        };
        let read = |split: &str| self.reader.load(dir, split, &how).map_err(DataError::from);
        let (train, val) = (read(&options.dense.train)?, read(&options.dense.val)?);
        let mut notes = [train.notes(), val.notes()].concat();
        let (train, test) = (listed(train, options.labels, Some(&mut notes))?, listed(val, options.labels, None)?);
        if train.classes != test.classes || train.class_ids != test.class_ids {
            let found = format!(
                "{} classes, other ones than the {} that are trained on",
                test.classes.len(),
                train.classes.len()
            );
            return Err(DataError::damaged(dir, found, "the same classes in both splits"));
        }
        Ok(Splits { train, test, notes })
    }
}

/// A split with the labels that are wanted. Nothing is learnt from images without boxes: of what is trained on they are left
/// out.
fn listed(data: DenseDataset, labels: Labels, train: Option<&mut Vec<String>>) -> Result<Dataset, DataError> {
    let (classes, class_ids) = match (labels, &data.maps) {
        (Labels::ClassMaps, Some(rule)) => (rule.classes.clone(), Vec::new()),
        (Labels::Boxes | Labels::Masks, _) if !data.classes.is_empty() => {
            (data.classes.iter().map(|c| c.name.clone()).collect(), data.classes.iter().map(|c| c.id).collect())
        }
        _ => return Err(DataError::damaged(&data.path, format!("no {}", labels.name()), "them for each image")),
    };
    let without = data.images.iter().flat_map(|i| &i.objects).filter(|o| o.shape.is_none()).count();
    if labels == Labels::Masks && without > 0 {
        let found = format!("{without} of {} objects without a mask", data.objects());
        return Err(DataError::damaged(&data.path, found, "a `segmentation` of each"));
    }
    let mut all = DenseLabel::all(&data);
    let before = all.len();
    match (labels, train) {
        (Labels::Boxes | Labels::Masks, Some(notes)) => {
            all.retain(|label| label.entry.objects.iter().any(|o| !o.crowd));
            if all.len() < before {
                notes.push(format!("{}: left out {} images without a box", data.path.display(), before - all.len()));
            }
        }
        (Labels::ClassMaps, _) => all.retain(|label| label.entry.map.is_some()),
        _ => {}
    }
    if all.is_empty() {
        return Err(DataError::damaged(&data.path, format!("no image with {}", labels.name()), "at least one"));
    }
    let images = ImageSource::Files(all.iter().map(|label| label.entry.path.clone()).collect());
    let targets = all.into_iter().map(|label| Target::Dense(Arc::new(label))).collect();
    Ok(Dataset { images, targets, classes, class_ids, labels })
}
