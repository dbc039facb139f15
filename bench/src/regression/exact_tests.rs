//! Tests of the exact tier.
#![allow(clippy::unwrap_used)]

use super::*;

fn exact() -> Exact {
    Exact {
        resolution: 256,
        params: 2_317_848,
        macs: 1_025_911_808,
        digest: "a".repeat(32),
        ops: [("conv", 34), ("add", 9)].map(|(op, n)| (op.to_string(), n)).into(),
        activation_bytes: 1 << 20,
        weight_bytes: 1 << 22,
        logits: Some(Logits { norm: 10.0, difference: 2.0, first: [vec![1.0; 8], vec![2.0; 8]] }),
    }
}

fn fails(was: &Exact, is: &Exact) -> Vec<String> {
    compare("m", was, is).into_iter().filter(|f| f.verdict == Verdict::Fail).map(|f| f.words).collect()
}

#[test]
fn nothing_changed_is_a_pass_everywhere() {
    let all = compare("m", &exact(), &exact());
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|f| f.verdict == Verdict::Pass && f.words == "unchanged"), "{all:#?}");
}

#[test]
fn changes_are_told_in_words() {
    let mut is = exact();
    is.params = 2_320_000;
    is.ops.insert("conv".into(), 35);
    is.ops.remove("add");
    is.digest = "b".repeat(32);
    insta::assert_snapshot!(fails(&exact(), &is).join("\n"), @r"
    params 2317848 -> 2320000 (+0.09 %)
    digest aaaaaaaa -> bbbbbbbb
    add 9 -> 0, conv 34 -> 35
    ");
}

#[test]
fn percents_show_what_changed() {
    let all = [0.0, 1e-7, -0.0009, 0.05, 1.234].map(percent);
    assert_eq!(all, ["+0 %", "+1.0e-5 %", "-0.09 %", "+5.00 %", "+123.4 %"]);
}

#[test]
fn logits_may_differ_by_rounding_only() {
    let mut is = exact();
    let first = |is: &mut Exact, x| is.logits.as_mut().unwrap().first[1][3] = x;
    first(&mut is, 2.0 + 5e-8);
    assert_eq!(fails(&exact(), &is), Vec::<String>::new());
    first(&mut is, 2.0 + 5e-7);
    assert_eq!(fails(&exact(), &is), ["logits off by 5.0e-8 of their norm"]);
    first(&mut is, f64::NAN);
    is.logits.as_mut().unwrap().norm = f64::NAN;
    assert_eq!(fails(&exact(), &is), ["logits off by inf of their norm"]);
}

#[test]
fn a_published_network_is_as_published() {
    let is = Exact::of("mobilenetv3_small_100", true).unwrap();
    assert_eq!((is.params, is.macs, is.resolution), (2_542_856, 56_510_400, 224));
    let logits = is.logits.clone().unwrap();
    assert!(logits.norm.is_finite() && logits.difference > 0.0);
    assert_eq!(is, Exact::of("mobilenetv3_small_100", true).unwrap());
    assert!(Exact::of("mobilenetv9", false).is_err());
}
