//! Weights files of others: PyTorch's in all their forms, and files that are damaged or mean harm.
//! `files/make.py` made the files of PyTorch, with the real one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_torch::weights::{Weights, load, save};
use tch::{Kind, Tensor};

const EXPECTED: &str = "safetensors, or a state dict that torch.save wrote";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

fn numbers(t: &Tensor) -> Vec<f64> {
    Vec::try_from(t.to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

/// The message without the folder, which differs from machine to machine.
fn refused(path: &Path) -> String {
    let text = Weights::open(path, None).unwrap_err().to_string();
    text.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

fn check(weights: &mut Weights) {
    let all = weights.read_all().unwrap();
    let names: Vec<&String> = all.keys().collect();
    assert_eq!(names, ["a.turned", "a.weight", "brain", "half", "n"]);
    assert_eq!((all["a.weight"].size(), numbers(&all["a.weight"])), (vec![2, 3], vec![0., 1., 2., 3., 4., 5.]));
    // Elements 6 to 17 as three rows of four, turned.
    let turned = vec![6., 10., 14., 7., 11., 15., 8., 12., 16., 9., 13., 17.];
    assert_eq!((all["a.turned"].size(), numbers(&all["a.turned"])), (vec![4, 3], turned));
    assert_eq!((all["half"].kind(), numbers(&all["half"])), (Kind::Half, vec![0.5, -2.0]));
    assert_eq!((all["brain"].kind(), numbers(&all["brain"])), (Kind::BFloat16, vec![1.5]));
    assert_eq!((all["n"].kind(), all["n"].size(), numbers(&all["n"])), (Kind::Int64, vec![], vec![7.0]));
}

#[test]
fn both_layouts_of_torch_save_give_the_same_tensors() {
    for name in ["plain.pt", "old.pth", "no_checksums.pt"] {
        let mut weights = Weights::open(&shipped(name), None).unwrap();
        assert_eq!((weights.taken.len(), weights.others.len()), (0, 0), "{name}");
        check(&mut weights);
    }
}

#[test]
fn shards_are_read_by_their_index() {
    for name in ["shards.pt.index.json", "shards.safetensors.index.json"] {
        check(&mut Weights::open(&shipped(name), None).unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("i.json");
    let refuse = |map: &str| {
        fs::write(&index, format!(r#"{{"weight_map": {{{map}}}}}"#)).unwrap();
        let text = Weights::open(&index, None).unwrap_err().to_string();
        text.replace(&format!("{}/", dir.path().display()), "").replace(&format!(", expected {EXPECTED}"), "")
    };
    fs::copy(shipped("shard-00001-of-00002.safetensors"), dir.path().join("one")).unwrap();
    insta::assert_snapshot!(refuse(r#""n": "two""#), @"two: No such file or directory (os error 2)");
    insta::assert_snapshot!(refuse(r#""n": "../two""#), @r#"i.json: an index that names "../two", which is no file beside it"#);
    insta::assert_snapshot!(refuse(r#""n": "/etc/passwd""#), @r#"i.json: an index that names "/etc/passwd", which is no file beside it"#);
    insta::assert_snapshot!(refuse(r#""n": "one""#), @r#"one: no tensor "n", which its index places here"#);
    insta::assert_snapshot!(refuse(r#""a.weight": "one""#), @r#"one: a tensor "a.turned" that its index does not name"#);
    insta::assert_snapshot!(refuse(r#""a.weight": "i.json""#), @"i.json: a JSON file that is no index of shards");
    insta::assert_snapshot!(refuse(""), @"i.json: no tensors at its top level (its entries: none)");
}

#[test]
fn objects_beside_the_weights_do_not_matter() {
    let mut weights = Weights::open(&shipped("objects.pt"), None).unwrap();
    assert_eq!((weights.taken.join(", ").as_str(), weights.others.len()), (r#"part "model""#, 0));
    check(&mut weights);
    let mut weights = Weights::open(&shipped("averaged.pt"), None).unwrap();
    assert_eq!(weights.taken, [r#"names without "module.""#]);
    check(&mut weights);
    // Where they stand among the weights they are told.
    let weights = Weights::open(&shipped("module.pt"), None).unwrap();
    let other = &weights.others[0];
    assert_eq!((other.name.as_str(), other.what.as_str()), ("x", "an object of torch.nn.modules.linear.Linear"));
}

#[test]
fn the_part_that_would_do_is_named() {
    insta::assert_snapshot!(refused(&shipped("net.pth")), @"net.pth: no tensors at its top level, expected the name of a part with tensors: net (5 tensors), inner.ema (1 tensors)");
    check(&mut Weights::open(&shipped("net.pth"), Some("net")).unwrap());
    assert_eq!(Weights::open(&shipped("net.pth"), Some("inner.ema")).unwrap().tensors.len(), 1);
    let text = Weights::open(&shipped("net.pth"), Some("acc")).unwrap_err().to_string();
    assert!(text.contains(r#": its part "acc" is a number, expected the name of a part with tensors: net"#), "{text}");
}

#[test]
fn files_of_other_kinds_are_called_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let see = |data: &[u8]| {
        let file = dir.path().join("x");
        fs::write(&file, data).unwrap();
        refused(&file).replace(&format!(", expected {EXPECTED}"), "")
    };
    let seen = [
        see(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
        see(b"\xef\xbb\xbf\n <!DOCTYPE html><html lang=en>"),
        see(b"<HTML><head>"),
        see(b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
        see(b"{\"error\": \"Repository not found\"}"),
        see(&[0x1f, 0x8b, 8, 0]),
        see(b"\x80\x04}."),
        see(b"\x08\x09\x12\x09mobilenas"),
        see(b"\x1c\0\0\0TFL3"),
        see(&[vec![b'w'; 257], b"ustar".to_vec()].concat()),
        refused(dir.path())
            .replace(&format!(", expected {EXPECTED}"), "")
            .replace(".tmp", "")
            .split(": ")
            .last()
            .unwrap()
            .to_string(),
    ];
    insta::assert_snapshot!(seen.join("\n"), @r"
    x: a Git LFS pointer to a file of 12345 bytes that was not fetched (`git lfs pull` fetches it)
    x: a web page (HTML), not the file that a link on it leads to
    x: a web page (HTML), not the file that a link on it leads to
    x: an XML document, as servers send instead of a file
    x: a JSON file that is no index of shards
    x: a gzip archive, to be unpacked first
    x: a pickle that torch.save did not write
    x: an ONNX file
    x: a TensorFlow Lite file
    x: a tar archive, to be unpacked first
    a folder
    ");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(refused(&pipe).starts_with("pipe: no regular file"));
}

/// Where the bytes of a storage or tensor begin: those of 0, 1, 2 as float32.
fn numbers_at(data: &[u8]) -> usize {
    let begin: Vec<u8> = [0f32, 1.0, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    data.windows(begin.len()).position(|w| w == begin).unwrap()
}

#[test]
fn a_changed_number_is_found_by_the_checksum_wherever_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (own, file) = (dir.path().join("own.safetensors"), dir.path().join("x"));
    let tensors = Weights::open(&shipped("plain.pt"), None).unwrap().read_all().unwrap();
    save(&own, &tensors, &BTreeMap::from([("program".to_string(), "mobilenas".to_string())])).unwrap();
    for (whole, finds) in [(own, true), (shipped("plain.pt"), true), (shipped("no_checksums.pt"), false)] {
        let mut data = fs::read(&whole).unwrap();
        check(&mut Weights::open(&whole, None).unwrap());
        let at = numbers_at(&data);
        data[at + 7] ^= 0x80;
        fs::write(&file, &data).unwrap();
        let read = Weights::open(&file, None).unwrap().read_all();
        assert_eq!(read.is_err(), finds, "{}", whole.display());
        if let Err(e) = read {
            assert!(e.to_string().contains("damaged (its checksum is "), "{e}");
        }
    }
    // The words, and the checksum itself.
    let data = fs::read(dir.path().join("own.safetensors")).unwrap();
    for (what, with) in
        [("mobilenas\\\"}", "mobilenaz\\\"}"), ("checksum", "checksun"), ("\\\"program", "\\ \"program")]
    {
        let at = data.windows(what.len()).position(|w| w == what.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{what} in {}", String::from_utf8_lossy(&data[8..400])));
        let mut changed = data.clone();
        changed[at..at + with.len()].copy_from_slice(with.as_bytes());
        fs::write(&file, &changed).unwrap();
        let read = Weights::open(&file, None).and_then(|mut w| w.read_all());
        assert!(read.is_err(), "{what}");
    }
}

#[test]
fn a_checkpoint_gives_its_averaged_weights_unless_another_part_is_named() {
    let file = shipped("checkpoint.pth.tar");
    let mut weights = Weights::open(&file, None).unwrap();
    insta::assert_snapshot!(weights.taken.join(", "), @r#"part "model_ema", names without "module.""#);
    check(&mut weights);
    let mut weights = Weights::open(&file, Some("model")).unwrap();
    assert_eq!(numbers(&weights.read_all().unwrap()["a.weight"]), [0.0; 6]);
    let text = Weights::open(&file, Some("optimizer")).unwrap_err().to_string();
    assert!(text.contains(r#": no tensors in a part "optimizer", expected the name of a part with tensors: model (5 tensors), model_ema (5 tensors)"#), "{text}");
}

#[test]
fn what_wants_to_run_something_is_refused_and_runs_nothing() {
    insta::assert_snapshot!(refused(&shipped("runs.pt")), @r#"runs.pt: its pickle wants to use "posix.system"; nothing in it was run, expected safetensors, or a state dict that torch.save wrote"#);
    insta::assert_snapshot!(refused(&shipped("runs_old.pth")), @r#"runs_old.pth: its pickle wants to use "posix.system"; nothing in it was run, expected safetensors, or a state dict that torch.save wrote"#);
    insta::assert_snapshot!(refused(&shipped("program.pt")), @"program.pt: a TorchScript program, expected safetensors, or a state dict that torch.save wrote");
    assert!(!Path::new("/tmp/mobilenas-was-run").exists());
}

#[test]
fn sizes_beyond_the_file_are_refused() {
    insta::assert_snapshot!(refused(&shipped("repeats.pt")), @r#"repeats.pt: "a.weight": a tensor of size [1099511627776] and stride [0] beyond its storage of 1, expected safetensors, or a state dict that torch.save wrote"#);
    insta::assert_snapshot!(refused(&shipped("beyond.pt")), @"beyond.pt: storage 0 of 2147483647 elements in 96 bytes, expected safetensors, or a state dict that torch.save wrote");
    insta::assert_snapshot!(refused(&shipped("size.pt")), @r#"size.pt: "a.weight": a tensor of size [2, 120] and stride [3, 1] beyond its storage of 24, expected safetensors, or a state dict that torch.save wrote"#);
    insta::assert_snapshot!(refused(&shipped("list.pt")), @"list.pt: a list, no dictionary of tensors, expected safetensors, or a state dict that torch.save wrote");
}

/// Whatever is wrong with a file, reading it ends with an error or with tensors.
fn survives(data: &[u8], file: &Path) {
    fs::write(file, data).unwrap();
    if let Ok(mut weights) = Weights::open(file, None) {
        let _ = weights.read_all();
    }
}

#[test]
fn cut_and_changed_files_of_torch_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.pt");
    for name in ["plain.pt", "old.pth"] {
        let whole = fs::read(shipped(name)).unwrap();
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            assert!(Weights::open(&file, None).is_err(), "{name} cut to {cut} bytes");
        }
        for at in 0..whole.len() {
            for to in [0xff, whole[at] ^ 1] {
                let mut changed = whole.clone();
                changed[at] = to;
                survives(&changed, &file);
            }
        }
    }
}

#[test]
fn inputs_that_fuzzing_kept_do_no_harm() {
    // Each with its length before it, two bytes: inputs of libFuzzer that reach different places of the readers.
    let all = fs::read(shipped("found_by_fuzzing.bin")).unwrap();
    let (mut rest, mut n) = (&all[..], 0);
    let dir = tempfile::tempdir().unwrap();
    while let [low, high, data @ ..] = rest {
        let (input, after) = data.split_at(usize::from(u16::from_le_bytes([*low, *high])));
        survives(input, &dir.path().join("x"));
        (rest, n) = (after, n + 1);
    }
    assert_eq!(n, 96);
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(vec![0; data]);
    out
}

#[test]
fn damaged_safetensors_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = String::new();
    let mut see = |name: &str, data: Vec<u8>| {
        let file = dir.path().join(name);
        fs::write(&file, data).unwrap();
        let text = refused(&file);
        let found = text.strip_suffix(", expected safetensors, or a state dict that torch.save wrote").unwrap();
        seen.push_str(&format!("{}\n", found.split(", expected one of").next().unwrap()));
    };
    let two = |a: &str, b: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{a}}},"b":{b}}}"#);
    see("empty", vec![]);
    see("short", vec![1, 2, 3]);
    see("no_header", b"these are no weights, whatever their name says".to_vec());
    see("huge_header", [u64::MAX.to_le_bytes().to_vec(), vec![b'{'; 64]].concat());
    see("long_header", [90_000_000u64.to_le_bytes().to_vec(), vec![b'{'; 64]].concat());
    see("no_json", safetensors("{\"a\":", 8));
    let b = r#"{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#;
    see("overlap", safetensors(&two("[0,8]", b), 12));
    let b = r#"{"dtype":"F32","shape":[3],"data_offsets":[8,16]}"#;
    see("size", safetensors(&two("[0,8]", b), 16));
    let b = r#"{"dtype":"F8_E5M2","shape":[8],"data_offsets":[8,16]}"#;
    see("dtype", safetensors(&two("[0,8]", b), 16));
    let b = r#"{"dtype":"F99","shape":[8],"data_offsets":[8,16]}"#;
    see("no_dtype", safetensors(&two("[0,8]", b), 16));
    let b = r#"{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[8,16]}"#;
    see("overflow", safetensors(&two("[0,8]", b), 16));
    let b = r#"{"dtype":"F32","shape":[2],"data_offsets":[8,16]}"#;
    see("cut", safetensors(&two("[0,8]", b), 11));
    see("longer", safetensors(&two("[0,8]", b), 17));
    see("nothing", safetensors("{}", 0));
    insta::assert_snapshot!(seen, @r#"
    empty: an empty file
    short: a file of 3 bytes
    no_header: no header of either format: its first 8 bytes would be the length 8241904413164529780 of 46 bytes
    huge_header: no header of either format: its first 8 bytes would be the length 18446744073709551615 of 72 bytes
    long_header: no header of either format: its first 8 bytes would be the length 90000000 of 72 bytes
    no_json: a damaged header (EOF while parsing a value at line 1 column 5)
    overlap: a damaged header (invalid offset for tensor `b`)
    size: a damaged header (invalid shape, data type, or offset for tensor)
    dtype: b of type F8_E5M2
    no_dtype: a damaged header (unknown variant `F99`
    overflow: a damaged header (overflow computing buffer size from shape and/or element type)
    cut: 127 bytes where its header says 132
    longer: 133 bytes where its header says 132
    nothing: no tensors at its top level (its entries: none)
    "#);
}

#[test]
fn a_list_of_a_terabyte_is_read_without_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large.safetensors");
    let bytes = 1u64 << 40;
    let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{bytes}]}}}}"#, bytes / 4);
    fs::write(&file, safetensors(&header, 0)).unwrap();
    let f = fs::OpenOptions::new().write(true).open(&file).unwrap();
    // A file with a hole takes no room on the disk.
    f.set_len(8 + header.len() as u64 + bytes).unwrap();
    let weights = Weights::open(&file, None).unwrap();
    assert_eq!(weights.tensors["a"].shape, [1 << 38]);
}

#[test]
fn a_file_that_is_not_there_is_said_so() {
    let text = load(Path::new("/nowhere/w.safetensors")).unwrap_err().to_string();
    insta::assert_snapshot!(text, @"/nowhere/w.safetensors: No such file or directory (os error 2), expected safetensors, or a state dict that torch.save wrote");
}
