//! The PyTorch source of every family: all variants and many genomes have one, with few classes and every tensor's name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_heads::{HEADS, HeadOptions, attach};
use mobilenas_pytorch::{PytorchError, Shows, class_name, example, size, source};
use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::{Graph, Regularization, Sections, Value, fold_batch_norms, regularize};
use mobilenas_space::{Space, SpaceConfig, latency_key};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const GENOMES: usize = 50;

fn graph(id: &str) -> Graph {
    families::plan(id, None, 1000).unwrap().lower().unwrap()
}

fn classes(text: &str) -> Vec<&str> {
    text.lines().filter_map(|l| l.strip_prefix("class ")?.split_once('(')).map(|(name, _)| name).collect()
}

/// What every source has, whatever the network.
fn assert_sound(what: &str, graph: &Graph) -> String {
    let text = source(graph, "net").unwrap_or_else(|e| panic!("{what}: {e}"));
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{what}: {line}");
        assert!(!line.contains(['#', '$', '~', '\u{1}']), "{what}: a place that is not filled in: {line}");
        let mut keywords =
            line.match_indices("=nn.").map(|(at, _)| line[..at].rsplit([' ', '(']).next().unwrap_or_default());
        let number = keywords.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(number, None, "{what}: a number as a keyword: {line}");
    }
    for tensor in graph.params() {
        // Tensors of PyTorch's own layers are not named in the text, those of a batch norm neither.
        let module = tensor.name.rsplit('.').nth(1).unwrap_or(&tensor.name).to_string();
        let named = module.parse::<u32>().is_ok() || [".", " "].iter().any(|c| text.contains(&format!("{c}{module}")));
        assert!(named || text.contains(&format!("({module}=")), "{what}: {} has no module", tensor.name);
    }
    let all = classes(&text);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{what}: a class twice");
    for class in text.split("\nclass ").skip(1) {
        let made = class.split("    def forward(").next().unwrap_or_default();
        let mut attributes: Vec<&str> = made
            .lines()
            .filter_map(|l| l.strip_prefix("        self.")?.split_once(" = ").map(|(name, _)| name))
            .collect();
        let count = attributes.len();
        // A module is always true, so it cannot say whether it is there.
        let forward = class.split_once("    def forward(").map_or("", |(_, forward)| forward);
        let argument = |name: &str| {
            let made = class.lines().find_map(|l| l.trim().strip_prefix(&format!("self.{name} = ")));
            made.is_some_and(|m| m.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        };
        let flag = |name: &&&str| forward.contains(&format!(" if self.{name} else"));
        let read = attributes.iter().filter(flag).find(|name| !argument(name));
        assert_eq!(read, None, "{what}: a module as a flag in {class}");
        attributes.sort_unstable();
        attributes.dedup();
        assert_eq!(attributes.len(), count, "{what}: an attribute twice in {class}");
    }
    for name in &all {
        assert!(text.matches(&format!("{name}(")).count() > 1, "{what}: {name} is not used");
    }
    // Heads that read each other's results are written out: stages with other numbers of them are other classes.
    let of_head = if what.contains(" with ") { 8 } else { 0 };
    let most = if what.starts_with("efficientvit_m") { 24 } else { 16 } + of_head;
    assert!(all.len() <= most, "{what}: {} classes: {all:?}", all.len());
    text
}

/// Every head of a single pass, on each backbone of some families that it fits.
#[test]
fn every_head_has_a_source_with_names_that_python_takes() {
    let mut written = 0;
    for head in HEADS.iter().filter(|h| h.rcnn_rules().is_none()) {
        for family in FAMILIES {
            let id = family.variants()[0].id;
            let options = HeadOptions { width: Some(48), auxiliary: true, ..HeadOptions::new(7) };
            let plan = families::plan(id, Some(family.variants()[0].resolution), 10).unwrap();
            let Ok(plan) = attach(*head, plan, &options) else { continue };
            let what = format!("{id} with {}", head.name());
            let text = assert_sound(&what, &plan.lower().unwrap());
            // `os_-1` of a checkpoint is no name.
            let odd = |l: &&str| {
                let attribute = l.trim().strip_prefix("self.").and_then(|l| Some(l.split_once(" = ")?.0));
                let name = attribute.or_else(|| Some(l.strip_prefix("class ")?.split_once('(')?.0)).unwrap_or_default();
                !name.contains(", ") && name.chars().any(|c| !c.is_ascii_alphanumeric() && c != '_')
            };
            assert_eq!(text.lines().find(odd), None, "{what}");
            written += 1;
        }
    }
    assert!(written > 4 * FAMILIES.len() / 2, "{written}");
}

