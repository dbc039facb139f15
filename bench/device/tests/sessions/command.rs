//! A command of the user.

use mobilenas_device::{DeviceError, Range};
use serde_json::{Value, json};

use crate::{World, networks};

/// A command that prints the file.
fn cat(more: &Value) -> Value {
    let mut runner = json!({"run": "cat {file}", "unit": "us", "statistic": "mean", "pause_seconds": 0.0});
    for (key, value) in more.as_object().unwrap() {
        runner[key] = value.clone();
    }
    json!({"command": {"runner": runner}})
}

#[test]
fn a_number_comes_out() {
    let w = World::new();
    assert_eq!(w.time(&cat(&json!({})), &|_| {}, "1500\n").unwrap(), 1.5);
    let pointer = cat(&json!({"pointer": "/t", "pause_seconds": 2.0}));
    assert_eq!(w.time(&pointer, &|_| {}, "{\"t\": [1000, 4000]}").unwrap(), 2.5);
    assert_eq!(*w.pauses.borrow(), [2.0], "the pause before the run");
}

#[test]
fn placeholders_hold_what_they_say() {
    let w = World::new();
    let run = "echo {threads} {shape} {args} {program} > {folder}/seen; cat {file}";
    let mut config = cat(&json!({"run": run, "args": "-v x", "program": "taskset f0 ./tool"}));
    config["command"]["runner"]["run"] = json!(run.replace("{folder}", w.dir.path().to_str().unwrap()));
    w.time(&config, &|_| {}, "1").unwrap();
    assert_eq!(std::fs::read_to_string(w.path("seen")).unwrap(), "3 [192,224,3] -v x taskset f0 ./tool\n");
}

#[test]
fn a_file_is_converted_here() {
    let w = World::new();
    let convert = json!({"run": "sed s/1/2/ {onnx} > {file}"});
    let config = cat(&json!({"extension": "tflite", "convert": convert}));
    assert_eq!(w.time(&config, &|_| {}, "1000").unwrap(), 2.0);
    let broken =
        cat(&json!({"extension": "tflite", "convert": {"run": "echo no such operator >&2; false {onnx} {file}"}}));
    let error = w.time(&broken, &|_| {}, "1000").unwrap_err().to_string();
    assert!(error.contains("ended (exit status: 1): no such operator, expected exit status 0"), "{error}");
    let nothing = cat(&json!({"extension": "param", "convert": {"run": "true {onnx} {file}"}}));
    let error = w.time(&nothing, &|_| {}, "1000").unwrap_err().to_string();
    assert!(error.ends_with("n.param: No such file or directory (os error 2), expected a file"), "{error}");
}

#[test]
fn each_failure_is_told_once_and_clearly() {
    let w = World::new();
    let error = |config: &Value, text: &str| {
        let error = w.time(config, &|_| {}, text).unwrap_err();
        assert!(error.is_input());
        error.to_string().replace(w.dir.path().to_str().unwrap(), "DIR")
    };
    let number = "expected a number in us and nothing else; `pointer` or `after` read one from JSON or text";
    let whole = cat(&json!({}));
    assert_eq!(error(&whole, ""), format!("command: `cat DIR/n.onnx` printed nothing, {number}"));
    assert_eq!(error(&whole, "4 ms"), format!("command: `cat DIR/n.onnx` printed \"4 ms\", {number}"));
    assert_eq!(error(&whole, "NaN"), format!("command: `cat DIR/n.onnx` printed NaN us, {number} of 1e-6 to 1e9 ms"));
    assert_eq!(error(&whole, "-1"), format!("command: `cat DIR/n.onnx` printed -1 us, {number} of 1e-6 to 1e9 ms"));
    let fails = cat(&json!({"run": "echo cannot load {file} >&2; exit 7"}));
    assert_eq!(
        error(&fails, "1"),
        "command: `echo cannot load DIR/n.onnx >&2; exit 7` ended (exit status: 7): cannot load DIR/n.onnx, expected exit status 0"
    );
    let slow = cat(&json!({"run": "sleep 1000; cat {file}", "timeout_seconds": 0.01}));
    assert!(
        error(&slow, "1")
            .ends_with("did not end in 0.01 s, expected an answer; `timeout_seconds` is how long it may take")
    );
    let missing = cat(&json!({"run": "no-such-program {file}"}));
    assert!(error(&missing, "1").contains("ended (exit status: 127)"), "{}", error(&missing, "1"));
}

#[test]
fn a_device_that_says_so_is_waited_for() {
    let w = World::new();
    let run = format!("test -e {}/back || exit 75; cat {{file}}", w.dir.path().display());
    let config = cat(&json!({"run": run}));
    let pause = |n: usize| {
        if n == 4 {
            w.write("back", "");
        }
    };
    assert_eq!(w.time(&config, &pause, "1000").unwrap(), 1.0);
    assert_eq!(*w.pauses.borrow(), [1.0, 2.0, 4.0, 8.0]);
    assert!(w.said.borrow()[3].starts_with("command: the device is away; looking again in 8 s (command: `test -e"));
}

#[test]
fn one_that_stays_away_ends_the_run() {
    let w = World::new();
    let config = cat(&json!({"run": "echo no route >&2; exit 75; {file}", "away_seconds": 100.0}));
    let error = w.time(&config, &|_| {}, "1").unwrap_err();
    assert!(matches!(error, DeviceError::Away { seconds: 63, .. }) && !error.is_input(), "{error}");
    assert!(error.to_string().contains("no route"), "{error}");
    assert_eq!(w.pauses.borrow().iter().sum::<f64>(), 63.0);
}

