//! `mobilenas weights import FILE --model NAME --out X.safetensors`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use mobilenas_heads::{BACKBONE, HeadArgs, HeadNaming};
use mobilenas_space::families::Translate as _;
use mobilenas_space::ir::{Graph, Op, ParamSpec, Role};
use mobilenas_torch::weights::{Misfit, Named, Weights, complete, wanted};
use mobilenas_torch::{Names, NetError, ParamStore};
use tch::Device;

use super::super::bound::{MOST_CLASSES, classes_of, head, misfits, open};
use super::super::{Input, destination, networks};
use super::output::{finite, write};

/// Arguments of `weights import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Weights: safetensors, or a state dict or checkpoint that torch.save wrote (.pt, .pth, .bin)
    file: PathBuf,
    /// The published network that they are of (`mobilenas models` lists them)
    #[arg(long, value_name = "NAME")]
    model: String,
    /// The file to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Dictionary of a checkpoint to take [default: the averaged weights if there are any, else the weights]
    #[arg(long, value_name = "KEY")]
    part: Option<String>,
    #[command(flatten)]
    head: HeadArgs,
    /// Classes of the network; where the file's head has another number, a new head is initialised
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CLASSES)))]
    classes: Option<u32>,
    /// The weights were trained on BGR images (OpenCV's order): turn the first convolution round to RGB
    #[arg(long)]
    bgr: bool,
    /// Seed of a new head
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Side of the network's images in pixels [default: the published one]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=4096))]
    resolution: Option<u32>,
}

/// Imports weights.
///
/// # Errors
/// When the file is no weights of the network: every difference is named.
pub fn run(args: &Args) -> Result<i32> {
    let graph = |classes: u32| networks::with_head(&args.head, &args.model, args.resolution, Some(classes));
    let (namings, name) = (networks::namings_with(&args.head, &args.model)?, args.head.title(&args.model));
    graph(2)?;
    let mut weights = open(&args.file, args.part.as_deref())?;
    let here = |found: String| Input(format!("{}: {found}", args.file.display()));
    let naming = weights.rename(&wanted(&graph(2)?), &namings);
    let backbone = naming.is_some_and(HeadNaming::is_backbone);
    let own = classes_of(graph, &weights)?;
    let classes = match (args.classes, &own, args.head.head()?) {
        (Some(n), ..) => n,
        (None, Ok(n), _) => *n,
        (None, Err(_), Some(head)) if backbone => head.classes(),
        (None, Err(e), _) => {
            let found = format!("{e}, expected weights of {name} (--classes N makes a new head)");
            return Err(here(found).into());
        }
    };
    let net = graph(classes)?;
    let new: Vec<String> = match own == Ok(classes) {
        _ if backbone => beside(&net, &weights, &networks::shared(&args.head, &args.model)?),
        true => vec![],
        false => head(graph)?.into_iter().map(|(name, _)| name).collect(),
    };
    let wrong = wrong(&net, &weights, &new);
    let side = net.input().dims[1];
    let title = format!("{name} at {side} px, {classes} classes");
    if !wrong.is_empty() {
        let list: Vec<String> = wrong.iter().map(|m| format!("\n  {m}")).collect();
        return Err(here(format!("not weights of {title}: {} tensors differ{}", wrong.len(), list.concat())).into());
    }
    let mut named = read(&net, &mut weights, &new, args.seed).map_err(|e| match e.downcast::<NetError>() {
        Ok(e @ NetError::File { .. }) => Input(e.to_string()),
        Ok(e) => here(e.to_string()),
        Err(e) => here(e.to_string()),
    })?;
    let say = |text: String| destination::say(&args.out, text);
    if args.bgr {
        from_bgr(&net, &mut named)?;
        weights.taken.push("first convolution turned from BGR to RGB".to_string());
    }
    if !weights.taken.is_empty() {
        say(format!("taken from {}: {}", args.file.display(), weights.taken.join(", ")))?;
    }
    if let Some(naming) = naming.filter(|n| !n.note().is_empty() && !args.bgr) {
        say(format!("note: {}: {}", naming.source(), naming.note()))?;
    }
    if backbone {
        say(format!("the file has the backbone; initialised anew: {} tensors beside it", new.len()))?;
    } else if !new.is_empty() {
        let had = own.map_or_else(|e| e, |n| format!("{n} classes"));
        say(format!("the file has {had}; initialised anew: {}", new.join(", ")))?;
    }
    let about = BTreeMap::from([
        ("program".to_string(), format!("mobilenas {}", env!("CARGO_PKG_VERSION"))),
        ("model".to_string(), args.model.clone()),
        ("resolution".to_string(), side.to_string()),
    ]);
    write(&args.out, &named, &about, &title)?;
    Ok(0)
}

/// The tensors of a network with a head that a classifier's weights lack: those of the head, and tables of attention biases,
/// whose size follows from the image's.
fn beside(graph: &Graph, weights: &Weights, shared: &BTreeSet<String>) -> Vec<String> {
    let is_new = |p: &ParamSpec| {
        let own = p.name.strip_prefix(BACKBONE).and_then(|n| n.strip_prefix('.'));
        let other_size = || weights.tensors.get(&p.name).is_some_and(|t| t.shape != p.shape());
        own.is_none_or(|n| !shared.contains(n)) || p.role == Role::Table && other_size()
    };
    graph.params().into_iter().filter(is_new).map(|p| p.name).collect()
}

/// Differences, but for the tensors that are made anew.
fn wrong(graph: &Graph, weights: &Weights, new: &[String]) -> Vec<Misfit> {
    let about = |m: &Misfit| match m {
        Misfit::Missing(n, _) | Misfit::Unexpected(n) | Misfit::Shape(n, ..) | Misfit::Type(n, ..) => n.clone(),
    };
    let mut all = misfits(graph, weights);
    all.retain(|m| !new.contains(&about(m)));
    let others = weights.others.iter().map(|o| Misfit::Unexpected(format!("{:?} ({})", o.name, o.what)));
    all.extend(others);
    all
}

/// The network's tensors, in single precision.
fn read(graph: &Graph, weights: &mut Weights, new: &[String], seed: u64) -> Result<Named> {
    let roles: BTreeMap<String, Role> = graph.params().into_iter().map(|p| (p.name, p.role)).collect();
    let mut named = weights.read_each(|name, tensor| match roles.get(name) {
        Some(Role::Counter | Role::Index) => Ok(tensor),
        _ if new.iter().any(|n| n == name) => Ok(tensor),
        _ => finite(name, &tensor),
    })?;
    if !new.is_empty() {
        let fresh = ParamStore::init(graph, Names::Standalone, seed, Device::Cpu)?;
        for name in new {
            named.insert(name.clone(), fresh.entry(name)?.tensor.shallow_clone());
        }
    }
    complete(graph, &mut named)?;
    Ok(named)
}

/// Turns round the channels that the first convolution reads, for weights that were trained on BGR images.
fn from_bgr(graph: &Graph, named: &mut Named) -> Result<()> {
    let first = graph.nodes.iter().position(|n| matches!(n.op, Op::Conv { .. }) && n.inputs.first() == Some(&0));
    let weight = first.and_then(|i| graph.node_params(i).into_iter().next());
    let weight = weight.and_then(|w| named.get_mut(&w.name));
    let weight = weight.ok_or_else(|| Input("--bgr: no convolution reads the image".to_string()))?;
    *weight = weight.f_flip([1])?.f_contiguous()?;
    Ok(())
}
