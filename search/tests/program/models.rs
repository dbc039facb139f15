//! What `mobilenas models` says, against the figures of the papers and the references.

use std::path::Path;

use serde_json::Value;

use crate::common::{output, program};

fn models(args: &[&str]) -> (i32, String, String) {
    let mut command = program(Path::new("."));
    command.arg("models").args(args);
    output(command)
}

fn json(args: &[&str]) -> Value {
    let (code, out, said) = models(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn deployed_parameters_are_those_the_papers_print() {
    // The papers' own deployed counts, which they print rounded.
    let expected = [
        ("efficientformer_l1", 12_251_064),
        ("efficientformer_l3", 31_332_208),
        ("efficientformer_l7", 82_110_384),
        ("efficientformerv2_s0", 3_548_960),
        ("efficientformerv2_s1", 6_111_296),
        ("efficientformerv2_s2", 12_582_176),
        ("efficientformerv2_l", 26_115_088),
    ];
    for (name, deployed) in expected {
        assert_eq!(json(&[name])["params_deployed"], deployed, "{name}");
    }
}

#[test]
fn one_network_adds_up() {
    let m = json(&["mobilevit_xs", "--resolution", "192"]);
    assert_eq!((&m["params"], &m["macs"]), (&2_317_848.into(), &548_382_336.into()));
    for of in ["params", "macs", "activations"] {
        let sum: u64 = m["blocks"].as_array().unwrap().iter().map(|b| b[of].as_u64().unwrap()).sum();
        assert_eq!(m[of], sum, "{of}");
    }
    let fewer = json(&["mobilevit_xs", "--classes", "5"]);
    assert_eq!(fewer["params"], 2_317_848 - 995 * (384 + 1));
    let (code, out, _) = models(&["mobilevit_xxs"]);
    assert_eq!(code, 0);
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("mobilevit_xxs at 256 px: 1272024 params"), "{last}");
    assert!(last.contains(" 407364096 MACs"), "{last}");
}

#[test]
fn the_list_holds_every_network_with_its_score_where_a_phone_was_measured() {
    let all = json(&[]);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 181);
    let mes = |name: &str| all.iter().find(|m| m["model"] == name).unwrap()["mes"].as_f64();
    assert!((mes("mobilevit_xs").unwrap() - 15.6).abs() < 0.05);
    assert!((mes("efficientformerv2_s1").unwrap() - 63.7).abs() < 0.05);
    assert_eq!(mes("mobilevit_xxs"), None);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let (code, _, said) = models(&["mobilevit_xss"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"error: mobilevit_xss: no published network of that name, did you mean mobilevit_xs? (`mobilenas models` lists them)");
}

#[test]
fn a_genome_file_is_one_network() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.yaml");
    let values = json(&["mobilenetv2_100"]);
    std::fs::write(&file, "family: mobilenet_v2\n").unwrap();
    let (code, _, said) = models(&["--genome", file.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(said.contains("more than one choice for stem.width"), "{said}");
    let family = mobilenas_space::families::family("mobilenet_v2").unwrap();
    let template = family.template("mobilenetv2_100").unwrap();
    let knobs = template.knobs().into_iter().zip(template.values());
    let lines: String = knobs.map(|(k, v)| format!("  {}: [{v}]\n", k.name)).collect();
    std::fs::write(&file, format!("family: mobilenet_v2\nknobs:\n  resolution: [224]\n{lines}")).unwrap();
    let own = json(&["--genome", file.to_str().unwrap()]);
    assert_eq!((&own["params"], &own["digest"]), (&values["params"], &values["digest"]));
    assert!(json(&["--genome", file.to_str().unwrap(), "--head", "ssdlite"])["outputs"][1]["name"] == "scores");
}

#[test]
fn the_table_of_the_docs_is_what_the_command_writes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/models.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, table, _) = models(&["--markdown"]);
    assert!(text.contains(&table), "`mobilenas models --markdown` writes another table than docs/models.md holds");
}
