//! The pool with real processes: shell scripts that speak as workers do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mobilenas_coordinator::{Failure, Files, Hello, Pool, PoolConfig, PoolError, Room, Rules, ToWorker, room};

type Answer = Result<u32, Failure>;

const HELLO: &str = r#"echo '{"hello":{"program":"","protocol":0,"device":"","weights":""}}'"#;
const ANSWER: &str = r#"echo "{\"answer\":{\"job\":$n,\"result\":{\"Ok\":$k}}}""#;

/// A worker that says hello and runs a script for each job, whose number is in `$n` and whose work in `$k`.
fn script(each: &str) -> String {
    let read = r#"n=${line#*\"number\":}; n=${n%%,*}; k=${line#*\"work\":}; k=${k%%\}*}"#;
    format!("{HELLO}; while read -r line; do case $line in *welcome*) continue;; esac; {read}; {each}; done")
}

/// What was told to the user.
type Told = Arc<Mutex<Vec<String>>>;

fn config(workers: usize, rules: Rules, script: String) -> (PoolConfig, Told) {
    let told = Told::default();
    let own = told.clone();
    let config = PoolConfig {
        rules,
        expected: Hello::default(),
        workers,
        first: None,
        launched: false,
        stops: false,
        room: None,
        say: Box::new(move |text| own.lock().unwrap().push(text.to_string())),
        make: Box::new(move |_| {
            let mut c = Command::new("sh");
            c.args(["-c", &script]);
            Ok(c)
        }),
    };
    (config, told)
}

fn pool(workers: usize, rules: Rules, each: &str) -> Pool<u32> {
    Pool::new(config(workers, rules, script(each)).0)
}

fn run(pool: &mut Pool<u32>, n: u32, stop_after: usize) -> Result<Vec<(usize, Answer)>, PoolError> {
    let (mut all, count) = (Vec::new(), AtomicUsize::new(0));
    let done = |i, answer| -> Result<(), PoolError> {
        count.fetch_add(1, Ordering::SeqCst);
        all.push((i, answer));
        Ok(())
    };
    pool.run(&(0..n).map(|k| 100 + k).collect::<Vec<_>>(), || count.load(Ordering::SeqCst) < stop_after, done)?;
    Ok(all)
}

fn all(pool: &mut Pool<u32>, n: u32) -> Vec<(usize, Answer)> {
    run(pool, n, usize::MAX).unwrap()
}

fn expected(n: u32) -> Vec<(usize, Answer)> {
    (0..n).map(|k| (k as usize, Ok(100 + k))).collect()
}

fn impatient() -> Rules {
    Rules { pause: Duration::from_millis(10), give_up: Duration::from_millis(300), ..Rules::default() }
}

#[test]
fn answers_come_in_order_however_many_work_and_however_long_each_takes() {
    for workers in [1, 2, 3, 9] {
        let mut pool = pool(workers, Rules::default(), &format!("[ $((k % 3)) = 0 ] && sleep 0.05; {ANSWER}"));
        for _ in 0..2 {
            assert_eq!(all(&mut pool, 8), expected(8), "{workers} workers");
        }
    }
}

#[test]
fn what_a_launcher_prints_before_the_hello_is_not_listened_to() {
    let own = script(ANSWER);
    let (config, _) = config(1, Rules::default(), format!("echo; echo 'Last login: never'; echo '{{}}'; {own}"));
    assert_eq!(all(&mut Pool::new(config), 2), expected(2));
}

#[test]
fn a_worker_is_told_that_its_hello_was_heard() {
    let welcome = r#"read -r line; [ "$line" = '{"welcome":{}}' ] || exit 1"#;
    let (config, _) = config(1, impatient(), format!("{HELLO}; {welcome}; {}", script(ANSWER)));
    assert_eq!(all(&mut Pool::new(config), 2), expected(2));
}

#[test]
fn a_job_that_kills_three_is_set_aside_with_their_words_and_another_goes_on() {
    let mut pool = pool(2, impatient(), &format!("[ $k = 103 ] && {{ echo at $k >&2; kill -9 $$; }}; {ANSWER}"));
    for (k, answer) in all(&mut pool, 6) {
        match answer {
            Err(Failure::SetAside(deaths)) if k == 3 => {
                assert_eq!(deaths.len(), 3);
                for death in deaths {
                    assert_eq!(
                        (death.words.as_str(), death.stderr.as_str()),
                        ("sh ended (signal: 9 (SIGKILL))", "at 103\n")
                    );
                }
            }
            answer => assert_eq!(answer, Ok(100 + k as u32)),
        }
    }
}

