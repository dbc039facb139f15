//! `mobilenas predict --model NAME --weights FILE IMAGE...`, or `--run DIR --trial N`

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::Input;
use super::dense::{self, DenseOutput};
use super::loaded::{Loaded, NetArgs, Precision, finite, largest};
use mobilenas_host::{errln, outln};
use mobilenas_image::{Float, decode};

/// Arguments of `predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Images: JPEG, PNG, WebP, BMP, GIF or TIFF
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Names of the classes, a line each [default: those that the weights file tells]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Print JSON with every logit and probability in full precision; with a detection head, in the format of COCO's results
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    dense: DenseOutput,
}

/// Prints the five likeliest classes of each image, or, with a head, its detections or the share of each class. Exit code 2 if an image could not be read.
///
/// # Errors
/// When the network, its weights or the labels are wrong.
pub fn run(args: &Args) -> Result<i32> {
    let head = args.net.head()?;
    if head.is_none() {
        args.dense.refuse()?;
    }
    let loaded = args.net.load()?;
    if let Some((head, options)) = head {
        let names = labels(args.labels.as_deref(), loaded.classes)?.or_else(|| loaded.names.clone());
        return dense::predict((&args.net, &loaded), (head, &options), names, &args.images, &args.dense, args.json);
    }
    match args.net.precision {
        Precision::Float32 => all::<f32>(args, &loaded),
        Precision::Float64 => all::<f64>(args, &loaded),
    }
}

fn labels(file: Option<&Path>, classes: u32) -> Result<Option<Vec<String>>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|e| Input(format!("{}: {e}, expected a text", file.display())))?;
    let names: Vec<String> = text.lines().map(|l| l.trim().to_string()).collect();
    if names.len() != classes as usize {
        let found = format!("{}: {} lines, expected one for each of {classes} classes", file.display(), names.len());
        return Err(Input(found).into());
    }
    Ok(Some(names))
}

fn all<F: Float + tch::kind::Element>(args: &Args, loaded: &Loaded) -> Result<i32> {
    let labels = labels(args.labels.as_deref(), loaded.classes)?.or_else(|| loaded.names.clone());
    if !args.json {
        outln!("{}", args.net.title(loaded))?;
    }
    let mut rows = Vec::new();
    let mut damaged = false;
    for path in &args.images {
        let image = match decode(path) {
            Ok(image) => image,
            Err(e) => {
                damaged = true;
                errln!("error: {e}");
                rows.push(json!({ "image": e.path, "error": e.found }));
                continue;
            }
        };
        let logits = loaded.logits::<F>(&[loaded.pipeline.input(&image)])?.pop().unwrap_or_default();
        finite(&logits, &args.net, path)?;
        let probabilities = softmax(&logits);
        let label = |class: usize| labels.as_ref().map(|l| l[class].as_str());
        let top = largest(&logits, 5);
        if args.json {
            let top = top.iter().map(
                |&c| json!({ "class": c, "label": label(c), "logit": logits[c], "probability": probabilities[c] }),
            );
            rows.push(json!({
                "image": path.display().to_string(), "top": top.collect::<Vec<_>>(),
                "logits": logits, "probabilities": probabilities,
            }));
            continue;
        }
        outln!("{}", path.display())?;
        for c in top {
            outln!("  {c:>6} {:>8.4} %  {}", 100.0 * probabilities[c], label(c).unwrap_or_default())?;
        }
    }
    if args.json {
        let mut out = args.net.json(loaded);
        out["images"] = rows.into();
        outln!("{out}")?;
    }
    Ok(if damaged { 2 } else { 0 })
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raw: Vec<f64> = logits.iter().map(|l| (l - most).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|r| r / sum).collect()
}
