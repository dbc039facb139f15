//! A phone behind a shim of `adb`: a shell script with the real program's arguments, messages and exit codes (platform tools
//! 35), whose phone is a folder of this machine.

use std::fs;

use mobilenas_device::DeviceError;
use serde_json::{Value, json};

use crate::World;

/// `adb -s SERIAL shell LINE` and `adb -s SERIAL push FILE PLACE`, with a log of what was asked. The phone is there while the
/// file `phone` is. `/data` and `getprop` of the phone are the folder's.
const SHIM: &str = r#"
cd "$(dirname "$0")"
echo "$*" >> log
if test "$1" != -s; then echo 'adb: no devices/emulators found' >&2; exit 1; fi
if test ! -e phone || test "$2" != A1; then echo "adb: device '$2' not found" >&2; exit 1; fi
shift 2
case $1 in
    shell) shift; PATH=$PWD/bin:$PATH sh -c "$(echo "$*" | sed "s#/data/#$PWD/data/#g")" ;;
    push) cp -R "$2" ".$3" && echo "$2: 1 file pushed, 0 skipped." ;;
    *) echo "adb: unknown command $1" >&2; exit 1 ;;
esac"#;

/// A phone with Android's `getprop`, and LiteRT's benchmark, which says how large the file is.
fn phone() -> (World, Value) {
    let w = World::new();
    w.write("phone", "");
    fs::create_dir(w.path("bin")).unwrap();
    fs::create_dir_all(w.path("data/local/tmp")).unwrap();
    w.script("adb", SHIM);
    w.script("bin/getprop", "case $1 in *model) echo Pixel 9;; *manufacturer) echo Google;; *platform) echo zuma;; *release) echo 15;; *) echo AP1;; esac");
    let benchmark = "for a; do case $a in --graph=*) f=${a#--graph=};; esac; done\n\
                     echo \"INFO: Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): $(($(wc -c < $f) * 1000))\" >&2";
    w.script("benchmark_model", benchmark);
    fs::set_permissions(w.path("benchmark_model"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let config = json!({"adb": {
        "serial": "A1",
        "adb": w.path("adb"),
        "runner": {
            "tool": "benchmark_model",
            "ship": w.path("benchmark_model"),
            "args": "--use_gpu=true",
            "delegate": "gpu",
            "convert": {"run": "cp {onnx} {file}"},
            "pause_seconds": 0.0,
        },
    }});
    (w, config)
}

#[test]
fn program_and_network_are_pushed_and_run() {
    let (w, config) = phone();
    let onnx = w.write("n.onnx", "12345");
    let (times, record) = w
        .with(&config, &|_| {}, |s| {
            let mut network = s.network(&onnx, &[3, 224, 224])?;
            let times = [s.time(&mut network)?, s.time(&mut network)?];
            s.remove(&network);
            Ok((times, s.record().clone()))
        })
        .unwrap();
    assert_eq!(times, [5.0, 5.0]);
    assert_eq!(record.caption(), "Google Pixel 9 (zuma), Android 15, AP1");
    assert_eq!((record.engine().as_str(), record.link.as_str()), ("litert+gpu", "adb A1"));
    let log = w.log();
    let pushes: Vec<&str> = log.lines().filter(|l| l.contains(" push ")).collect();
    assert_eq!(pushes.len(), 2, "{log}");
    let folder = "/data/local/tmp/mobilenas";
    let run =
        format!("-s A1 shell {folder}/benchmark_model --graph={folder}/n.tflite --num_threads=3 --use_gpu=true\n");
    assert_eq!(log.matches(&run).count(), 2, "{log}");
    let left = |name: &str| w.path("data/local/tmp/mobilenas").join(name).exists();
    assert!(left("benchmark_model") && !left("n.tflite"));
}

#[test]
fn a_phone_that_is_unplugged_is_waited_for_and_gets_its_files_again() {
    let (w, config) = phone();
    let onnx = w.write("n.onnx", "1234567");
    let plug = |n: usize| {
        if n == 2 {
            w.write("phone", "");
        }
    };
    let (times, seen) = w
        .with(&config, &plug, |s| {
            let mut network = s.network(&onnx, &[3, 224, 224])?;
            let first = s.time(&mut network)?;
            fs::remove_file(w.path("phone")).unwrap();
            fs::remove_dir_all(w.path("data/local/tmp/mobilenas")).unwrap();
            Ok(([first, s.time(&mut network)?], s.take_seen()))
        })
        .unwrap();
    assert_eq!((times, seen.disconnects), ([7.0, 7.0], 1));
    assert_eq!(*w.pauses.borrow(), [1.0, 2.0]);
    assert!(w.said.borrow()[0].contains("adb A1: the device is away; looking again in 1 s"));
    assert!(w.said.borrow()[0].contains("device 'A1' not found"));
}

#[test]
fn a_phone_that_is_not_there_is_told() {
    let (w, mut config) = phone();
    config["adb"]["serial"] = json!("B2");
    let error = w.time(&config, &|_| {}, "1").unwrap_err().to_string();
    assert_eq!(
        error,
        "adb B2: `a check that the device is there` ended (exit status: 1): adb: device 'B2' not found, expected exit status 0"
    );
    config["adb"]["adb"] = json!("/no/such/adb");
    let error = w.time(&config, &|_| {}, "1").unwrap_err();
    assert!(matches!(error, DeviceError::Start { .. }), "{error}");
}