#[test]
fn every_variant_has_a_source_trained_dropping_and_folded() {
    let how = Regularization { dropout: 0.1, head_dropout: 0.2, drop_path: Some(0.1) };
    for variant in FAMILIES.iter().flat_map(|f| f.variants()) {
        let graph = graph(variant.id);
        let plain = assert_sound(variant.id, &graph);
        let regularized = regularize(&graph, &how);
        let dropping = assert_sound(variant.id, &regularized);
        // A network without residuals has no path to drop.
        let drops = regularized.histogram().contains_key("drop_path");
        assert!(dropping.contains("F.dropout("), "{}", variant.id);
        assert_eq!(dropping.matches("drop_path(").count() > 1, drops, "{}", variant.id);
        // Layers of one block that drop at rates of their own are written out, one by one.
        assert!(classes(&dropping).len() >= classes(&plain).len());
        let graph = fold_batch_norms(&graph).graph;
        let folded = assert_sound(variant.id, &graph);
        assert_eq!(folded.contains("nn.BatchNorm"), graph.histogram().contains_key("batch_norm"), "{}", variant.id);
    }
}

#[test]
fn random_genomes_have_a_source() {
    for family in FAMILIES {
        let config = SpaceConfig {
            family: family.name().to_string(),
            width: 1.0,
            divisor: 8,
            knobs: BTreeMap::new(),
            classes: 10,
        };
        let space = Space::new(&config).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..GENOMES {
            let genome = space.sample(&mut rng);
            let what = format!("{} {:?}", family.name(), space.values(&genome));
            assert_sound(&what, &space.lower(&genome).unwrap());
        }
    }
}

#[test]
fn blocks_alone_have_a_source() {
    let mut keys = BTreeSet::new();
    for family in FAMILIES {
        let config = SpaceConfig {
            family: family.name().to_string(),
            width: 0.5,
            divisor: 8,
            knobs: BTreeMap::new(),
            classes: 10,
        };
        let space = Space::new(&config).unwrap();
        for genome in [space.smallest(), space.largest()] {
            let blocks = latency_key::blocks(&space.lower(&genome).unwrap());
            for block in blocks.iter().filter(|b| b.inputs().count() == 1) {
                let key = latency_key::key(block);
                if keys.insert(key.clone()) {
                    assert_sound(&format!("{} {key}", family.name()), &fold_batch_norms(block).graph);
                }
            }
        }
    }
}

#[test]
fn sizes_are_those_of_the_source() {
    let rows = Value::rows(&[4, 9], Sections::plain(8));
    assert_eq!((size(&rows, 2), size(&Value::rows(&[9], Sections::plain(8)), 2)), (vec![8, 9, 8], vec![2, 9, 8]));
    let map = Value::map(Sections::plain(8), 5, 6);
    assert_eq!((size(&map, 2), size(&Value { windows: 3, ..map.clone() }, 2)), (vec![2, 8, 5, 6], vec![6, 8, 5, 6]));
}

#[test]
fn layers_that_differ_in_numbers_are_one_class() {
    let text = source(&graph("mobilevit_s"), "mobilevit_s").unwrap();
    assert_eq!(
        classes(&text),
        [
            "ConvNorm",
            "InvertedResidual",
            "Attention",
            "Mlp",
            "TransformerLayer",
            "MobileViTBlock",
            "Classifier",
            "MobilevitS"
        ]
    );
    // The class, and three blocks, with 2, 4 and 3 layers.
    assert_eq!(text.matches(" MobileViTBlock(").count(), 4);
    assert!(text.contains("for _ in range(depth)]"));
}

#[test]
fn modules_give_several_values_and_a_mean_is_of_classifiers() {
    let text = source(&graph("crossvit_tiny_240"), "crossvit").unwrap();
    for line in [
        "    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:",
        "        return z, a",
        "        x, y = self.blocks[0](y, x)",
        "        x, y = self.blocks[1](x, y)",
        "        self.head.append(nn.Linear(192, classes))",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn only_names_of_python_are_taken() {
    assert_eq!(class_name("mobilevit_xxs").unwrap(), "MobilevitXxs");
    for name in ["", "1x", "a-b", "_x", "é"] {
        assert_eq!(class_name(name), Err(PytorchError::Name { name: name.to_string() }), "{name}");
    }
}

#[test]
fn sources_stay_as_they_are() {
    for id in ["mobilevit_xxs", "mobilenetv3_small_100", "efficientformerv2_s0"] {
        insta::assert_snapshot!(id, source(&graph(id), id).unwrap());
    }
    let (family, _) = families::variant("mobilevit_xxs").unwrap();
    insta::assert_snapshot!(
        "example",
        example(&graph("mobilevit_xxs"), "mobilevit_xxs", &family.preprocessing(), &Shows::Classes)
    );
}
