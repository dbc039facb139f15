//! Scores a network with a head on a dataset.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use mobilenas_data::loader::DamagedImages;
use mobilenas_data::settings::{DataConfig, DataName};
use mobilenas_data::{Labels, TransformedDataset};
use mobilenas_heads::{Head, HeadOptions};
use mobilenas_host::{Clock as _, Progress, WallClock, outln};
use mobilenas_task::Batch;
use mobilenas_train::collective::Collective;
use serde::{Deserialize, Serialize};

use super::super::Input;
use super::super::loaded::{Loaded, NetArgs};
use super::judge::{Compared, Judge};
use super::{DenseData, Does, kind, normalization, run};

/// Images in a batch.
const BATCH: usize = 8;

/// What a process has compared, and the damaged images among its own.
#[derive(Serialize, Deserialize)]
struct Part {
    compared: Compared,
    damaged: BTreeMap<usize, String>,
}

/// Scores a network with a head on a dataset. Several processes take the batches in turn; the first one shows the result.
///
/// # Errors
/// When the network, its weights or the dataset are wrong.
pub fn evaluate(
    net: &NetArgs,
    head: (&dyn Head, &HeadOptions),
    dir: Option<&Path>,
    data: &DenseData,
    as_json: bool,
    collective: &dyn Collective,
) -> Result<i32> {
    let (does, loaded) = (Does::of(head), net.load()?);
    if matches!(does, Does::Instances(_)) && !collective.alone() {
        bail!(Input(format!("{} processes: a network with masks, expected one process", collective.ranks())));
    }
    let mut config = net.data()?.unwrap_or_default();
    let usual = if does.labels() == Labels::ClassMaps { "voc" } else { "coco" };
    let named = data.dataset.as_deref().or(dir.map(|_| usual));
    if let Some(name) = named {
        config.name = DataName::named(name).unwrap_or(config.name);
    }
    config.dir = dir.map(Path::to_path_buf).or(config.dir);
    config.val_split = data.split.clone().unwrap_or(config.val_split);
    // The split that is scored is all that is read.
    let config = DataConfig { train_split: config.val_split.clone(), ..config };
    let splits = config.load_with(does.labels()).map_err(|e| Input(e.to_string()))?;
    let set = splits.test;
    check_classes(&loaded, &set.classes, &does, net)?;
    let view = TransformedDataset {
        norm: normalization(&loaded),
        frame: loaded.pipeline,
        side: Some(loaded.pipeline.side),
        damaged: Arc::new(DamagedImages::new(set.images.len(), config.damaged_limit)),
        budget: Arc::default(),
        data: Arc::new(set),
    };
    let images = view.data.images.len();
    if !as_json && collective.leads() {
        outln!("{}", net.title(&loaded))?;
        outln!(
            "{}, {}: {images} images, {} classes",
            config.folder().display(),
            config.val_split,
            view.data.classes.len()
        )?;
        splits.notes.iter().try_for_each(|note| outln!("{note}"))?;
    }
    let clock = WallClock::new();
    let bar = if collective.leads() { Progress::new("evaluate") } else { Progress::hidden() };
    let mut judge = Judge::new(does);
    let indices = own_images(images, collective.rank(), collective.ranks());
    bar.begin(indices.len() as u64, 0);
    let mut done = 0;
    for batch in view.batches(&indices, BATCH) {
        let batch = Batch::new(&batch.map_err(|e| Input(e.to_string()))?)?;
        judge.take(&run(&loaded, &batch.images, kind(net))?, &batch.targets)?;
        done += batch.len() as u64;
        bar.at(done, "");
    }
    bar.done();
    if !collective.alone() {
        let own = Part { compared: judge.compared(), damaged: view.damaged.seen() };
        let parts = collective.texts(&serde_json::to_string(&own)?)?;
        for (_, text) in parts.iter().enumerate().filter(|(rank, _)| *rank != collective.rank()) {
            let Part { compared, damaged } = serde_json::from_str(text)?;
            judge.add(compared);
            view.damaged.merge(damaged).map_err(|e| Input(e.to_string()))?;
        }
        if !collective.leads() {
            return Ok(0);
        }
    }
    let done = judge.images();
    let seconds = clock.now().as_secs_f64();
    if as_json {
        let mut out = net.json(&loaded);
        out["images"] = done.into();
        out["seconds"] = seconds.into();
        out["damaged"] = view.damaged.list().into();
        out["left_out"] = splits.notes.into();
        judge.json(&mut out, &view.data.classes);
        outln!("{out}")?;
        return Ok(0);
    }
    outln!("{done} images, {:.1} a second", done as f64 / seconds.max(1e-9))?;
    view.damaged.list().iter().try_for_each(|d| outln!("damaged, left out: {d}"))?;
    for (name, value) in judge.metrics() {
        outln!("{name:<16} {}", value.map_or("-".to_string(), |v| format!("{:>7.3} %", 100.0 * v)))?;
    }
    for (class, value) in judge.of_classes() {
        let name = view.data.classes.get(class).map_or("?", String::as_str);
        outln!("  {name:<24} {:>7.3} %", 100.0 * value)?;
    }
    Ok(0)
}

/// The images of a rank: whole batches, in turn.
fn own_images(images: usize, rank: usize, ranks: usize) -> Vec<usize> {
    (0..images).filter(|i| i / BATCH % ranks == rank).collect()
}

/// Whether a dataset has the classes of the network, in their order.
fn check_classes(loaded: &Loaded, classes: &[String], does: &Does, net: &NetArgs) -> Result<()> {
    let background = usize::from(does.labels() != Labels::ClassMaps);
    let (file, expected) = (net.file(), loaded.classes as usize - background);
    if classes.len() != expected {
        let found = classes.len();
        bail!(Input(format!("{}: made for {expected} classes, and the dataset has {found}", file.display())));
    }
    match loaded.names.as_ref().and_then(|names| names.iter().zip(classes).find(|(a, b)| a != b)) {
        Some((own, found)) => {
            bail!(Input(format!("{}: made for the class {own} where the dataset has {found}", file.display())))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_the_images_batch_by_batch() {
        for (images, ranks) in [(0, 2), (7, 2), (8, 3), (50, 3), (64, 4)] {
            let parts: Vec<Vec<usize>> = (0..ranks).map(|rank| own_images(images, rank, ranks)).collect();
            assert!(parts.iter().all(|part| part.chunks(BATCH).all(|b| b[0] % BATCH == 0)), "{parts:?}");
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..images).collect::<Vec<_>>(), "{images} images, {ranks} ranks");
        }
    }
}
