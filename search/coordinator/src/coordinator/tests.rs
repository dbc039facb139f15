//! The state machine by hand: one event at a time.
#![allow(clippy::unwrap_used)]

use super::*;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn dead(words: &str) -> Death {
    Death { words: words.to_string(), stderr: format!("stderr of {words}") }
}

/// A coordinator with so many seats, and jobs.
fn with(seats: usize, jobs: u64) -> Coordinator<u64> {
    let mut c = Coordinator::new(Rules::default(), Hello::default(), seats);
    c.add(secs(0), jobs);
    c
}

fn actions(c: &mut Coordinator<u64>) -> Vec<Action<u64>> {
    std::iter::from_fn(|| c.action()).collect()
}

fn id(seat: u32, generation: u32) -> WorkerId {
    WorkerId { seat, generation }
}

fn give(seat: u32, generation: u32, job: u64, attempt: u32) -> Action<u64> {
    Action::Give { to: id(seat, generation), job, attempt }
}

fn hello(c: &mut Coordinator<u64>, at: u64, who: WorkerId) -> Vec<Action<u64>> {
    c.heard(secs(at), who, Heard::Hello(Hello::default()));
    actions(c)
}

fn answer(c: &mut Coordinator<u64>, at: u64, who: WorkerId, job: u64) -> Vec<Action<u64>> {
    c.heard(secs(at), who, Heard::Answer { job, result: Ok(job * 2) });
    actions(c)
}

fn end(c: &mut Coordinator<u64>, at: u64, who: WorkerId, words: &str) -> Vec<Action<u64>> {
    c.heard(secs(at), who, Heard::Ended(dead(words)));
    actions(c)
}

fn done(job: u64) -> Action<u64> {
    Action::Done { job, outcome: Ok(job * 2) }
}

#[test]
fn workers_start_when_they_are_needed_and_outcomes_come_in_order() {
    let mut c = with(3, 2);
    assert_eq!(actions(&mut c), [Action::Start(id(0, 1)), Action::Start(id(1, 1))], "no third for two jobs");
    assert_eq!(hello(&mut c, 1, id(0, 1)), [give(0, 1, 0, 1)]);
    assert_eq!(hello(&mut c, 1, id(1, 1)), [give(1, 1, 1, 1)]);
    assert_eq!(answer(&mut c, 2, id(1, 1), 1), []);
    assert_eq!(answer(&mut c, 3, id(0, 1), 0), [done(0), done(1)]);
    assert!(c.is_over() && c.held() == 0);
    assert_eq!(c.add(secs(4), 1), 2, "numbers go on");
    assert_eq!(actions(&mut c), [give(0, 1, 2, 1)], "a worker stays");
}

#[test]
fn workers_are_ahead_of_the_first_job_by_a_few() {
    let mut c = Coordinator::new(Rules { ahead: 2, ..Rules::default() }, Hello::default(), 2);
    c.add(secs(0), 100);
    actions(&mut c);
    hello(&mut c, 0, id(0, 1));
    hello(&mut c, 0, id(1, 1));
    for job in [1, 2, 3] {
        answer(&mut c, 1, id(1, 1), job);
    }
    assert_eq!(actions(&mut c), [], "job 4 waits for job 0");
    let all = answer(&mut c, 2, id(0, 1), 0);
    assert_eq!(all[..4], [0, 1, 2, 3].map(done));
    assert_eq!(all.len(), 6, "and both go on: {all:?}");
}

#[test]
fn a_death_costs_an_attempt_and_three_set_the_job_aside_with_their_stderr() {
    let mut c = with(1, 1);
    actions(&mut c);
    for generation in 1..=3u32 {
        assert_eq!(hello(&mut c, 10, id(0, generation)), [give(0, generation, 0, generation)]);
        let all = end(&mut c, 10, id(0, generation), &format!("end {generation}"));
        match generation {
            1 => assert_eq!(all, [Action::Start(id(0, 2))], "no pause after the first"),
            2 => {
                assert_eq!(all, []);
                c.tick(secs(10));
                assert_eq!(actions(&mut c), [], "a pause after the second");
                c.tick(secs(11));
                assert_eq!(actions(&mut c), [Action::Start(id(0, 3))]);
            }
            _ => {
                let deaths = ["end 1", "end 2", "end 3"].map(dead).to_vec();
                assert_eq!(all, [Action::Done { job: 0, outcome: Err(Failure::SetAside(deaths)) }]);
            }
        }
    }
    assert!(c.is_over() && c.held() == 0);
}

#[test]
fn pauses_double_up_to_a_minute() {
    let rules = Rules::default();
    assert_eq!([0, 1, 2, 3, 4, 8, 9, 40].map(|n| rules.pause_after(n).as_secs()), [0, 0, 1, 2, 4, 60, 60, 60]);
}

