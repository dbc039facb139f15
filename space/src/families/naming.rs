//! Names that others than timm give the tensors of a family: tables that translate them.

/// A way to name tensors that is not the one here.
pub trait Translate {
    /// Whose names they are, for messages.
    fn source(&self) -> &str;

    /// What its users should know, or nothing.
    fn note(&self) -> &str;

    /// A name as it is here; `None` for a tensor that the network does not need.
    fn translate(&self, name: &str) -> Option<String>;
}

/// How a family's authors name its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// Whose names they are, for messages.
    pub source: &'static str,
    /// What its users should know, or nothing.
    pub note: &'static str,
    /// Rules, applied one after another, each once. Both sides are parts of dotted names; `*` stands for any one part.
    /// A name that a rule turns into nothing belongs to no network.
    pub rules: &'static [(&'static str, &'static str)],
}

impl Naming {
    /// A name in timm's form; `None` for a tensor that no network needs.
    pub fn translate(&self, name: &str) -> Option<String> {
        let mut parts: Vec<&str> = name.split('.').collect();
        for (from, to) in self.rules {
            let from: Vec<&str> = from.split('.').collect();
            let fits = |at: &[&str]| from.iter().zip(at).all(|(f, p)| *f == "*" || f == p);
            let Some(at) = parts.windows(from.len()).position(fits) else { continue };
            if to.is_empty() {
                return None;
            }
            let any = from.iter().zip(&parts[at..]).filter(|(f, _)| **f == "*").map(|(_, p)| *p);
            let mut any = any.collect::<Vec<_>>().into_iter();
            let new: Vec<&str> = to.split('.').map(|t| if t == "*" { any.next().unwrap_or(t) } else { t }).collect();
            parts.splice(at..at + from.len(), new);
        }
        Some(parts.join("."))
    }
}

impl Translate for Naming {
    fn source(&self) -> &str {
        self.source
    }

    fn note(&self) -> &str {
        self.note
    }

    fn translate(&self, name: &str) -> Option<String> {
        Naming::translate(self, name)
    }
}

/// Names of ml-cvnets (Apple), which MobileViTv3's authors (micronDLA) built on: MobileViT in all its versions.
const CVNETS: &[(&str, &str)] = &[
    ("conv_1", "stem"),
    ("conv_1x1_exp", "final_conv"),
    ("layer_1", "stages.0"),
    ("layer_2", "stages.1"),
    ("layer_3", "stages.2"),
    ("layer_4", "stages.3"),
    ("layer_5", "stages.4"),
    ("classifier.fc", "head.fc"),
    ("classifier.1", "head.fc"),
    ("block.exp_1x1", "conv1_1x1"),
    ("block.conv_3x3", "conv2_kxk"),
    ("block.red_1x1", "conv3_1x1"),
    ("local_rep.conv_3x3", "conv_kxk"),
    ("local_rep.conv_1x1.block.conv", "conv_1x1"),
    ("local_rep.0", "conv_kxk"),
    ("local_rep.1.block.conv", "conv_1x1"),
    ("global_rep.*.pre_norm_mha.0", "transformer.*.norm1"),
    ("global_rep.*.pre_norm_mha.1.qkv_proj", "transformer.*.attn.qkv"),
    ("global_rep.*.pre_norm_mha.1.out_proj", "transformer.*.attn.proj"),
    ("global_rep.*.pre_norm_attn.0", "transformer.*.norm1"),
    ("global_rep.*.pre_norm_attn.1.*.block.conv", "transformer.*.attn.*"),
    ("global_rep.*.pre_norm_ffn.0", "transformer.*.norm2"),
    ("global_rep.*.pre_norm_ffn.1.block.conv", "transformer.*.mlp.fc1"),
    ("global_rep.*.pre_norm_ffn.3.block.conv", "transformer.*.mlp.fc2"),
    ("global_rep.*.pre_norm_ffn.1", "transformer.*.mlp.fc1"),
    ("global_rep.*.pre_norm_ffn.4", "transformer.*.mlp.fc2"),
    ("global_rep.*", "norm"),
    ("fusion", "conv_fusion"),
    ("block.conv", "conv"),
    ("block.norm", "bn"),
];

