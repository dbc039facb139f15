//! Names of tensors in checkpoints of networks with heads: those of ml-cvnets and of EfficientFormer's authors.

use crate::common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use common::{goldens, plan};
use mobilenas_heads::HeadNaming;
use mobilenas_space::families::{self, Translate as _};

/// The authors' names of the tensors of a classifier, each with timm's (`-` for one that no network needs).
pub fn official(model: &str) -> Vec<(String, String)> {
    let (file, mut text) = (&include_bytes!("../../tests/official_names.txt.gz")[..], String::new());
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let groups = text.split("# ").filter_map(|g| g.split_once('\n'));
    let (_, pairs) = groups.into_iter().find(|(ids, _)| ids.split(' ').any(|id| id == model)).unwrap();
    pairs.lines().filter_map(|l| l.split_once(' ')).map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

/// The names that the head's authors give to one of its tensors: since their second release, and in their first.
fn of_head(ours: &str) -> [String; 2] {
    let first = ours.replace("seg_head.classifier.", "seg_head.classifier.classifier.");
    [ours.to_string(), first]
}

#[test]
fn checkpoints_of_whole_networks_are_read() {
    let mut compared = BTreeSet::new();
    for g in goldens().into_iter().filter(|g| mobilenas_heads::head(g["head"].as_str().unwrap()).is_some()) {
        let model = g["model"].as_str().unwrap();
        let names: BTreeSet<String> = plan(&g, true).lower().unwrap().params().into_iter().map(|p| p.name).collect();
        let theirs: BTreeMap<String, String> =
            official(model).into_iter().map(|(theirs, ours)| (ours, theirs)).collect();
        let (family, _) = families::variant(model).unwrap();
        let ways = HeadNaming::all(family.namings(), &theirs.keys().cloned().collect());
        let snap = g["head"] == "semantic_fpn";
        for release in [0, 1] {
            let mut checkpoint: BTreeMap<String, String> = BTreeMap::new();
            for ours in names.iter().filter(|n| !n.ends_with("attention_bias_idxs")) {
                let name = match ours.strip_prefix("backbone.") {
                    None => of_head(ours)[release].clone(),
                    // The norms through which the head reads have one name everywhere.
                    Some(norm) if norm.starts_with("norm") => ours.clone(),
                    Some(own) if snap => {
                        format!("backbone.{}", theirs[own].replace("attention_biases", "attention_biases_seg"))
                    }
                    Some(own) => format!("encoder.{}", theirs[own]),
                };
                checkpoint.insert(name, ours.clone());
            }
            let reads = |way: &&HeadNaming| {
                checkpoint.iter().all(|(theirs, ours)| way.translate(theirs).as_deref() == Some(ours.as_str()))
            };
            let way = ways.iter().find(reads).unwrap_or_else(|| panic!("{}: no way to read it", g["case"]));
            assert!(!way.is_backbone());
            if snap {
                // The tables of the classifier stay beside those of the head.
                let table = checkpoint.keys().find(|n| n.ends_with("attention_biases_seg")).unwrap();
                assert_eq!(way.translate(table.strip_suffix("_seg").unwrap()), None);
            }
        }
        compared.insert(model.to_string());
    }
    assert_eq!(compared.len(), 12, "{compared:?}");
}

#[test]
fn the_backbone_of_a_classifier_is_taken() {
    let g = goldens().into_iter().find(|g| g["case"] == "ssdlite/mobilevit_s").unwrap();
    let names: BTreeSet<String> = plan(&g, false).lower().unwrap().params().into_iter().map(|p| p.name).collect();
    let shared: BTreeSet<String> =
        names.iter().filter_map(|n| n.strip_prefix("backbone.")).map(str::to_string).collect();
    let (family, _) = families::variant("mobilevit_s").unwrap();
    let ways = HeadNaming::all(family.namings(), &shared);
    for timm in [true, false] {
        let pairs =
            official("mobilevit_s").into_iter().map(|(theirs, ours)| (if timm { ours.clone() } else { theirs }, ours));
        let pairs: Vec<(String, String)> = pairs.collect();
        let expected = |ours: &String| shared.contains(ours).then(|| format!("backbone.{ours}"));
        let reads = |way: &&HeadNaming| pairs.iter().all(|(theirs, ours)| way.translate(theirs) == expected(ours));
        let way = ways.iter().find(reads).unwrap();
        assert!(way.is_backbone());
        assert!(pairs.iter().any(|(theirs, _)| way.translate(theirs).is_none()), "the classifier stays behind");
    }
}
