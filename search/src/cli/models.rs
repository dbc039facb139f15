//! `mobilenas models [NAME]`

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use mobilenas_heads::HeadArgs;
use mobilenas_host::out;
use mobilenas_record::{run as record, score};
use mobilenas_space::families::{FAMILIES, Family, VariantInfo};
use mobilenas_space::ir::{BlockRange, Graph, Op, fold_batch_norms};
use mobilenas_space::{Cost, cost, latency_key, memory};

use super::networks;

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A published network; all of them if left out
    name: Option<String>,
    /// A genome, as runs write it for their winners, instead of a published network
    #[arg(long, conflicts_with = "name")]
    genome: Option<PathBuf>,
    /// Side of the image in pixels [default: the published one]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    resolution: Option<u32>,
    /// Number of classes, of a detector with the background [default: 1000, or the head's published number]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    classes: Option<u32>,
    #[command(flatten)]
    head: HeadArgs,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the list as the table of docs/models.md
    #[arg(long, conflicts_with_all = ["name", "genome"])]
    markdown: bool,
}

/// Lists networks, or one network's layers.
///
/// # Errors
/// When there is no such network, or the genome is none.
pub fn run(args: &Args) -> Result<i32> {
    let text = match (&args.name, &args.genome) {
        (Some(name), _) => {
            let graph = networks::with_head(&args.head, name, args.resolution, args.classes)?;
            one(&args.head.title(name), &graph, args.json)
        }
        (None, Some(file)) => {
            let graph = networks::genome(&args.head, file, args.resolution, args.classes)?;
            one(&args.head.title(&file.display().to_string()), &graph, args.json)
        }
        (None, None) if args.head.head()?.is_some() => {
            bail!(super::Input("a head: no network to put it on, expected NAME or --genome".to_string()))
        }
        (None, None) if args.markdown => markdown()?,
        (None, None) => list(args.json)?,
    };
    out!("{text}")?;
    Ok(0)
}

/// What the list says of a published network.
struct Line {
    family: &'static dyn Family,
    info: VariantInfo,
    cost: Cost,
    deployed: u64,
    mes: Option<f64>,
}

fn lines() -> Result<Vec<Line>> {
    let mut all = Vec::new();
    for family in FAMILIES {
        for info in family.variants() {
            let graph = networks::variant(info.id, None, 1000)?;
            let (cost, deployed) = (cost::graph(&graph), deployed_params(&graph));
            let constants = record::Mes::default();
            // On the phone of the published latencies the unit is one millisecond, as the constants' authors mean it.
            let params = if family.counting_note().contains("deployed") { deployed } else { cost.params };
            let mes = info.published.iphone12_ms.and_then(|ms| score::mes(&constants, params as f64, ms, 1.0));
            all.push(Line { family: *family, info, cost, deployed, mes });
        }
    }
    Ok(all)
}

/// Parameters as deployed: batch norms and layer scales folded into their neighbours.
fn deployed_params(graph: &Graph) -> u64 {
    let folded = fold_batch_norms(graph).graph;
    let vanishes = |op: &Op| matches!(op, Op::BatchNorm | Op::ChannelScale { .. });
    let kept = (0..folded.nodes.len()).filter(|&i| !vanishes(&folded.nodes[i].op));
    kept.map(|i| cost::node(&folded, i).params).sum()
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_string(), |v| format!("{v:.digits$}"))
}

fn list(json: bool) -> Result<String> {
    let lines = lines()?;
    if json {
        let row = |l: &Line| {
            let p = l.info.published;
            serde_json::json!({
                "model": l.info.id, "family": l.family.name(), "resolution": l.info.resolution,
                "params": l.cost.params, "macs": l.cost.macs, "activations": l.cost.activations,
                "params_deployed": l.deployed, "mes": l.mes, "cite": l.family.cite(), "counts": l.family.counting_note(),
                "published": { "top1": p.top1, "params_m": p.params_m, "macs_g": p.macs_g, "iphone12_ms": p.iphone12_ms },
            })
        };
        return Ok(format!("{}\n", serde_json::Value::from(lines.iter().map(row).collect::<Vec<_>>())));
    }
    let mut out = format!(
        "{:<26} {:>4} {:>11} {:>14} | published: {:>5} {:>8} {:>6} {:>6} {:>6}\n",
        "model", "px", "params", "MACs", "top-1", "params M", "MACs G", "ms", "MES"
    );
    let mut family = "";
    for l in &lines {
        if family != l.family.name() {
            family = l.family.name();
            writeln!(out, "{family}: {}", l.family.cite())?;
            if !l.family.counting_note().is_empty() {
                writeln!(out, "  ({})", l.family.counting_note())?;
            }
        }
        let p = l.info.published;
        writeln!(
            out,
            "  {:<24} {:>4} {:>11} {:>14} |            {:>5} {:>8} {:>6} {:>6} {:>6}",
            l.info.id,
            l.info.resolution,
            l.cost.params,
            l.cost.macs,
            figure(p.top1, 1),
            figure(p.params_m, 1),
            figure(p.macs_g, 2),
            figure(p.iphone12_ms, 1),
            figure(l.mes, 1)
        )?;
    }
    writeln!(out, "published top-1 is ImageNet-1k; ms is an iPhone 12 as EfficientFormerV2's authors measured it")?;
    writeln!(out, "{}; here the unit is 1 ms", score::formula(&record::Mes::default(), None))?;
    Ok(out)
}