/// MobileViT with softmax attention, versions 1 and 3.
pub const CVNETS_BGR: &[Naming] = &[Naming {
    source: "ml-cvnets",
    note: "its first release, and MobileViTv3 on top of it, read images as BGR: for weights trained so give --bgr",
    rules: CVNETS,
}];

/// MobileViT with separable attention, versions 2 and 3.
pub const CVNETS_RGB: &[Naming] = &[Naming { source: "ml-cvnets", note: "", rules: CVNETS }];

/// Names of EfficientFormer's authors (Snap).
pub const SNAP_V1: &[Naming] = &[Naming {
    source: "snap-research/EfficientFormer",
    note: "",
    rules: &[
        ("patch_embed.0", "stem.conv1"),
        ("patch_embed.1", "stem.norm1"),
        ("patch_embed.3", "stem.conv2"),
        ("patch_embed.4", "stem.norm2"),
        ("network.0", "stages.0.blocks"),
        ("network.1.proj", "stages.1.downsample.conv"),
        ("network.1.norm", "stages.1.downsample.norm"),
        ("network.2", "stages.1.blocks"),
        ("network.3.proj", "stages.2.downsample.conv"),
        ("network.3.norm", "stages.2.downsample.norm"),
        ("network.4", "stages.2.blocks"),
        ("network.5.proj", "stages.3.downsample.conv"),
        ("network.5.norm", "stages.3.downsample.norm"),
        ("network.6", "stages.3.blocks"),
        ("layer_scale_1", "ls1.gamma"),
        ("layer_scale_2", "ls2.gamma"),
        ("dist_head", "head_dist"),
    ],
}];

/// Names of EfficientFormerV2's authors (Snap).
pub const SNAP_V2: &[Naming] = &[Naming {
    source: "snap-research/EfficientFormer",
    note: "",
    rules: &[
        // They follow from the network's size.
        ("attention_bias_idxs", ""),
        ("patch_embed.0", "stem.conv1.conv"),
        ("patch_embed.1", "stem.conv1.bn"),
        ("patch_embed.3", "stem.conv2.conv"),
        ("patch_embed.4", "stem.conv2.bn"),
        ("network.0", "stages.0.blocks"),
        ("network.1.proj", "stages.1.downsample.conv.conv"),
        ("network.1.norm", "stages.1.downsample.conv.bn"),
        ("network.2", "stages.1.blocks"),
        ("network.3.proj", "stages.2.downsample.conv.conv"),
        ("network.3.norm", "stages.2.downsample.conv.bn"),
        ("network.4", "stages.2.blocks"),
        ("network.5.conv", "stages.3.downsample.conv.conv"),
        ("network.5.bn", "stages.3.downsample.conv.bn"),
        ("network.5.attn.q.local.0", "stages.3.downsample.attn.q.local"),
        ("network.5.attn.q.proj.0", "stages.3.downsample.attn.q.proj.conv"),
        ("network.5.attn.q.proj.1", "stages.3.downsample.attn.q.proj.bn"),
        ("network.5.attn", "stages.3.downsample.attn"),
        ("network.6", "stages.3.blocks"),
        ("token_mixer.proj.1", "token_mixer.proj.conv"),
        ("token_mixer.proj.2", "token_mixer.proj.bn"),
        ("token_mixer.*.0", "token_mixer.*.conv"),
        ("token_mixer.*.1", "token_mixer.*.bn"),
        ("attn.proj.1", "attn.proj.conv"),
        ("attn.proj.2", "attn.proj.bn"),
        ("attn.*.0", "attn.*.conv"),
        ("attn.*.1", "attn.*.bn"),
        ("mlp.fc1", "mlp.fc1.conv"),
        ("mlp.norm1", "mlp.fc1.bn"),
        ("mlp.mid", "mlp.mid.conv"),
        ("mlp.mid_norm", "mlp.mid.bn"),
        ("mlp.fc2", "mlp.fc2.conv"),
        ("mlp.norm2", "mlp.fc2.bn"),
        ("layer_scale_1", "ls1.gamma"),
        ("layer_scale_2", "ls2.gamma"),
        ("dist_head", "head_dist"),
    ],
}];
