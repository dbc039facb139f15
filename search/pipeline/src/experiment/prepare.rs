//! Reads a config, checks it through, and loads its images.

use std::path::Path;
use std::sync::Arc;

use mobilenas_bench::latency_table::row::TableSource;
use mobilenas_bench::latency_table::{Table, TableRequirements};
use mobilenas_data::dataset;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_space::{CostCache, Space};
use mobilenas_torch::device;

use super::{Experiment, ExperimentError, Experiments, extreme, knobs_in_words, loaders};
use crate::bounds::Bounds;
use crate::config::{self, Config, Origin, SpaceEntry};

/// Reads and checks a config, and loads its images.
///
/// # Errors
/// What the user has to mend, all mistakes of the config at once.
pub fn prepare(file: &Path) -> Result<Experiments, ExperimentError> {
    checked(config::load(file)?)
}

/// Reads the config in the folder of a run, and loads its images.
///
/// # Errors
/// As for [`prepare`].
pub fn prepare_run(root: &Path) -> Result<Experiments, ExperimentError> {
    let file = root.join(config::FILE);
    let mut experiments = checked(config::load_from(&file, Origin::Run)?)?;
    experiments.set_digest(&config::text_digest(&file)?);
    Ok(experiments)
}

/// Reads the config in the folder of a run and loads its images, for scoring alone: no table of latencies is needed.
///
/// # Errors
/// As for [`prepare`].
pub fn prepare_scoring(root: &Path) -> Result<Experiments, ExperimentError> {
    let mut loaded = config::load_from(&root.join(config::FILE), Origin::Run)?;
    loaded.config.latency.table = None;
    loaded.config.spaces.iter_mut().for_each(|s| s.table = None);
    checked(loaded)
}

/// Checks a config that was read, and loads its images.
///
/// # Errors
/// As for [`prepare`].
pub fn checked(loaded: config::Loaded) -> Result<Experiments, ExperimentError> {
    let (file, c) = (loaded.file.as_path(), &loaded.config);
    let device = device::open(c.device)?;
    // The spaces are checked before the images are read, unless they alone say how many classes there are.
    let (head, mut early) = (c.task_config(), None);
    let task = head.task();
    let classes = match c.data.name.reader().classes() {
        Some(n) => n as usize,
        None => early.insert(c.data.load_with(task.labels())?).train.classes.len(),
    };
    let classes = head.classes(classes);
    let bounds = Bounds { params: c.search.bounds.params, macs: c.search.bounds.macs };
    let mut spaces = Vec::new();
    for entry in c.entries() {
        let (space, own, mut coster) = (loaded.space(&entry, classes)?, c.of_entry(&entry), CostCache::new());
        let table = table(&own, &entry, &space)?;
        let found = bounds.anchor(&space, &mut coster, &mut rng(c.seed, Purpose::Ask, u64::MAX, 0))?;
        let anchor = found.map_err(|miss| ExperimentError::Infeasible {
            file: file.to_path_buf(),
            space: entry.in_words(),
            size: space.size(),
            missed: bounds.missed(miss.cost).unwrap_or_default(),
            knobs: knobs_in_words(&space, &miss.genome),
        })?;
        let range = [extreme(&space, &mut coster, -1)?, extreme(&space, &mut coster, 1)?];
        spaces.push((entry, own, space, table, anchor, range));
    }
    let dataset::Splits { train, test, notes } = match early {
        Some(splits) => splits,
        None => c.data.load_with(task.labels())?,
    };
    for (_, own, space, ..) in &spaces {
        let sections = [("supernet", &own.supernet.recipe), ("retrain", &own.retrain.recipe)];
        loaders::check_sides(file, &c.data, sections, space)?;
    }
    let split = dataset::split(&train, c.data.search_val, c.data.train_limit, c.seed);
    let needed =
        c.supernet.recipe.batch.max(c.retrain.recipe.batch).min(c.data.train_limit.unwrap_or(usize::MAX)).max(2);
    if split.train.len() < needed {
        let found = split.train.len();
        return Err(ExperimentError::TooFew { file: file.to_path_buf(), found, expected: needed });
    }
    let test_split = dataset::test_split(&test, c.data.test_limit);
    let (digest, sets) = (config::digest(&loaded.config)?, (Arc::new(train), Arc::new(test)));
    let experiment = |(entry, config, space, table, anchor, range)| {
        let (train, test) = loaders::views((&c.data, &c.retrain.recipe), &space, sets.clone(), &split.train);
        Experiment {
            file: file.to_path_buf(),
            lines: loaded.tree.clone(),
            config,
            entry,
            digest: digest.clone(),
            space,
            bounds,
            anchor,
            range,
            train,
            test,
            split: split.clone(),
            test_split: test_split.clone(),
            task,
            device,
            notes: notes.clone(),
            table,
        }
    };
    let all = spaces.into_iter().map(experiment).collect();
    Experiments::new(loaded.config.clone(), all)
}

/// The table that a config names, once it is known to serve the space.
fn table(c: &Config, entry: &SpaceEntry, space: &Space) -> Result<Option<Table>, ExperimentError> {
    let source = match c.latency.source {
        config::LatencySource::Measured => return Ok(None),
        config::LatencySource::Table => TableSource::Measured,
        config::LatencySource::Imported => TableSource::Imported,
    };
    // Another table without a file is a mistake that the config's check has named.
    let Some(path) = &c.latency.table else { return Ok(None) };
    let key = entry.name.as_ref().map(|_| format!("{}.table", entry.at.join(".")));
    let told = |e| match &key {
        Some(key) => ExperimentError::TableOf { key: key.clone(), error: e },
        None => ExperimentError::Table(e),
    };
    let table = Table::load(path).map_err(told)?;
    // What runs on another device has a name of its own.
    let engine = (source == TableSource::Measured).then_some(c.latency.engine.as_str());
    let wanted = TableRequirements { source, engine, threads: c.latency.threads, batch: c.latency.batch };
    table.serves(space, &wanted, &mut rng(c.seed, Purpose::Timing, 0, 0)).map_err(told)?;
    Ok(Some(table))
}