#[test]
fn nothing_is_lost_while_workers_die() {
    let dir = tempfile::tempdir().unwrap();
    // Each job kills none, one or two of its workers: a third would set it aside.
    let kill = format!("mkdir {}/$k.$i 2>/dev/null && kill -9 $$", dir.path().display());
    let each = format!("for i in 1 2; do [ $i -le $((k * 7 % 3)) ] && {kill}; done; {ANSWER}");
    assert_eq!(all(&mut pool(3, impatient(), &each), 60), expected(60));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 60, "as many deaths as jobs");
}

#[test]
fn a_job_that_is_handed_back_is_done_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let back = r#"echo "{\"back\":{\"job\":$n}}"; exit 143"#;
    let once = format!("if [ $k = 101 ] && mkdir {}/x 2>/dev/null; then {back}; fi; {ANSWER}", dir.path().display());
    assert_eq!(all(&mut pool(1, Rules::default(), &once), 3), expected(3));
}

#[test]
fn slow_and_silent_workers_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let rules = Rules {
        slow_at_least: Duration::from_millis(400),
        slow_at_first: Some(Duration::from_millis(400)),
        ..impatient()
    };
    let hang = |test: &str| format!("if [ $k = 102 ] && {test}; then sleep 100; fi; {ANSWER}");
    let begin = Instant::now();
    let once = hang(&format!("mkdir {}/x 2>/dev/null", dir.path().display()));
    assert_eq!(all(&mut pool(1, rules.clone(), &once), 4), expected(4));
    let silent = Rules { silence: Duration::from_millis(400), slow_at_first: None, ..impatient() };
    let once = hang(&format!("mkdir {}/y 2>/dev/null", dir.path().display()));
    assert_eq!(all(&mut pool(1, silent, &once), 4), expected(4));
    let answers = all(&mut pool(1, rules, &hang("true")), 4);
    assert!(matches!(&answers[2].1, Err(Failure::SetAside(deaths)) if deaths.len() == 3), "{answers:?}");
    assert!(begin.elapsed() < Duration::from_secs(40));
}

#[test]
fn a_launcher_that_never_works_is_an_error_with_its_message() {
    let (config, told) = config(2, impatient(), "echo 'no such partition' >&2; exit 3".to_string());
    let error = run(&mut Pool::new(config), 1, usize::MAX).unwrap_err().to_string();
    let tail = "attempts: sh ended (exit status: 3): no such partition";
    assert!(error.starts_with("no worker could be started in ") && error.ends_with(tail), "{error}");
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    let (mut none, _) = self::config(1, impatient(), String::new());
    none.make = Box::new(|_| Ok(Command::new("/no/such/program")));
    let error = run(&mut Pool::new(none), 1, usize::MAX).unwrap_err().to_string();
    assert!(error.ends_with("/no/such/program: No such file or directory (os error 2), expected a program"), "{error}");
}

#[test]
fn one_that_differs_gets_no_job() {
    let (mut config, told) = config(1, impatient(), script(ANSWER));
    config.expected.weights = "0123".to_string();
    let error = run(&mut Pool::new(config), 1, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("has weights \"\", expected \"0123\""), "{error}");
    assert!(told.lock().unwrap()[0].contains("did not start: the worker on its host has weights"));
}

#[test]
fn what_was_begun_is_finished_and_the_rest_left_out() {
    let mut pool = pool(2, Rules::default(), &format!("sleep 0.03; {ANSWER}"));
    let some = run(&mut pool, 100, 5).unwrap();
    assert!(some.len() >= 5 && some.len() < 100, "{}", some.len());
    assert_eq!(some, expected(some.len() as u32));
    assert_eq!(all(&mut pool, 3), expected(3), "and another list begins anew");
}

#[test]
fn long_jobs_are_asked_to_leave_off() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let each = format!(
        r#"case $line in *stop*) exit 0;; esac; echo $k >> {}; read -r line; echo "{{\"back\":{{\"job\":$n}}}}"; exit 143"#,
        log.display()
    );
    let (mut config, _) = config(2, Rules::default(), script(&each));
    config.stops = true;
    let (mut pool, begun) =
        (Pool::<u32>::new(config), || std::fs::read_to_string(&log).unwrap_or_default().lines().count());
    // No more is wanted as soon as both are at work.
    let done = |_, answer: Answer| panic!("{answer:?}");
    pool.run::<_, PoolError>(&[0, 1, 2, 3, 4], || begun() < 2, done).unwrap();
    assert_eq!(begun(), 2);
}

