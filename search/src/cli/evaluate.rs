//! `mobilenas evaluate --model NAME --weights FILE --data DIR`, or `--run DIR --trial N`

use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::Result;
use mobilenas_host::{Clock as _, OutputError, WallClock, outln};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Input;
use super::dense::{self, DenseData};
use super::loaded::{Loaded, NetArgs, Precision, finite, largest};
use super::ranks;
use mobilenas_data::dataset::ImageFolder;
use mobilenas_host::Progress;
use mobilenas_image::{Damaged, Float, decode};
use mobilenas_task::ClassReport;
use mobilenas_train::collective::Collective;

/// Arguments of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Folder of images: DIR/<class>/*, or DIR/val/<class>/*; classes are matched by name where the weights name them. With a
    /// head: folder of the dataset [default with --config or --run: as the config says]
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "run"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    dense: DenseData,
    /// Go on without class folders that hold no usable image
    #[arg(long)]
    allow_empty_classes: bool,
    /// Images in a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// How many of the worst classes are listed
    #[arg(long, value_name = "N", default_value_t = 10)]
    worst: usize,
    /// Print JSON, with every class
    #[arg(long)]
    json: bool,
}

/// Batches that may wait between reading and running.
const WAITING: usize = 2;

/// Accuracy on a folder of images.
///
/// # Errors
/// When the network, its weights or the folder are wrong, or no image can be read.
pub fn run(args: &Args) -> Result<i32> {
    ranks::among(|collective| evaluate(args, collective))
}

fn evaluate(args: &Args, collective: &dyn Collective) -> Result<i32> {
    if let Some((head, options)) = args.net.head()? {
        let (net, data) = (&args.net, args.data.as_deref());
        return dense::evaluate(net, (head, &options), data, &args.dense, args.json, collective);
    }
    let data = args.data.as_deref().ok_or_else(|| Input("--data: no folder of images, expected one".to_string()))?;
    args.dense.refuse()?;
    let folder = ImageFolder::open_val(data, args.allow_empty_classes).map_err(|e| Input(e.to_string()))?;
    let loaded = args.net.load()?;
    let folder = loaded.labels(folder, &args.net.file().display().to_string())?;
    let found = folder.classes.len();
    if !args.json && collective.leads() {
        outln!("{}", args.net.title(&loaded))?;
        outln!("{}: {} images in {found} classes", data.display(), folder.images.len())?;
    }
    let outcome = match args.net.precision {
        Precision::Float32 => score::<f32>(args, &loaded, &folder, collective),
        Precision::Float64 => score::<f64>(args, &loaded, &folder, collective),
    }?;
    if !collective.leads() {
        return Ok(0);
    }
    if outcome.report.images() == 0 {
        let first = outcome.damaged.first().map(ToString::to_string).unwrap_or_default();
        return Err(Input(format!("{}: no image can be read; {first}", data.display())).into());
    }
    if args.json {
        outln!("{}", outcome.json(args.net.json(&loaded), &folder))?;
    } else {
        outcome.print(&folder, args.worst)?;
    }
    Ok(0)
}

/// What came out.
struct Outcome {
    report: ClassReport,
    damaged: Vec<Damaged>,
    seconds: f64,
}

/// What came of an image: its place in the list, and its likeliest classes, or what is wrong with it.
#[derive(Serialize, Deserialize)]
struct Seen {
    place: usize,
    likeliest: Vec<usize>,
    damaged: Option<[String; 2]>,
}

/// An image's place in the list, and its input.
type Ready<F> = (usize, Result<Vec<F>, Damaged>);

/// One thread drives rayon, which reads and prepares a batch at a time; this one runs the batches. At most [`WAITING`]
/// batches wait between the two, so memory does not grow with the folder. Several processes take the batches in turn.
fn score<F: Float + tch::kind::Element>(
    args: &Args,
    loaded: &Loaded,
    folder: &ImageFolder,
    collective: &dyn Collective,
) -> Result<Outcome> {
    let clock = WallClock::new();
    let bar = if collective.leads() { Progress::new("evaluate") } else { Progress::hidden() };
    let own = |n: usize| n % collective.ranks() == collective.rank();
    let batches = || folder.images.chunks(args.batch as usize).enumerate().filter(|(n, _)| own(*n));
    bar.begin(batches().map(|(_, part)| part.len() as u64).sum(), 0);
    let (send, receive) = mpsc::sync_channel::<Vec<Ready<F>>>(WAITING);
    let mut seen = Vec::new();
    std::thread::scope(|threads| -> Result<()> {
        // Taken in, so that the reader sees it closed when this closure fails.
        let receive = receive;
        let (pipeline, size) = (&loaded.pipeline, args.batch as usize);
        threads.spawn(move || {
            for (n, part) in batches() {
                let ready = |(i, (path, _)): (usize, &(PathBuf, u32))| {
                    (n * size + i, decode(path).map(|image| pipeline.input(&image)))
                };
                let batch = part.par_iter().enumerate().map(ready).collect();
                if send.send(batch).is_err() {
                    return;
                }
            }
        });
        let mut done = 0;
        for batch in receive {
            done += batch.len() as u64;
            take(args, loaded, folder, batch, &mut seen)?;
            bar.at(done, "");
        }
        Ok(())
    })?;
    bar.done();
    for text in collective.texts(&serde_json::to_string(&seen)?)?.iter().filter(|_| !collective.alone()) {
        let all: Vec<Seen> = serde_json::from_str(text)?;
        seen.extend(all.into_iter().filter(|one| !own(one.place / args.batch as usize)));
    }
    seen.sort_by_key(|one| one.place);
    Ok(Outcome::of(seen, folder, clock.now().as_secs_f64()))
}

