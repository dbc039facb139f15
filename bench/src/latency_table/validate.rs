//! How well sums of blocks predict whole networks: the share of each of a block's two times, and the line, are fitted
//! on some networks and validated on the others.

use std::collections::HashMap;

use super::fit;
use super::row::{self, Subset, TableRow};

/// Shares of the runs right after another of its own in a block's time that are tried.
const SHARES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// With fewer networks the share is not fitted: the line alone fits three of them.
const ENOUGH: usize = 6;

/// Fits the share and the line on the networks of [`Subset::Fit`], and validates them on the others.
pub(super) fn validation(rows: &[TableRow], reference_ms: Option<f64>) -> Option<row::Validation> {
    let blocks: HashMap<&str, &row::BlockTime> = rows
        .iter()
        .filter_map(|r| match r {
            TableRow::Block(b) => Some((b.key.as_str(), b)),
            _ => None,
        })
        .collect();
    let pairs = |again: f64, set: Subset| -> Vec<fit::Pair> {
        let of = |r: &TableRow| match r {
            TableRow::Net(n) if n.set == set => {
                let time = |k: &String| blocks.get(k.as_str()).map(|b| b.time(again, reference_ms));
                Some((n.blocks.iter().map(time).sum::<Option<f64>>()?, n.time(reference_ms)))
            }
            _ => None,
        };
        rows.iter().filter_map(of).collect()
    };
    let enough = pairs(0.0, Subset::Fit).len() >= ENOUGH;
    let fitted = |again: &f64| {
        let known = pairs(*again, Subset::Fit);
        let line = fit::line(&known);
        (*again, line, fit::loss(line, &known))
    };
    // The first of equals: where nothing was timed twice, runs after other work.
    let shares = if enough { &SHARES[..] } else { &SHARES[..1] };
    let (again, line, _) = shares.iter().map(fitted).reduce(|a, b| if b.2 < a.2 { b } else { a })?;
    let nets = pairs(again, Subset::Fit).len();
    fit::validate(line, nets, &pairs(again, Subset::Validation)).map(|v| row::Validation { again, ..v })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Four blocks and networks of some of them, which take 0.1 ms, and for each block so much of both of its times.
    fn rows(share: f64, twice: bool) -> Vec<TableRow> {
        let (cold, warm) = ([1.0, 3.0, 2.0, 5.0], [0.9, 1.0, 1.5, 1.2]);
        let key = |i: usize| format!("block{i}");
        let block = |i: usize| row::BlockTime {
            key: key(i),
            ms: 99.0,
            ratio: Some(cold[i] / 10.0),
            again: twice.then_some(warm[i] / 10.0),
            count: 1,
            spread: None,
        };
        let net = |n: usize| {
            let of: Vec<usize> = (0..4).filter(|i| n >> i & 1 == 1).collect();
            let sum: f64 = of.iter().map(|i| (1.0 - share) * cold[*i] + share * warm[*i]).sum();
            row::NetworkTime {
                set: if n.is_multiple_of(2) { Subset::Fit } else { Subset::Validation },
                digest: n.to_string(),
                genome: BTreeMap::new(),
                blocks: of.into_iter().map(key).collect(),
                ms: 0.1 + sum,
                ratio: None,
                count: 1,
                spread: None,
            }
        };
        (0..4).map(|i| TableRow::Block(block(i))).chain((1..16).map(|n| TableRow::Net(net(n)))).collect()
    }

    #[test]
    fn the_share_is_found_on_the_networks_that_are_for_it() {
        for share in SHARES {
            let v = validation(&rows(share, true), Some(10.0)).unwrap();
            assert_eq!(v.again, share);
            assert!(v.mape < 1e-9 && (v.line.offset_ms - 0.1).abs() < 1e-9, "{v:?}");
        }
    }

    #[test]
    fn what_was_timed_once_is_taken_as_it_is() {
        let v = validation(&rows(1.0, false), Some(10.0)).unwrap();
        assert_eq!(v.again, 0.0);
        assert!(v.mape > 1.0, "{v:?}");
        assert_eq!(validation(&[], None), None);
    }

    #[test]
    fn few_networks_say_nothing_of_the_share() {
        let mut fit = 0;
        let few = rows(1.0, true).into_iter().filter(|r| {
            fit += usize::from(matches!(r, TableRow::Net(n) if n.set == Subset::Fit));
            fit < ENOUGH
        });
        let v = validation(&few.collect::<Vec<_>>(), Some(10.0)).unwrap();
        assert_eq!((v.again, v.fit_nets), (0.0, ENOUGH - 1));
    }
}