/// The list as a Markdown table.
///
/// # Errors
/// Never for the families that ship.
pub fn markdown() -> Result<String> {
    let mut out = String::from(
        "| model | family | px | params | MACs | published top-1, % | published params, M | published MACs, G |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for l in lines()? {
        let p = l.info.published;
        writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} |",
            l.info.id,
            l.family.name(),
            l.info.resolution,
            l.cost.params,
            l.cost.macs,
            figure(p.top1, 1),
            figure(p.params_m, 1),
            figure(p.macs_g, 2)
        )?;
    }
    Ok(out)
}

/// One network's layers.
fn one(name: &str, graph: &Graph, json: bool) -> String {
    let total = cost::graph(graph);
    let keys = latency_key::blocks(graph).iter().map(latency_key::key).collect::<Vec<_>>();
    let blocks = graph.blocks.iter().zip(cost::blocks(graph)).zip(keys);
    let outputs: Vec<_> = graph.outputs.iter().map(|o| (o.name, &graph.nodes[o.node].value)).collect();
    let memory = memory(graph);
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    let place = |path: &mobilenas_space::ir::Path| path.to_string();
    if json {
        let row = |((b, c), key): ((&BlockRange, Cost), String)| {
            serde_json::json!({
                "block": place(&b.path), "kind": b.kind, "out": graph.nodes[b.output].value.dims.to_vec(),
                "params": c.params, "macs": c.macs, "activations": c.activations, "latency_key": key,
            })
        };
        let outputs = outputs.iter().map(|(name, size)| serde_json::json!({"name": name, "out": size.dims.to_vec()}));
        let out = serde_json::json!({
            "model": name, "resolution": graph.input().dims[1], "params": total.params, "macs": total.macs,
            "activations": total.activations, "params_deployed": deployed_params(graph), "digest": graph.digest(),
            "memory": {"weights": memory.weights, "activations": memory.activations, "bytes": memory.bytes()},
            "outputs": outputs.collect::<Vec<_>>(), "ops": graph.histogram(), "blocks": blocks.map(row).collect::<Vec<_>>(),
        });
        return format!("{out}\n");
    }
    let places = graph.blocks.iter().map(|b| place(&b.path).len());
    let wide = places.max().unwrap_or_default().max(16);
    let mut out = format!(
        "{:<wide$} {:<22} {:>12} {:>11} {:>6} {:>13} {:>6} {}\n",
        "block", "kind", "out", "params", "%", "MACs", "%", "latency key"
    );
    for ((b, c), key) in blocks {
        // What comes before the digest is in the other columns.
        let key = key.rsplit('.').next().unwrap_or_default();
        out.push_str(&format!(
            "{:<wide$} {:<22} {:>12} {:>11} {:>6.1} {:>13} {:>6.1} {key}\n",
            place(&b.path),
            b.kind,
            graph.nodes[b.output].value.to_string(),
            c.params,
            share(c.params, total.params),
            c.macs,
            share(c.macs, total.macs)
        ));
    }
    let outputs = outputs.iter().map(|(name, size)| format!("{name} {size}")).collect::<Vec<_>>();
    out.push_str(&format!(
        "outputs: {}; memory for an image in float32: {} bytes, {} of them weights\n",
        outputs.join(", "),
        memory.bytes(),
        4 * memory.weights
    ));
    out.push_str(&format!(
        "{name} at {} px: {} params ({} as deployed), {} MACs, {} activations\n",
        graph.input().dims[1],
        total.params,
        deployed_params(graph),
        total.macs,
        total.activations
    ));
    out
}
