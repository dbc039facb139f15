//! Recipes below a section's own keys, and what is checked in them.

use super::*;

#[test]
fn a_recipe_lies_below_a_sections_own_keys() {
    let c = read(format!("{GOOD}retrain: {{recipe: efficientformerv2, epochs: 3, warmup: 1, clip: {{norm: 2}}}}\n"))
        .unwrap();
    let r = &c.retrain.recipe;
    assert_eq!((r.epochs, r.cooldown, r.lr_base_size, r.ema), (3.0, 10.0, Some(1024), Some(0.99996)));
    assert_eq!((r.clip.norm, r.clip.adaptive), (Some(2.0), None));
    assert_eq!(c.retrain.best, 3);
    // What is written back says all of it, and reads as the same.
    let again = read(to_yaml(&c).unwrap()).unwrap();
    assert_eq!(again.retrain, c.retrain);
}

#[test]
fn what_the_data_says_of_augmentation_goes_before_a_recipe_and_a_sections_own_words_before_both() {
    let c = |lines: &str| read(format!("{GOOD}{lines}\n")).unwrap();
    let base = c("retrain: {recipe: mobilevit}");
    assert!(base.retrain.recipe.augment.as_ref().unwrap().crop.is_some());
    assert!(base.retrain.recipe.sampler.as_ref().unwrap().multi_scale.is_some());
    assert_eq!((&base.supernet.recipe.augment, &base.supernet.recipe.sampler), (&None, &None));
    let said = c("data: {augment: {random_erasing: 0.5}}\nretrain: {recipe: mobilevit}");
    assert_eq!(said.retrain.recipe.augment, None, "data.augment is used");
    assert!(said.retrain.recipe.sampler.is_some(), "the data says nothing of it");
    let own =
        c("data: {augment: {random_erasing: 0.5}}\nretrain: {recipe: mobilevit, augment: {mixup: 1}, sampler: {}}");
    assert_eq!(own.retrain.recipe.augment.as_ref().map(|a| (a.mixup, a.random_erasing)), Some((1.0, 0.0)));
    assert_eq!(own.retrain.recipe.sampler.as_ref().map(|s| s.multi_scale.is_some()), Some(false));
    for config in [base, said, own] {
        assert_eq!(read(to_yaml(&config).unwrap()).unwrap(), config);
    }
}

#[test]
fn rand_augments_words_are_checked() {
    insta::assert_snapshot!(more("data: {augment: {rand_augment: rand-m9-std1}}\nretrain: {augment: {rand_augment: m9}}"), @r#"
    c.yaml: 2 mistakes
      line 3, data.augment.rand_augment: found "rand-m9-std1" ("std1"), expected rand and any of -m0..10 (magnitude), -n1..16 (changes), -p0..1 (probability of each), -mstd0.. (noise), -mmax0..100 (largest magnitude), -inc0 or 1 (increasing), such as rand-m9-mstd0.5-inc1
      line 4, retrain.augment.rand_augment: found "m9" ("m9"), expected rand and any of -m0..10 (magnitude), -n1..16 (changes), -p0..1 (probability of each), -mstd0.. (noise), -mmax0..100 (largest magnitude), -inc0 or 1 (increasing), such as rand-m9-mstd0.5-inc1
    "#);
}

#[test]
fn teachers_and_clips_are_single() {
    insta::assert_snapshot!(more("retrain:\n  distill: {model: deit_tiny_patch16_224}\n  clip: {norm: 1, value: 1}\n  optimizer: {adamw: {}, sgd: {}}"), @r"
    c.yaml: 3 mistakes
      line 4, retrain.distill: found no single teacher, expected torchscript, or model and weights
      line 5, retrain.clip: found 2 ways, expected at most one of norm, value, adaptive
      line 6, retrain.optimizer: found 2 optimizers, expected one of adamw, sgd
    ");
    insta::assert_snapshot!(more("supernet: {distill: {torchscript: t.pt}}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.distill: found a teacher, expected none: a supernet's subnets learn from its largest
    ");
    insta::assert_snapshot!(more("supernet: {init: {weights: w.safetensors}}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.init: found no single network, expected model, genome or supernet
    ");
    insta::assert_snapshot!(more("supernet: {init: {supernet: s.safetensors, weights: w.safetensors}}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.init: found weights beside supernet, expected one of them
    ");
    insta::assert_snapshot!(more("supernet: {init: {model: mobilevit_xxs}}"), @r"
    c.yaml: 1 mistake
      line 3, supernet.init: found no weights, expected the file of its weights
    ");
    insta::assert_snapshot!(more("supernet: {recipe: mobilvit}"), @r#"
    c.yaml: 1 mistake
      line 3, supernet.recipe: found "mobilvit", expected one of mobilevit, mobilevitv2, mobilevitv3, efficientformerv2, ssdlite_cvnets, deeplabv3_cvnets, pspnet_cvnets, semantic_fpn_snap, mask_rcnn_snap, small; did you mean mobilevit?
    "#);
}
