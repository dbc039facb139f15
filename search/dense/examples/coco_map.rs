//! How long COCO's average precision takes: reads a set of boxes as `tests/make_coco.py set` writes it, on standard
//! input, and prints seconds. `make_coco.py time SEED BOXES target/debug/examples/coco_map` compares them with
//! pycocotools.

use std::error::Error;
use std::time::Instant;

use mobilenas_dense::metrics::coco::{CocoEvaluator, Found, Truth};
use serde::Deserialize;

#[derive(Deserialize)]
struct Set {
    truths: Vec<(u64, u32, u8, f64, [f64; 4])>,
    found: Vec<(u64, u32, f64, [f64; 4])>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let set: Set = serde_json::from_reader(std::io::stdin().lock())?;
    let start = Instant::now();
    let mut images = std::collections::BTreeMap::<u64, (Vec<_>, Vec<_>)>::new();
    for (image, category, crowd, area, region) in set.truths {
        images.entry(image).or_default().0.push(Truth { region, category, area, crowd: crowd == 1 });
    }
    for (image, category, score, region) in set.found {
        images.entry(image).or_default().1.push(Found { region, category, score });
    }
    let mut evaluator = CocoEvaluator::default();
    images.into_iter().for_each(|(id, (truths, found))| evaluator.add(id, truths, found));
    let scores = evaluator.scores();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{scores:?}");
    println!("{seconds}");
    Ok(())
}