/// A device whose check needs the file `on`.
fn checked(w: &World, run: &str) -> Value {
    let mut config = cat(&json!({"run": run.replace("DIR", w.dir.path().to_str().unwrap())}));
    config["command"]["check"] = json!(format!("test -e {}", w.path("on").display()));
    config
}

#[test]
fn a_check_tells_a_lost_device_from_a_bad_network() {
    let w = World::new();
    w.write("on", "");
    let bad = checked(&w, "cat {file}; exit 1");
    assert!(matches!(w.time(&bad, &|_| {}, "1"), Err(DeviceError::Failed { .. })));
    assert!(w.pauses.borrow().is_empty());
    // It takes the device down once, and its output is cut off.
    let once = checked(&w, "test -e DIR/was || { rm DIR/on; touch DIR/was; exit 0; }; cat {file}");
    let pause = |n: usize| {
        if n == 3 {
            w.write("on", "");
        }
    };
    assert_eq!(w.time(&once, &pause, "1000").unwrap(), 1.0);
    assert_eq!(*w.pauses.borrow(), [1.0, 2.0, 4.0]);
    assert_eq!(w.said.borrow().last().unwrap(), "command: the device is back");
}

#[test]
fn a_network_that_takes_the_device_down_each_time_is_given_up() {
    let w = World::new();
    w.write("on", "");
    let config = checked(&w, "rm DIR/on; {file}");
    let pause = |_| {
        w.write("on", "");
    };
    let error = w.time(&config, &pause, "1").unwrap_err();
    assert!(matches!(error, DeviceError::Dies { times: 6, .. }), "{error}");
}

#[test]
fn one_that_is_not_there_in_the_beginning_is_told_at_once() {
    let w = World::new();
    let error = w.time(&checked(&w, "cat {file}"), &|_| {}, "1").unwrap_err();
    assert!(matches!(error, DeviceError::Failed { .. }), "{error}");
    assert!(w.pauses.borrow().is_empty());
}

#[test]
fn stopping_ends_a_pause_and_a_run() {
    let w = World::new();
    let config = cat(&json!({"run": "exit 75; {file}"}));
    assert!(matches!(w.time(&config, &|_| w.stop.ask(), "1"), Err(DeviceError::Stopped)));
    let long = cat(&json!({"run": "sleep 1000; {file}"}));
    assert!(matches!(w.time(&long, &|_| {}, "1"), Err(DeviceError::Stopped)));
}

#[test]
fn a_device_says_what_it_is() {
    let w = World::new();
    let mut config = cat(&json!({"os": "iOS 18", "delegate": "ane"}));
    config["command"]["describe"] = json!("echo device=A  phone; echo os=no; echo version=3.1; echo rubbish");
    let record = w.with(&config, &|_| {}, |s| Ok(s.record().clone())).unwrap();
    assert_eq!((record.device.as_str(), record.os.as_str(), record.version.as_str()), ("A phone", "iOS 18", "3.1"));
    assert_eq!(
        (record.engine().as_str(), record.caption().as_str(), record.threads),
        ("unknown+ane", "A phone, iOS 18", 3)
    );
}

#[test]
fn a_hot_device_rests_before_a_round() {
    let w = World::new();
    w.write("condition", "celsius=40\nmhz=2000");
    let mut config = cat(&json!({"most_celsius": 50.0, "cool_seconds": 40.0}));
    config["command"]["condition"] = json!(format!("cat {}", w.path("condition").display()));
    let pause = |n: usize| {
        w.write("condition", if n < 3 { "celsius=55\nmhz=1000" } else { "celsius=45\nmhz=2000" });
    };
    let seen = w.with(&config, &pause, |s| {
        s.settle()?;
        w.write("condition", "celsius=60\nmhz=2000");
        s.settle()?;
        Ok(s.take_seen())
    });
    let seen = seen.unwrap();
    assert_eq!(seen.celsius, Some(Range { low: 40.0, high: 60.0 }));
    assert_eq!(seen.mhz, Some(Range { low: 1000.0, high: 2000.0 }));
    assert_eq!((seen.cooldowns, seen.throttled, seen.disconnects), (1, 0, 0));
    assert_eq!(*w.pauses.borrow(), [10.0, 10.0, 10.0]);
    // One that stays hot is measured all the same, and the record shows it.
    let never = |_| {
        w.write("condition", "celsius=60");
    };
    w.write("condition", "celsius=40");
    let seen = w.with(&config, &never, |s| {
        w.write("condition", "celsius=60");
        s.settle()?;
        Ok(s.take_seen())
    });
    assert_eq!(seen.unwrap().throttled, 1);
    assert!(w.said.borrow().last().unwrap().ends_with("still 60.0 degrees Celsius, expected at most 50; going on"));
}

#[test]
fn several_networks_are_told_apart() {
    let w = World::new();
    let times = w.with(&cat(&json!({})), &|_| {}, |s| {
        let mut all = networks(s, w.dir.path(), &["1000", "2000"]);
        Ok([s.time(&mut all[1])?, s.time(&mut all[0])?, s.time(&mut all[1])?])
    });
    assert_eq!(times.unwrap(), [2.0, 1.0, 2.0]);
}
