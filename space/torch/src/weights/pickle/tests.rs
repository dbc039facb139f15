//! Pickles as Python writes them, and as nobody should.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::value::Refused;
use super::*;

#[test]
fn plain_values_and_shared_parts() {
    // Python: pickle.dumps({"a": [1, 300, -2, 0.5], "b": (True, None)}, 2)
    let data = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01M,\x01J\xfe\xff\xff\xffG?\xe0\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00bq\x03\x88N\x86q\x04u.";
    let p = read(data).unwrap();
    assert_eq!(p.len, data.len());
    let Value::Part(root) = p.root else { panic!("{:?}", p.root) };
    let Part::Dict(entries) = &p.parts[root] else { panic!("{:?}", p.parts) };
    let items = |v: &Value| match v {
        Value::Part(i) => p.parts[*i].clone(),
        v => panic!("{v:?}"),
    };
    assert_eq!(entries.len(), 2);
    let numbers = vec![Value::Int(1), Value::Int(300), Value::Int(-2), Value::Float];
    assert_eq!(items(&entries[0].1), Part::Items(numbers));
    assert_eq!(items(&entries[1].1), Part::Items(vec![Value::Bool(true), Value::None]));
}

#[test]
fn a_call_of_the_system_is_refused_by_its_name() {
    // Python: class E: __reduce__ = lambda s: (os.system, ("touch /tmp/x",)), in protocols 2 and 4.
    let two = b"\x80\x02cposix\nsystem\nq\x00X\x0c\x00\x00\x00touch /tmp/xq\x01\x85q\x02Rq\x03.";
    let four = b"\x80\x04\x95\x27\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0ctouch /tmp/x\x94\x85\x94R\x94.";
    for data in [&two[..], &four[..]] {
        assert_eq!(read(data).unwrap_err(), Refused::Name("posix.system".into()));
    }
    for inst in [&b"(S'x'\niposix\nsystem\n."[..], b"\x80\x02\x82\x01."] {
        assert!(matches!(read(inst), Err(Refused::Opcode(..))), "{:?}", read(inst));
    }
}

#[test]
fn no_cut_and_no_changed_byte_does_more_than_end_the_reading() {
    let data = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00aq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03((X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x01\x00\x00\x000q\x06X\x03\x00\x00\x00cpuq\x07K\x02tq\x08QK\x00K\x02\x85q\tK\x01\x85q\n\x89h\x00)Rq\x0btq\x0cRq\ru.";
    assert!(read(data).is_ok());
    for cut in 0..data.len() {
        assert!(read(&data[..cut]).is_err());
    }
    for at in 0..data.len() {
        for to in 0..=255u8 {
            let mut changed = data.to_vec();
            changed[at] = to;
            // Whatever it gives, it ends, and it takes no more than the bytes there are.
            if let Ok(p) = read(&changed) {
                assert!(p.len <= data.len());
            }
        }
    }
}

#[test]
fn lengths_beyond_the_file_allocate_nothing() {
    let huge: [&[u8]; 4] = [
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02B\xff\xff\xff\xff.",
    ];
    for data in huge {
        assert!(matches!(read(data), Err(Refused::Damaged(_))));
    }
}

#[test]
fn objects_stay_opaque_whatever_is_done_to_them() {
    // Nine objects of `make.py`: a Counter, a set, an array, a path, a deque, an enum, 2^900, a generator of random numbers, settings.
    let two = include_bytes!("../../../tests/files/objects.2.pkl").as_slice();
    let four = include_bytes!("../../../tests/files/objects.4.pkl").as_slice();
    for data in [two, four] {
        let p = read(data).unwrap();
        let opaque = |v: &Value| match v {
            Value::Opaque(class) => class.to_string(),
            other => format!("{other:?}"),
        };
        let mut all: Vec<String> = p.entries(&p.root).unwrap().iter().map(|(_, v)| opaque(v)).collect();
        // Protocol 4 has an opcode for sets: they are lists here.
        let set = all.remove(1);
        assert!(set == "__builtin__.set" || set.starts_with("Part("), "{set}");
        let array = "numpy._core.multiarray._reconstruct";
        let (path, random) = ("pathlib.PurePosixPath", "numpy.random._pickle.__generator_ctor");
        let big = format!("Int({})", i64::MAX);
        let expected = ["collections.Counter", array, path, "collections.deque", "__main__.Mode", &big, random];
        assert_eq!(all, [&expected[..], &["argparse.Namespace"]].concat());
    }
}

#[test]
fn values_that_repeat_cost_no_more_than_the_bytes() {
    // A text of a megabyte, recalled a million times.
    let mut data = b"\x80\x02]X\x00\x00\x10\x00".to_vec();
    data.resize(data.len() + (1 << 20), b'a');
    data.extend(b"q\x00(");
    data.extend(b"h\x00".repeat(1 << 20));
    data.extend(b"e0.");
    assert!(read(&data).is_err());
    // More values than any state dict has.
    let data = [b"\x80\x02(".to_vec(), vec![b'N'; 5 << 20], b"t.".to_vec()].concat();
    assert_eq!(read(&data).unwrap_err(), Refused::Large);
}