/// Runs a batch.
fn take<F: Float + tch::kind::Element>(
    args: &Args,
    net: &Loaded,
    folder: &ImageFolder,
    batch: Vec<Ready<F>>,
    seen: &mut Vec<Seen>,
) -> Result<()> {
    let (mut places, mut inputs) = (Vec::new(), Vec::new());
    for (place, input) in batch {
        match input {
            Ok(input) => {
                places.push(place);
                inputs.push(input);
            }
            Err(e) => seen.push(Seen { place, likeliest: Vec::new(), damaged: Some([e.path, e.found]) }),
        }
    }
    if inputs.is_empty() {
        return Ok(());
    }
    for (place, logits) in places.into_iter().zip(net.logits(&inputs)?) {
        finite(&logits, &args.net, &folder.images[place].0)?;
        seen.push(Seen { place, likeliest: largest(&logits, 5), damaged: None });
    }
    Ok(())
}

impl Outcome {
    /// The report on images in the order of their places.
    fn of(seen: Vec<Seen>, folder: &ImageFolder, seconds: f64) -> Outcome {
        let mut out = Outcome { report: ClassReport::new(folder.classes.len()), damaged: Vec::new(), seconds };
        for one in seen {
            match one.damaged {
                Some([path, found]) => out.damaged.push(Damaged { path, found }),
                None => out.report.add(folder.images[one.place].1 as usize, &one.likeliest),
            }
        }
        out
    }

    fn rate(&self) -> f64 {
        (self.report.images() + self.damaged.len() as u64) as f64 / self.seconds.max(1e-9)
    }

    fn print(&self, folder: &ImageFolder, worst: usize) -> Result<(), OutputError> {
        let t = &self.report;
        outln!("top-1 {:.3} %, top-5 {:.3} % of {} images", t.top1(), t.top5(), t.images())?;
        outln!("{:.1} images per second ({:.1} s)", self.rate(), self.seconds)?;
        folder.notes.iter().try_for_each(|note| outln!("{note}"))?;
        outln!("{} damaged images left out", self.damaged.len())?;
        for d in &self.damaged {
            outln!("  {d}")?;
        }
        outln!("worst classes: images, top-1, most frequent wrong class")?;
        for c in t.worst().into_iter().take(worst) {
            let wrong = t.most_frequent_wrong(c).map(|(w, n)| format!("{} ({n})", folder.classes[w]));
            let (name, one) = (&folder.classes[c], t.class(c));
            outln!("  {name:<24} {:>6} {:>8.2} %  {}", one.images, one.top1(), wrong.as_deref().unwrap_or("-"))?;
        }
        Ok(())
    }

    fn json(&self, mut out: Json, folder: &ImageFolder) -> Json {
        let t = &self.report;
        let class = |(index, name): (usize, &String)| {
            let one = t.class(index);
            let wrong = t.most_frequent_wrong(index);
            let wrong = wrong.map(|(w, n)| json!({ "index": w, "class": folder.classes[w], "images": n }));
            let share = |x: f64| (one.images > 0).then_some(x);
            json!({
                "index": index, "class": name, "images": one.images, "top1": share(one.top1()),
                "top5": share(one.top5()), "most_frequent_wrong": wrong,
            })
        };
        let damaged = self.damaged.iter().map(|d| json!({ "image": d.path, "error": d.found }));
        out["images"] = t.images().into();
        out["top1"] = t.top1().into();
        out["top5"] = t.top5().into();
        out["seconds"] = self.seconds.into();
        out["images_per_second"] = self.rate().into();
        out["left_out"] = folder.notes.clone().into();
        out["damaged"] = damaged.collect();
        out["worst"] = t.worst().into();
        out["per_class"] = folder.classes.iter().enumerate().map(class).collect();
        out
    }
}
