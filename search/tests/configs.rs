//! Every config that ships reads, and says at its top how to run it, how long that takes, and what it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas::config;

fn yaml_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            into.push(path);
        }
    }
}

fn all() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    yaml_files(&here.join("../configs"), &mut found);
    yaml_files(&here.join("tests/configs"), &mut found);
    found
}

#[test]
fn every_config_reads_and_describes_a_space() {
    assert!(all().len() >= 2);
    for file in all() {
        let loaded = config::load(&file).unwrap_or_else(|e| panic!("{e}"));
        let space = loaded.space(10).unwrap_or_else(|e| panic!("{e}"));
        assert!(space.size() > 1.0, "{}", file.display());
    }
}

#[test]
fn every_config_opens_with_command_time_and_what_it_shows() {
    for file in all() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut lines = text.lines();
        for opening in ["# Command: cargo xtask run search ", "# Time: ", "# Shows: "] {
            let line = lines.next().unwrap();
            assert!(line.starts_with(opening) && line.len() > opening.len(), "{name}: {line}");
        }
        assert!(text.lines().next().unwrap().contains(name), "{name}: its command names another file");
    }
}

#[test]
fn a_resolved_config_reads_back_as_itself() {
    for file in all() {
        let loaded = config::load(&file).unwrap_or_else(|e| panic!("{e}"));
        let dir = tempfile::tempdir().unwrap();
        let again = dir.path().join("again.yaml");
        fs::write(&again, config::to_yaml(&loaded.config).unwrap()).unwrap();
        let again = config::load(&again).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.config, again.config);
    }
}

#[test]
fn the_quickstarts_space_holds_the_papers_variants() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quickstart.yaml");
    let space = config::load(&file).unwrap().space(10).unwrap();
    for id in ["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"] {
        space.variant(id).unwrap_or_else(|e| panic!("{id}: {e}"));
    }
}

#[test]
fn the_schema_that_ships_is_the_programs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/schema.json");
    let ships: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(ships, config::schema(), "`mobilenas schema > configs/schema.json` writes it anew");
}
