//! Names that the families' authors give their tensors. `official_names.txt.gz` holds them as their own code makes them, each with
//! timm's name of the same tensor (`-` for one that no network needs); with these pairs the authors' networks and timm's
//! give the same logits for all variants.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use mobilenas_space::families;

/// Pairs of names by variant.
fn official() -> BTreeMap<String, Vec<(String, String)>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&include_bytes!("official_names.txt.gz")[..]).read_to_string(&mut text).unwrap();
    let mut all = BTreeMap::new();
    for group in text.split("# ").filter(|g| !g.is_empty()) {
        let (variants, pairs) = group.split_once('\n').unwrap();
        let pair = |l: &str| l.split_once(' ').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
        let pairs: Vec<(String, String)> = pairs.lines().map(pair).collect();
        all.extend(variants.split(' ').map(|v| (v.to_string(), pairs.clone())));
    }
    all
}

#[test]
fn every_name_of_the_authors_is_translated() {
    let official = official();
    assert_eq!(official.len(), 26);
    for (id, pairs) in &official {
        let (family, info) = families::variant(id).unwrap();
        let [naming] = family.namings() else { panic!("{id}: {} namings", family.namings().len()) };
        for (theirs, ours) in pairs {
            assert_eq!(naming.translate(theirs).as_deref().unwrap_or("-"), ours, "{id}: {theirs}");
        }
        let template = family.template(id).unwrap();
        let graph = template.plan(&template.values(), info.resolution, 1000).unwrap().lower().unwrap();
        let own: BTreeSet<String> = graph.params().into_iter().map(|p| p.name).collect();
        let translated: BTreeSet<String> = pairs.iter().map(|(_, ours)| ours.clone()).filter(|n| n != "-").collect();
        assert_eq!(own, translated, "{id}");
    }
    let with = |f: &&dyn families::Family| !f.namings().is_empty();
    let covered = families::FAMILIES.iter().copied().filter(|f| with(f)).flat_map(|f| f.variants());
    assert_eq!(covered.count(), 26, "a family with a naming has a variant without a golden");
}