#[test]
fn a_failure_in_an_answer_is_tried_again_by_a_worker_that_lives() {
    let mut c = with(1, 1);
    actions(&mut c);
    hello(&mut c, 0, id(0, 1));
    let fail = |c: &mut Coordinator<u64>| {
        c.heard(secs(1), id(0, 1), Heard::Answer { job: 0, result: Err("no".to_string()) });
        actions(c)
    };
    assert_eq!(fail(&mut c), [give(0, 1, 0, 2)]);
    let failure = Failure::Answered { why: "no".to_string(), tries: 2 };
    assert_eq!(failure.to_string(), "no (tried 2 times)");
    assert_eq!(fail(&mut c), [Action::Done { job: 0, outcome: Err(failure) }]);
}

#[test]
fn a_job_that_is_handed_back_goes_to_another_and_nobody_is_blamed() {
    let mut c = with(1, 1);
    actions(&mut c);
    hello(&mut c, 0, id(0, 1));
    for generation in 1..=19 {
        c.heard(secs(1), id(0, generation), Heard::Back { job: 0 });
        assert_eq!(end(&mut c, 1, id(0, generation), "asked"), [Action::Start(id(0, generation + 1))], "no pause");
        assert_eq!(c.status()[0].failures, 0);
        assert_eq!(hello(&mut c, 1, id(0, generation + 1)), [give(0, generation + 1, 0, generation + 1)]);
    }
    c.heard(secs(1), id(0, 20), Heard::Back { job: 0 });
    let all = actions(&mut c);
    assert!(matches!(&all[..], [Action::Done { outcome: Err(Failure::Attempts { attempts: 20, .. }), .. }]), "{all:?}");
}

#[test]
fn silent_and_slow_workers_are_killed_and_a_late_answer_counts() {
    let mut c = with(1, 20);
    actions(&mut c);
    hello(&mut c, 0, id(0, 1));
    for job in 0..5 {
        answer(&mut c, 2 * job + 2, id(0, 1), job);
    }
    let at_job_5 = 10;
    for s in at_job_5..=at_job_5 + 120 {
        c.heard(secs(s), id(0, 1), Heard::Beat);
        c.tick(secs(s));
        assert_eq!(actions(&mut c), [], "10 times the median of 2 s is less than the least deadline");
    }
    c.tick(secs(at_job_5 + 121));
    assert_eq!(actions(&mut c), [Action::Kill(id(0, 1))]);
    assert_eq!(answer(&mut c, 132, id(0, 1), 5), [done(5)]);
    assert_eq!(end(&mut c, 132, id(0, 1), "killed"), [Action::Start(id(0, 2))]);
    assert_eq!(c.status()[0].trouble, "it gave no answer in 121 s: stderr of killed");
    assert_eq!(hello(&mut c, 133, id(0, 2)), [give(0, 2, 6, 1)]);
    assert_eq!(answer(&mut c, 134, id(0, 1), 6), [], "nobody listens to an earlier worker");
    for s in 134..=193 {
        c.tick(secs(s));
        assert_eq!(actions(&mut c), []);
    }
    c.tick(secs(194));
    assert_eq!(actions(&mut c), [Action::Kill(id(0, 2))], "nothing heard for 61 s");
    // Its end is never heard of.
    for s in 195..=216 {
        c.tick(secs(s));
    }
    assert_eq!(actions(&mut c), [Action::Start(id(0, 3))]);
    assert_eq!(hello(&mut c, 216, id(0, 3)), [give(0, 3, 6, 2)]);
}

#[test]
fn nobody_is_lost_because_this_process_stood_still() {
    let mut c = with(1, 1);
    actions(&mut c);
    hello(&mut c, 1, id(0, 1));
    c.tick(secs(2));
    c.tick(secs(40_000));
    assert_eq!(actions(&mut c), []);
    assert_eq!(answer(&mut c, 40_001, id(0, 1), 0), [done(0)]);
}

