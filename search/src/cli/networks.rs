//! Networks that the command line names: published ones, and genomes in files.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use mobilenas_heads::{BACKBONE, Head, HeadArgs, HeadNaming, HeadOptions};
use mobilenas_pipeline::config::{self, Config, Origin, TrainConfig};
use mobilenas_space::Space;
use mobilenas_space::families::{self, FAMILIES, Naming};
use mobilenas_space::ir::{Graph, Plan};

use super::Input;

/// How the authors of a published network name its tensors, where they do so otherwise than timm.
pub(super) fn namings(name: &str) -> &'static [Naming] {
    families::variant(name).map_or(&[], |(family, _)| family.namings())
}

/// A published network's graph.
pub(super) fn variant(name: &str, resolution: Option<u32>, classes: u32) -> Result<Graph> {
    variant_plan(name, resolution, classes)?.lower().map_err(|e| anyhow!(Input(e.to_string())))
}

/// A published network's plan.
pub(super) fn variant_plan(name: &str, resolution: Option<u32>, classes: u32) -> Result<Plan> {
    let Some((family, info)) = families::variant(name) else {
        let names: Vec<&str> = FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id).collect();
        let hint = config::nearest(name, names.iter().copied()).map(|n| format!(", did you mean {n}?"));
        bail!(Input(format!(
            "{name}: no published network of that name{} (`mobilenas models` lists them)",
            hint.unwrap_or_default()
        )));
    };
    let template = family.template(name).ok_or_else(|| anyhow!("{name} has no configuration"))?;
    let plan = template.plan(&template.values(), resolution.unwrap_or(info.resolution), classes);
    plan.map_err(|e| anyhow!(Input(e.to_string())))
}

/// The graph of a genome's file with the head that is asked for: at its own resolution if none is given, or at the head's.
pub(super) fn genome(head: &HeadArgs, file: &Path, resolution: Option<u32>, classes: Option<u32>) -> Result<Graph> {
    let named = head.head()?;
    let classes = classes.unwrap_or(named.map_or(1000, Head::classes));
    let space = one_network(file, config::load_genome(file, classes, head.change(classes)?)?)?;
    if let Some((flag, knob)) = head.beside(space.knobs().iter().map(|k| k.name.as_str())) {
        bail!(Input(format!("{flag}: found beside {knob} in {}, expected one of them", file.display())));
    }
    let genome = space.smallest();
    let side = resolution.or(named.map(Head::resolution));
    let graph = side.map_or_else(|| space.lower(&genome), |side| space.lower_at(&genome, side));
    graph.map_err(|e| anyhow!(Input(e.to_string())))
}

/// A genome's space, if it has one network only.
pub(super) fn one_network(file: &Path, space: Space) -> Result<Space> {
    if space.size() > 1.0 {
        let open: Vec<&str> = space.knobs().iter().filter(|k| k.choices.len() > 1).map(|k| k.name.as_str()).collect();
        bail!(Input(format!("{}: more than one choice for {}, expected one", file.display(), open.join(", "))));
    }
    Ok(space)
}

/// The config of a run, if it is in its folder.
pub(super) fn run_config(run: &Path) -> Result<Option<Config>> {
    let file = run.join(config::FILE);
    Ok(file.exists().then(|| config::load_from(&file, Origin::Run)).transpose()?.map(|loaded| loaded.config))
}

/// The head that the config of a training or a run says, and how it is made; none of a classifier.
pub(super) fn head_of(config: Option<&Path>, run: Option<&Path>) -> Result<Option<(&'static dyn Head, HeadOptions)>> {
    Ok(match (config, run) {
        (Some(file), _) => config::load_train(file)?.task_config().head_with_options(),
        (None, Some(run)) => run_config(run)?.and_then(|c| c.task_config().head_with_options()),
        (None, None) => None,
    })
}

/// The graph of a run's genome, with the head that the run's networks have.
pub(super) fn winner(run: &Path, genome: &Path, whole: bool, classes: u32) -> Result<Graph> {
    let head = run_config(run)?.map(|c| c.task_config()).unwrap_or_default();
    let space = one_network(genome, config::load_genome(genome, classes, head.change(classes, whole))?)?;
    Ok(space.lower(&space.smallest())?)
}

/// The graph of a training's network, with the head that its config says; its logits are resized to the image where `whole`.
pub(super) fn trained(config: &TrainConfig, whole: bool, classes: u32) -> Result<Graph> {
    let space = config.network.with_head(&config.task_config(), classes, whole)?;
    Ok(space.lower(&space.smallest())?)
}

/// The graph of a published network, with the head that is asked for.
pub(super) fn with_head(head: &HeadArgs, name: &str, resolution: Option<u32>, classes: Option<u32>) -> Result<Graph> {
    head.graph(resolution, classes, |side, classes| variant_plan(name, side, classes))
}

/// How others name the tensors of a published network, with the head that is asked for.
pub(super) fn namings_with(head: &HeadArgs, name: &str) -> Result<Vec<HeadNaming>> {
    let own = namings(name);
    Ok(match head.head()? {
        None => HeadNaming::of_classifier(own),
        Some(_) => HeadNaming::all(own, &shared(head, name)?),
    })
}

/// Names of the tensors of a published network's classifier, which its backbone shares.
pub(super) fn shared(head: &HeadArgs, name: &str) -> Result<BTreeSet<String>> {
    let with = with_head(head, name, None, None)?.params();
    let with: BTreeSet<String> = with.into_iter().map(|p| p.name).collect();
    let names = variant(name, None, 2)?.params().into_iter().map(|p| p.name);
    Ok(names.filter(|n| with.contains(&format!("{}.{n}", BACKBONE))).collect())
}
