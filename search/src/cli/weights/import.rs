//! `mobilenas weights import FILE --model NAME --out X.safetensors`

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use mobilenas_space::ir::{Graph, Init, Role, distances};
use mobilenas_torch::weights::{Misfit, Named, Weights};
use mobilenas_torch::{Names, ParamStore};
use tch::{Device, Kind, Tensor};

use super::super::loaded::{MOST_CLASSES, classes_of, head, misfits, open};
use super::super::{Input, models};

/// Arguments of `weights import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Weights: safetensors, or a state dict or checkpoint that torch.save wrote (.pt, .pth, .bin)
    file: PathBuf,
    /// The published network that they are of (`mobilenas models` lists them)
    #[arg(long, value_name = "NAME")]
    model: String,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Dictionary of a checkpoint to take [default: the averaged weights if there are any, else the weights]
    #[arg(long, value_name = "KEY")]
    part: Option<String>,
    /// Classes of the network; where the file's head has others, a new one is made that has learnt nothing
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CLASSES)))]
    classes: Option<u32>,
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
    let graph = |classes: u32| models::variant(&args.model, args.resolution, classes);
    graph(2)?;
    let mut weights = open(&args.file, args.part.as_deref())?;
    let here = |found: String| Input(format!("{}: {found}", args.file.display()));
    let own = classes_of(graph, &weights)?;
    let classes = match (args.classes, &own) {
        (Some(n), _) => n,
        (None, Ok(n)) => *n,
        (None, Err(e)) => {
            let found = format!("{e}, expected weights of {} (--classes N makes a new head)", args.model);
            return Err(here(found).into());
        }
    };
    let net = graph(classes)?;
    let new: Vec<String> = match own == Ok(classes) {
        true => vec![],
        false => head(graph)?.into_iter().map(|(name, _)| name).collect(),
    };
    let wrong = wrong(&net, &weights, &new);
    let side = net.input().dims[1];
    let title = format!("{} at {side} px, {classes} classes", args.model);
    if !wrong.is_empty() {
        let list: Vec<String> = wrong.iter().map(|m| format!("\n  {m}")).collect();
        return Err(here(format!("not weights of {title}: {} tensors differ{}", wrong.len(), list.concat())).into());
    }
    let named = read(&net, &mut weights, &new, args.seed).map_err(|e| match e.downcast::<Input>() {
        Ok(Input(found)) => here(found).into(),
        Err(e) => e,
    })?;
    if let Some(taken) = &weights.taken {
        println!("taken from {}: {taken}", args.file.display());
    }
    if !new.is_empty() {
        let had = own.map_or_else(|e| e, |n| format!("{n} classes"));
        println!("the file has {had}; made anew, with nothing learnt: {}", new.join(", "));
    }
    let about = BTreeMap::from([
        ("program".to_string(), format!("mobilenas {}", env!("CARGO_PKG_VERSION"))),
        ("model".to_string(), args.model.clone()),
        ("resolution".to_string(), side.to_string()),
    ]);
    super::write(&args.out, &named, &about, &title)?;
    Ok(0)
}

/// Differences, but for the tensors that are made anew.
fn wrong(graph: &Graph, weights: &Weights, new: &[String]) -> Vec<Misfit> {
    let about = |m: &Misfit| match m {
        Misfit::Missing(n, _) | Misfit::Unexpected(n) | Misfit::Shape(n, ..) | Misfit::Type(n, ..) => n.clone(),
    };
    let mut all = misfits(graph, weights);
    all.retain(|m| !new.contains(&about(m)));
    let others = weights.others.iter().map(|n| Misfit::Unexpected(format!("{n:?} (no tensor)")));
    all.extend(others);
    all
}

/// The network's tensors, in single precision.
fn read(graph: &Graph, weights: &mut Weights, new: &[String], seed: u64) -> Result<Named> {
    let fresh = match new {
        [] => None,
        _ => Some(ParamStore::init(graph, Names::Standalone, seed, Device::Cpu)?),
    };
    let mut named = Named::new();
    for p in graph.params() {
        let tensor = match &fresh {
            Some(store) if new.contains(&p.name) => store.entry(&p.name)?.tensor.shallow_clone(),
            _ => weights.read(&p.name)?,
        };
        let tensor = match p.role {
            Role::Counter => tensor,
            Role::Index => {
                indices(&p.name, &p.init, &tensor)?;
                tensor
            }
            _ => finite(&p.name, &tensor)?,
        };
        named.insert(p.name, tensor);
    }
    Ok(named)
}

/// In single precision, if all are numbers.
fn finite(name: &str, tensor: &Tensor) -> Result<Tensor> {
    let single = tensor.f_to_kind(Kind::Float)?;
    let sound = bool::try_from(single.f_isfinite()?.f_all()?)?;
    if !sound {
        return Err(
            Input(format!("{name} holds infinities or values that are no number, expected sound weights")).into()
        );
    }
    Ok(single)
}

/// Indices are no weights: they follow from the network's size.
fn indices(name: &str, init: &Init, tensor: &Tensor) -> Result<()> {
    let Init::Distances { h, w, stride } = *init else { return Ok(()) };
    let expected = Tensor::f_from_slice(&distances(h, w, stride))?;
    match tensor.f_reshape([-1])?.f_equal(&expected)? {
        true => Ok(()),
        false => {
            Err(Input(format!("{name} holds other indices, expected the distances on a grid of {h} x {w}")).into())
        }
    }
}
