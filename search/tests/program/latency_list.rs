//! Lists of jobs for a device that is not here: out, back as a table, and what is wrong with them.

use std::fs;

use mobilenas_bench::latency_table::Table;
use mobilenas_space::latency_key;

use super::latency_table::{SPACE, folder, run, space};

#[test]
fn a_list_goes_out_and_comes_back_as_a_table() {
    let dir = folder();
    let (code, said) =
        run(dir.path(), &["latency-table", "jobs", "c.yaml", "--out", "jobs", "--fit", "5", "--validate", "7"]);
    assert_eq!(code, 0, "{said}");
    let list = fs::read_to_string(dir.path().join("jobs/jobs.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    let head = reader.headers().unwrap().clone();
    let column = |name: &str| head.iter().position(|h| h == name).unwrap();
    let space = space(dir.path());
    // A device whose networks take 0.2 ms more than 1.5 times their blocks, and blocks a millionth of a ms a MAC and 10 us.
    let block_ms = |macs: f64| 0.01 + 1e-6 * macs;
    let (mut out, mut blocks) = (csv::Writer::from_writer(Vec::new()), 0);
    out.write_record(&head).unwrap();
    for record in reader.records().map(Result::unwrap) {
        let mut fields: Vec<String> = record.iter().map(ToString::to_string).collect();
        let ms = match &fields[column("what")] {
            what if what == "block" => {
                blocks += 1;
                block_ms(fields[column("macs")].parse().unwrap())
            }
            what if what == "net" => {
                let genome = space.genome(&serde_json::from_str(&fields[column("genome")]).unwrap()).unwrap();
                let parts = latency_key::blocks(&space.lower(&genome).unwrap());
                let sum: f64 = parts.iter().map(|b| block_ms(mobilenas_space::cost::graph(b).macs as f64)).sum();
                0.2 + 1.5 * sum
            }
            _ => 12.0,
        };
        fields[column("median_ms")] = ms.to_string();
        out.write_record(&fields).unwrap();
    }
    fs::write(dir.path().join("times.csv"), out.into_inner().unwrap()).unwrap();
    let import = |list: &str| {
        let args =
            ["latency-table", "import", list, "--config", "c.yaml", "--device", "Example phone", "--engine", "Example"];
        run(dir.path(), &[&args[..], &["--out", "phone.jsonl"]].concat())
    };
    let (code, said) = import("jobs/jobs.csv");
    assert_eq!(code, 2, "{said}");
    assert_eq!(said.matches("median_ms: found nothing").count(), blocks + 1, "each block and the reference: {said}");
    let (code, said) = import("times.csv");
    assert_eq!(code, 0, "{said}");
    let table = Table::load(&dir.path().join("phone.jsonl")).unwrap();
    let v = table.validation.as_ref().unwrap();
    assert!((v.line.offset_ms - 0.2).abs() < 1e-6 && (v.line.slope - 1.5).abs() < 1e-6, "{v:?}");
    assert_eq!((v.fit_nets, v.nets, v.within_5), (5, 7, 100.0));
    let config = format!("{SPACE}latency: {{source: imported, table: phone.jsonl}}\n");
    fs::write(dir.path().join("search.yaml"), config).unwrap();
    let (code, said) = run(dir.path(), &["check", "search.yaml"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn all_mistakes_of_a_list_are_told_with_their_lines() {
    let dir = folder();
    let jobs = ["latency-table", "jobs", "c.yaml", "--out", "jobs", "--fit", "2", "--validate", "2"];
    assert_eq!(run(dir.path(), &jobs).0, 0);
    let list = fs::read_to_string(dir.path().join("jobs/jobs.csv")).unwrap();
    let block = list.lines().find(|l| l.starts_with("block,")).unwrap().split(',').nth(1).unwrap();
    let text = format!(
        "what,id,set,median_ms,count\n\
         block,{block},,0.5,10\n\
         block,{block},,0.5,10\n\
         block,conv_unit.nowhere,,0.5,10\n\
         reference,mobilenetv2_100,,-1,ten\n\
         blok,x,,1,1\n\
         net,abc,other,1,1\n\
         block,short\n"
    );
    fs::write(dir.path().join("l.csv"), text).unwrap();
    let import = |list: &str| {
        let args = [
            "latency-table",
            "import",
            list,
            "--config",
            "c.yaml",
            "--device",
            "P",
            "--engine",
            "E",
            "--out",
            "p.jsonl",
        ];
        let (code, said) = run(dir.path(), &args);
        assert_eq!(code, 2, "{said}");
        assert!(!dir.path().join("p.jsonl").exists());
        said
    };
    let said = import("l.csv");
    // The form is looked at first.
    assert!(said.contains("line 8: found 2 fields, expected 5"), "{said}");
    let text = fs::read_to_string(dir.path().join("l.csv")).unwrap().replace("block,short\n", "");
    fs::write(dir.path().join("l.csv"), &text).unwrap();
    let said = import("l.csv");
    for expected in [
        "line 3, id: block ",
        "twice, first on line 2",
        "line 4, id: found \"conv_unit.nowhere\", expected a block of the space",
        "line 5, median_ms: found \"-1\", expected a number from 1e-6 to 1e9",
        "line 5, count: found \"ten\", expected a whole number from 1 to 1000000000",
        "line 6, what: found \"blok\", expected one of block, net, reference",
        "line 7, set: found \"other\", expected fit or validation",
        "line 7, genome: no genome",
        "blocks of the space, the first is",
    ] {
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    }
    // Numbers whose sums are none, and text as spreadsheets write it.
    for ms in ["1e308", "1e-300", "inf", "NaN"] {
        fs::write(dir.path().join("l.csv"), format!("what,id,median_ms\nblock,{block},{ms}\n")).unwrap();
        let expected = format!("line 2, median_ms: found \"{ms}\", expected a number from 1e-6 to 1e9");
        assert!(import("l.csv").contains(&expected), "{expected}");
    }
    for (text, little) in [("\u{feff}what,id", true), ("what,id", false)] {
        let bytes = |c: u16| if little { c.to_le_bytes() } else { c.to_be_bytes() };
        let utf16: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        fs::write(dir.path().join("l.csv"), utf16).unwrap();
        let said = import("l.csv");
        assert!(said.contains("l.csv: found text in UTF-16, expected a CSV file in UTF-8"), "{said}");
    }
    fs::write(dir.path().join("l.csv"), "what,id,medain_ms\n").unwrap();
    let said = import("l.csv");
    assert!(
        said.contains("unknown column, did you mean median_ms?") && said.contains("missing column median_ms"),
        "{said}"
    );
}
