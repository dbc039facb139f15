//! Names of tensors in published checkpoints of networks with heads, and of backbones alone.

use std::collections::BTreeSet;

use mobilenas_space::families::{Naming, Translate};

use super::head::BACKBONE;

/// Where ml-cvnets and mmsegmentation have the backbone's tensors in a whole network's checkpoint.
const PREFIXES: [(&str, &str); 2] = [("encoder", "a whole network of ml-cvnets"), (BACKBONE, "a whole network")];

/// How a checkpoint names the tensors of a network with a head.
#[derive(Clone, Debug)]
pub struct HeadNaming {
    /// How the backbone's authors name its tensors, where they do so otherwise than timm.
    backbone: Option<&'static Naming>,
    names: Names,
    source: String,
}

#[derive(Clone, Debug)]
enum Names {
    /// The backbone below a prefix, and beside it the head under the names here.
    Whole { prefix: &'static str },
    /// A classifier, of which the backbone is taken: the names of the tensors that it shares with the network.
    Backbone { shared: BTreeSet<String> },
    /// A classifier, for a classifier.
    Classifier,
}

impl HeadNaming {
    /// The ways to name a network with a head, if a classifier of its backbone has tensors of these names; `namings` are those
    /// of the backbone's family.
    pub fn all(namings: &'static [Naming], classifier: &BTreeSet<String>) -> Vec<HeadNaming> {
        let ways = namings.iter().map(Some).chain([None]).collect::<Vec<_>>();
        let whole = PREFIXES.into_iter().flat_map(|(prefix, what)| ways.iter().map(move |w| (prefix, what, *w)));
        let whole = whole.map(|(prefix, what, backbone)| HeadNaming {
            backbone,
            names: Names::Whole { prefix },
            source: backbone.map_or_else(|| what.to_string(), |n| format!("{what} as {} names it", n.source)),
        });
        let alone = ways.iter().map(|backbone| HeadNaming {
            backbone: *backbone,
            names: Names::Backbone { shared: classifier.clone() },
            source: backbone.map_or_else(|| "a classifier".to_string(), |n| format!("a classifier of {}", n.source)),
        });
        whole.chain(alone).collect()
    }

    /// The ways to name a classifier.
    pub fn of_classifier(namings: &'static [Naming]) -> Vec<HeadNaming> {
        let one = |n: &'static Naming| HeadNaming {
            backbone: Some(n),
            names: Names::Classifier,
            source: n.source.to_string(),
        };
        namings.iter().map(one).collect()
    }

    /// Whether it takes the backbone from a classifier's weights.
    pub fn is_backbone(&self) -> bool {
        matches!(self.names, Names::Backbone { .. })
    }

    fn of_backbone(&self, name: &str) -> Option<String> {
        self.backbone.map_or_else(|| Some(name.to_string()), |n| n.translate(name))
    }
}

impl Translate for HeadNaming {
    fn source(&self) -> &str {
        &self.source
    }

    fn note(&self) -> &str {
        self.backbone.map_or("", |n| n.note)
    }

    fn translate(&self, name: &str) -> Option<String> {
        let below = |name: String| format!("{BACKBONE}.{name}");
        // Indices follow from the network's size.
        let is_index = || name.ends_with("attention_bias_idxs");
        match &self.names {
            Names::Classifier => self.of_backbone(name),
            Names::Backbone { .. } if is_index() => None,
            Names::Backbone { shared } => self.of_backbone(name).filter(|n| shared.contains(n)).map(below),
            Names::Whole { prefix } => match name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) {
                // The first release of ml-cvnets nests the classifier.
                None => Some(name.replace("seg_head.classifier.classifier.", "seg_head.classifier.")),
                // Beside tables for the head's images, EfficientFormer keeps those of the classifier.
                Some(rest) if *prefix == BACKBONE && self.backbone.is_some() => {
                    match rest.strip_suffix("attention_biases_seg") {
                        Some(module) => self.of_backbone(&format!("{module}attention_biases")).map(below),
                        None if rest.ends_with("attention_biases") || is_index() => None,
                        None => self.of_backbone(rest).map(below),
                    }
                }
                Some(rest) => self.of_backbone(rest).map(below),
            },
        }
    }
}
