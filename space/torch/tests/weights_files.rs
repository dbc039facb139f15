//! Weights files of others: PyTorch's in all their forms, and files that are damaged or mean harm.
//! `files/make.py` made the files of PyTorch, with the real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_torch::weights::{Weights, load};
use tch::{Kind, Tensor};

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
    for name in ["plain.pt", "old.pth"] {
        let mut weights = Weights::open(&shipped(name), None).unwrap();
        assert_eq!((weights.taken.clone(), weights.others.len()), (None, 0), "{name}");
        check(&mut weights);
    }
}

#[test]
fn a_checkpoint_gives_its_averaged_weights_unless_another_part_is_named() {
    let file = shipped("checkpoint.pth.tar");
    let mut weights = Weights::open(&file, None).unwrap();
    insta::assert_snapshot!(weights.taken.clone().unwrap(), @r#"part "model_ema", names without "module.""#);
    check(&mut weights);
    let mut weights = Weights::open(&file, Some("model")).unwrap();
    assert_eq!(numbers(&weights.read("a.weight").unwrap()), [0.0; 6]);
    let text = Weights::open(&file, Some("optimizer")).unwrap_err().to_string();
    assert!(text.contains(r#": no tensors in "optimizer" (its parts: model, model_ema, optimizer)"#), "{text}");
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
    insta::assert_snapshot!(refused(&shipped("list.pt")), @"list.pt: something that is no dictionary, expected safetensors, or a state dict that torch.save wrote");
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
    empty: a file of 0 bytes
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
    nothing: no tensors (its entries: none)
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
