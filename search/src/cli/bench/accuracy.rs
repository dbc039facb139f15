//! Accuracy on a fixed list of images, for the exact tier of `bench check`.

use anyhow::Result;
use mobilenas_bench::regression::baseline::Accuracy;
use mobilenas_bench::regression::finding::{Finding, Tier, Verdict};
use mobilenas_space::{Fnv, families};
use tch::{Kind, Tensor};

use crate::cli::bound::bound;
use crate::cli::loaded::{Loaded, class_names};
use crate::cli::{Input, networks};
use mobilenas_data::dataset::ImageFolder;
use mobilenas_image::{Pipeline, decode};
use mobilenas_pipeline::config::AccuracyOf;
use mobilenas_task::{Classification, Outputs, Targets, Task as _};

/// Images in a batch.
const BATCH: usize = 16;

/// The first images of every class in turn, until there are `n`: a list that depends on the files' names alone.
fn fixed(folder: &ImageFolder, n: usize) -> Vec<usize> {
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); folder.classes.len()];
    for (i, (_, class)) in folder.images.iter().enumerate() {
        of_class[*class as usize].push(i);
    }
    let longest = of_class.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| of_class.iter().filter_map(move |own| own.get(turn).copied()));
    turns.take(n).collect()
}

/// FNV-1a of the classes' and files' names, in order.
fn digest(folder: &ImageFolder, list: &[usize]) -> String {
    let mut hash = Fnv::default();
    for i in list {
        let (path, class) = &folder.images[*i];
        let name =
            format!("{}/{}\n", folder.classes[*class as usize], path.file_name().unwrap_or_default().to_string_lossy());
        hash.write(name.as_bytes());
    }
    format!("{:016x}", hash.finish())
}

/// Scores a network.
///
/// # Errors
/// When the weights are not its, an image cannot be read, or libtorch refuses.
pub fn score(of: &AccuracyOf) -> Result<Accuracy> {
    let folder = ImageFolder::open_val(&of.data, false).map_err(|e| Input(e.to_string()))?;
    let (net, classes, about) = bound(&of.weights, &of.model, networks::namings(&of.model), Kind::Float, |n| {
        networks::variant(&of.model, None, n)
    })?;
    let (_, info) = families::variant(&of.model).ok_or_else(|| Input(format!("{}: no such network", of.model)))?;
    let pipeline = Pipeline { side: net.graph().input().dims[1], how: info.preprocessing };
    let loaded = Loaded { net, classes, names: class_names(&about), pipeline, about };
    let folder = loaded.labels(folder, &of.weights.display().to_string())?;
    let list = fixed(&folder, of.images);
    let mut meter = Classification.meter();
    for part in list.chunks(BATCH) {
        let mut inputs: Vec<Vec<f32>> = Vec::with_capacity(part.len());
        for i in part {
            // A list that has lost an image is another list.
            let image = decode(&folder.images[*i].0).map_err(|e| Input(e.to_string()))?;
            inputs.push(loaded.pipeline.input(&image));
        }
        let labels: Vec<i64> = part.iter().map(|i| i64::from(folder.images[*i].1)).collect();
        let logits = loaded.logits(&inputs)?.concat();
        let logits = Tensor::f_from_slice(&logits)?.f_view([part.len() as i64, -1])?;
        meter.update(&Outputs::one(logits), &Targets::classes(&labels)?)?;
    }
    // The baseline has a count; of fewer than 10^12 images, the meter's percentage gives it exactly.
    let total = meter.samples();
    let top1 = meter.values().first().copied().unwrap_or_default();
    Ok(Accuracy { images: digest(&folder, &list), total, right: (top1 / 100.0 * total as f64).round() as u64 })
}

fn top1(a: &Accuracy) -> f64 {
    100.0 * a.right as f64 / a.total.max(1) as f64
}

/// The verdict on an accuracy; `tolerance` in points of top-1.
pub fn compare(model: &str, was: Option<&Accuracy>, is: &Accuracy, tolerance: f64) -> Finding {
    let finding = |v| Finding::new(Tier::Exact, model, "top1", v).values(was.map(top1), Some(top1(is)));
    let Some(was) = was else {
        return finding(Verdict::New)
            .because("not in the baseline", "The baseline has no accuracy of this network. Bless one to guard it.");
    };
    if was.images != is.images || was.total != is.total {
        return finding(Verdict::Fail).because(
            format!("another list of images ({} -> {})", was.total, is.total),
            "Accuracies on two lists of images cannot be compared. If the new list is wanted, bless it.",
        );
    }
    // In images, which are whole: a loss of exactly the tolerance passes.
    let lost = was.right as f64 - is.right as f64;
    let verdict = if lost > tolerance / 100.0 * is.total as f64 + 1e-6 { Verdict::Fail } else { Verdict::Pass };
    let words = match was.right == is.right {
        true => "unchanged".to_string(),
        false => format!("top1 {:.2} -> {:.2} % ({} -> {} of {})", top1(was), top1(is), was.right, is.right, is.total),
    };
    let rule = format!("It may lose {tolerance} points on the fixed list.");
    finding(verdict).because(words, format!("Top-1 was {:.2} % and is {:.2} %. {rule}", top1(was), top1(is)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> ImageFolder {
        let image = |name: &str, class| (name.into(), class);
        let images = vec![image("a/1.png", 0), image("a/2.png", 0), image("a/3.png", 0), image("b/1.png", 1)];
        ImageFolder { dir: "d".into(), classes: vec!["a".into(), "b".into()], images, notes: vec![] }
    }

    #[test]
    fn the_list_takes_the_classes_in_turn() {
        assert_eq!(fixed(&folder(), 3), [0, 3, 1]);
        assert_eq!(fixed(&folder(), 9), [0, 3, 1, 2]);
        assert_ne!(digest(&folder(), &[0, 3]), digest(&folder(), &[3, 0]));
    }

    #[test]
    fn a_loss_within_the_tolerance_is_shown_and_passes() {
        let of = |right| Accuracy { images: "x".into(), total: 1000, right };
        let compared = |is| compare("m", Some(&of(700)), &of(is), 0.2);
        assert_eq!(compared(699).words, "top1 70.00 -> 69.90 % (700 -> 699 of 1000)");
        assert_eq!([700, 698, 690].map(|n| compared(n).verdict), [Verdict::Pass, Verdict::Pass, Verdict::Fail]);
        let other = Accuracy { images: "y".into(), ..of(700) };
        assert_eq!(compare("m", Some(&of(700)), &other, 0.2).verdict, Verdict::Fail);
        assert_eq!(compare("m", None, &other, 0.2).verdict, Verdict::New);
    }
}
