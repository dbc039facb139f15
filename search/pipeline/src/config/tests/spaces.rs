//! Configs with several spaces: their mistakes, and the config of each space by itself.

use super::{read, said};

const TWO: &str = "spaces:\n  - family: mobilevit_v1\n  - name: small\n    family: mobilevit_v2\n    scale: {width: 0.5}\nsearch: {strategy: {random: {}}, trials: 3}\n";

/// What is said about a good config of two spaces with another line in the place of one of its own.
fn with(line: &str, other: &str) -> String {
    assert!(TWO.contains(line), "{line}");
    said(TWO.replace(line, other))
}

/// What is said about it with more lines behind it.
fn more(lines: &str) -> String {
    said(format!("{TWO}{lines}\n"))
}

#[test]
fn mistakes_of_spaces() {
    insta::assert_snapshot!(more("space: {family: mobilevit_v1}"), @r"
    c.yaml: 1 mistake
      line 7, space: found space and spaces, expected one of them
    ");
    insta::assert_snapshot!(with("name: small", "name: mobilevit_v1"), @r#"
    c.yaml: 1 mistake
      line 3, spaces.1.name: found "mobilevit_v1", the name of spaces.0, too; expected distinct names
    "#);
    insta::assert_snapshot!(with("name: small", "name: a/b"), @r#"
    c.yaml: 1 mistake
      line 3, spaces.1.name: found "a/b", expected at most 100 letters, digits, _ and -
    "#);
    insta::assert_snapshot!(with("family: mobilevit_v2", "family: mobilevit_v1\n    nmae: b"), @r"
    c.yaml: 1 mistake
      line 5, spaces.1.nmae: unknown key, did you mean name? (keys here: family, init, knobs, name, scale, table)
    ");
    insta::assert_snapshot!(with("scale: {width: 0.5}", "knobs: {stages.1.widht: [8]}").split(", expected").next().unwrap(), @r"
    c.yaml: 1 mistake
      line 5, spaces.1.knobs.stages.1.widht: found an unknown knob
    ");
    insta::assert_snapshot!(said("spaces: []\nsearch: {strategy: {random: {}}, trials: 3}\n"), @r"
    c.yaml: 1 mistake
      line 1, spaces: found a list of 0, expected a list of at least 1
    ");
}

#[test]
fn what_is_of_one_space_stands_there() {
    insta::assert_snapshot!(more("supernet: {init: {model: mobilevit_s, weights: w}}"), @r"
    c.yaml: 1 mistake
      line 7, supernet.init: found one beside spaces, expected the key init of each space
    ");
    insta::assert_snapshot!(with("name: small", "init: {model: mobilevitv2_050}"), @r"
    c.yaml: 1 mistake
      line 3, spaces.1.init: found no weights, expected the file of its weights
    ");
    insta::assert_snapshot!(with("name: small", "table: t.json"), @r#"
    c.yaml: 1 mistake
      line 3, spaces.1.table: found "t.json", expected none with latency.source measured
    "#);
    insta::assert_snapshot!(more("latency: {source: imported, table: t.json}"), @r"
    c.yaml: 3 mistakes
      line 2, spaces.0: missing key table, expected the file of a latency table
      line 3, spaces.1: missing key table, expected the file of a latency table
      line 7, latency.table: found one beside spaces, expected the key table of each space
    ");
    insta::assert_snapshot!(said("space: {family: mobilevit_v1}\nsearch: {strategy: {random: {}}, trials: 3, allocation: ucb1}\n"), @r"
    c.yaml: 1 mistake
      line 2, search.allocation: found ucb1, expected it beside spaces alone
    ");
}

#[test]
fn spaces_share_the_epochs_of_the_supernet_and_have_names() {
    let config = read(format!("{TWO}supernet: {{epochs: 6, warmup: 1, warmup_steps: 9, cooldown: 2}}\n")).unwrap();
    let entries = config.entries();
    assert_eq!(entries.iter().map(|e| e.name.as_deref()).collect::<Vec<_>>(), [Some("mobilevit_v1"), Some("small")]);
    for entry in &entries {
        let own = config.of_entry(entry);
        let recipe = &own.supernet.recipe;
        assert_eq!((recipe.epochs, recipe.warmup, recipe.warmup_steps, recipe.cooldown), (3.0, 0.5, Some(4), 1.0));
        assert_eq!((own.space.as_ref(), own.spaces.len()), (Some(&entry.section), 0));
    }
    assert_eq!(entries[1].section.scale.width, 0.5);
    // The config of one space is its own.
    let one = read(super::GOOD).unwrap();
    assert_eq!(one.of_entry(&one.entries()[0]), one);
}