#[test]
fn the_first_line_comes_before_all_else_however_long_it_is() {
    let (mut config, _) =
        config(2, Rules::default(), format!("read -r line; [ ${{#line}} = 3000000 ] || exit 1; {}", script(ANSWER)));
    config.first = Some("x".repeat(3_000_000).into());
    assert_eq!(all(&mut Pool::new(config), 4), expected(4));
    // One that never reads it keeps nobody waiting.
    let (mut config, _) = self::config(1, impatient(), "sleep 0.2; exit 1".to_string());
    config.first = Some("x".repeat(3_000_000).into());
    assert!(run(&mut Pool::new(config), 1, usize::MAX).is_err());
}

#[test]
fn somebody_sees_the_workers_and_changes_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (mut config, told) = config(1, Rules::default(), script(&format!("sleep 0.3; {ANSWER}")));
    config.room = Some(Room::of(root));
    let mut pool = Pool::<u32>::new(config);
    let (mut seen, mut count) = (0, 0);
    let look = |_, answer: Answer| -> Result<(), PoolError> {
        assert!(answer.is_ok());
        count += 1;
        if let Ok(status) = room::status(root) {
            seen = seen.max(status.seats.iter().filter(|s| s.answered > 0).count());
        }
        if count == 4 {
            room::want(root, 3).unwrap();
        }
        Ok(())
    };
    pool.run(&(0..20).collect::<Vec<u32>>(), || true, look).unwrap();
    assert_eq!(seen, 3);
    assert_eq!(*told.lock().unwrap(), ["3 workers from now on, 1 before"]);
    assert_eq!(room::wanted(root), Some(3));
    room::clear(root);
    assert!(!root.join("workers").exists(), "nothing is left");
}

/// The worker's side as it is in the program: asked by a signal and by the end of its input at once, it leaves off once.
#[test]
fn a_worker_that_leaves_off_hands_its_job_back_and_the_next_one_does_it() {
    for (args, name) in [(&["--leaves-off"][..], "-TERM"), (&[][..], "-USR1")] {
        let dir = tempfile::tempdir().unwrap();
        let (mut config, _) = config(1, Rules::default(), String::new());
        // The launcher asks its first worker to end after a while.
        let pid = dir.path().join("pid");
        let ask = format!("if mkdir {0}/x; then (sleep 0.4; kill {name} $$) & fi; exec \"$@\"", dir.path().display());
        let log = pid.clone();
        config.make = Box::new(move |_| {
            let mut c = Command::new("sh");
            c.args(["-c", &format!("echo $$ >> {}; {ask}", log.display()), "sh", env!("CARGO_BIN_EXE_echo_worker")]);
            c.args(args);
            Ok(c)
        });
        let (mut pool, mut all) = (Pool::<u64>::new(config), Vec::new());
        let begin = Instant::now();
        let done = |_, answer: Result<u64, Failure>| -> Result<(), PoolError> {
            all.push(answer);
            Ok(())
        };
        pool.run(&[(0.1, 7), (1.0, 8)], || true, done).unwrap();
        assert_eq!(all, [Ok(7), Ok(8)]);
        assert!(begin.elapsed() > Duration::from_millis(1300), "the second job was not begun anew");
        assert_eq!(std::fs::read_to_string(&pid).unwrap().lines().count(), 2, "two workers");
    }
}

#[test]
fn files_that_were_unpacked_are_gone_if_a_worker_has_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    std::fs::create_dir(&to).unwrap();
    std::fs::write(from.join("supernet"), [0, 159, 146, 150].repeat(100_000)).unwrap();
    let files = Files::read(&from, &["supernet"]).unwrap();
    let (mut config, _) = config(1, Rules::default(), String::new());
    config.first = Some(serde_json::to_string(&ToWorker::<()>::Run(files)).unwrap().into());
    let place = to.clone();
    config.make = Box::new(move |_| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_echo_worker"));
        c.arg("--unpack").arg(&place);
        Ok(c)
    });
    let unpacked = || std::fs::read(to.join("supernet")).is_ok_and(|bytes| bytes.len() == 400_000);
    let mut pool = Pool::<u64>::new(config);
    // As soon as they are there, no more is wanted.
    pool.run(&[(0.1, 7)], || !unpacked(), |_, _| Ok::<(), PoolError>(())).unwrap();
    assert!(unpacked());
    drop(pool);
    assert!(!to.exists());
}
