//! Parts of configs that several tests share.
#![allow(unused_macros, unused_imports, reason = "each program of tests takes what it needs")]

/// Strides of a MobileViT that leave its last stages something of an image of 16 px.
macro_rules! strides {
    () => {
        "    stem.stride: [2]
    stages.0.stride: [1]
    stages.1.stride: [2]
    stages.2.stride: [2]
    stages.3.stride: [1]
    stages.4.stride: [1]
"
    };
}

/// Few images, and networks that are hardly trained or timed.
macro_rules! quick {
    () => {
        "data: {name: fashion-mnist, search_val: 200, train_limit: 400, test_limit: 100}
supernet: {epochs: 1, batch: 100, warmup: 0}
scoring: {recalibrate: 64, batch: 100}
latency: {engine: libtorch-plain, warmup_ms: 0, min_samples: 1, max_samples: 1, max_ms: 1}
"
    };
}

pub(crate) use {quick, strides};