#[test]
fn a_launcher_that_never_works_ends_everything_within_a_minute() {
    let mut c = with(2, 5);
    let (mut starts, mut s) = (0, 0);
    let message = loop {
        for action in actions(&mut c) {
            match action {
                Action::Start(who) => {
                    starts += 1;
                    c.heard(secs(s), who, Heard::Ended(dead("no such host")));
                }
                Action::GiveUp(message) => assert_eq!((s, message.as_str()), (50, GAVE_UP), "{starts}"),
                Action::Say(text) => assert!(text.contains("no such host"), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        s += 1;
        if c.is_over() || s > 60 {
            break s;
        }
        c.tick(secs(s));
    };
    assert!(message <= 52, "{message}");
}

const GAVE_UP: &str = "no worker could be started in 14 attempts: no such host: stderr of no such host";

#[test]
fn one_that_waits_in_a_queue_and_one_that_came_once_keep_it_waiting() {
    let mut c = with(1, 1);
    actions(&mut c);
    for s in 0..100_000 {
        c.tick(secs(s));
    }
    assert_eq!(actions(&mut c), [], "it may wait in a queue");
    hello(&mut c, 100_000, id(0, 1));
    // The whole cluster goes away for a day.
    let (mut starts, mut ended) = (0, end(&mut c, 100_001, id(0, 1), "cluster"));
    for s in 100_002..186_400 {
        for action in std::mem::take(&mut ended) {
            let Action::Start(who) = action else { panic!("{action:?}") };
            starts += 1;
            c.heard(secs(s), who, Heard::Ended(dead("nothing there")));
        }
        c.tick(secs(s));
        ended = actions(&mut c);
        ended.retain(|a| !matches!(a, Action::Say(_)));
    }
    assert!((1_400..1_500).contains(&starts), "about one a minute: {starts}");
    assert!(!c.is_over());
}

#[test]
fn one_that_differs_is_refused() {
    let mut c = with(1, 1);
    actions(&mut c);
    c.heard(secs(1), id(0, 1), Heard::Hello(Hello { program: "9".to_string(), ..Hello::default() }));
    assert_eq!(actions(&mut c), [Action::Kill(id(0, 1))]);
    let told = end(&mut c, 1, id(0, 1), "killed");
    assert!(
        matches!(&told[..], [Action::Say(t), Action::Start(_)] if t.contains("has program version \"9\"")),
        "{told:?}"
    );
}

#[test]
fn where_latencies_are_measured_all_hosts_are_of_the_kind_of_the_first() {
    let of_kind = |kind: &str| Heard::Hello(Hello { kind: kind.to_string(), ..Hello::default() });
    for (named, first) in [(None, "slow"), (Some("slow".to_string()), "slow")] {
        let mut c = with(2, 2);
        c.one_kind(named.clone());
        actions(&mut c);
        c.heard(secs(1), id(0, 1), of_kind(first));
        assert_eq!(actions(&mut c), [give(0, 1, 0, 1)]);
        assert_eq!(c.kind(), "slow");
        c.heard(secs(1), id(1, 1), of_kind("fast"));
        assert_eq!(actions(&mut c), [Action::Kill(id(1, 1))], "{named:?}");
        let told = end(&mut c, 1, id(1, 1), "killed");
        let expected = "has kind of host \"fast\", expected \"slow\"";
        assert!(matches!(&told[..], [Action::Say(t), ..] if t.contains(expected)), "{told:?}");
    }
    let mut c = with(1, 1);
    c.one_kind(Some("slow".to_string()));
    actions(&mut c);
    c.heard(secs(1), id(0, 1), of_kind("fast"));
    assert_eq!(actions(&mut c), [Action::Kill(id(0, 1))], "the first is not of the kind that is named");
}

#[test]
fn the_number_of_workers_changes_under_way() {
    let mut c = with(2, 9);
    actions(&mut c);
    hello(&mut c, 0, id(0, 1));
    hello(&mut c, 0, id(1, 1));
    c.resize(secs(1), 4);
    assert_eq!(actions(&mut c), [Action::Start(id(2, 1)), Action::Start(id(3, 1))]);
    hello(&mut c, 1, id(2, 1));
    c.resize(secs(2), 1);
    assert_eq!(actions(&mut c), [Action::Dismiss(id(3, 1))], "two are at their jobs");
    assert_eq!(answer(&mut c, 3, id(1, 1), 1), [Action::Dismiss(id(1, 1))], "and end after them");
    c.resize(secs(4), 0);
    assert_eq!(answer(&mut c, 5, id(0, 1), 0), [Action::Dismiss(id(0, 1)), done(0), done(1)]);
    answer(&mut c, 5, id(2, 1), 2);
    for seat in 0..4 {
        end(&mut c, 6, id(seat, 1), "as asked");
    }
    for s in 7..1000 {
        c.tick(secs(s));
    }
    assert_eq!(actions(&mut c), [], "none left is waiting");
    assert!(!c.is_over() && c.status().is_empty());
    c.resize(secs(1000), 1);
    assert_eq!(actions(&mut c), [Action::Start(id(0, 2))]);
}

#[test]
fn halted_it_finishes_what_was_begun() {
    let mut c = with(2, 9);
    actions(&mut c);
    hello(&mut c, 0, id(0, 1));
    hello(&mut c, 0, id(1, 1));
    c.halt();
    assert_eq!(answer(&mut c, 1, id(0, 1), 0), [done(0)]);
    assert!(!c.is_over());
    assert_eq!(end(&mut c, 1, id(1, 1), "gone"), []);
    assert!(c.is_over());
    c.forget();
    assert_eq!((c.held(), c.add(secs(2), 1)), (0, 9));
    assert_eq!(actions(&mut c), [give(0, 1, 9, 1)]);
}
