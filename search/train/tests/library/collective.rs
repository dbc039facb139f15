//! What ranks tell each other: texts, numbers and tensors.

use tch::{Device, Kind, Tensor};

use crate::ranks::on_ranks;

#[test]
fn answers_reach_rank_0() {
    let all = on_ranks(3, |collective| match collective.follow() {
        Some(order) => {
            collective.answer(&format!("{order} {}", collective.rank()));
            collective.answers()
        }
        None => {
            collective.lead("job");
            let mut answers = collective.answers();
            answers.sort();
            answers
        }
    });
    assert_eq!(all[0], ["job 1", "job 2"]);
    assert!(all[1].is_empty() && all[2].is_empty());
}

#[test]
fn texts_and_sums_of_ranks() {
    let all = on_ranks(3, |collective| {
        let rank = collective.rank();
        let text = collective.text_of_first(&"ä".repeat(3 - rank)).unwrap();
        assert_eq!(collective.texts(&"ö".repeat(rank)).unwrap(), ["", "ö", "öö"]);
        let sums = collective.sums(&[rank as f64, 0.5]).unwrap();
        let differs = collective.check_same("the seed", if rank == 1 { "2" } else { "1" });
        let grey = Tensor::full([2, 3], rank as i64 + 1, (Kind::Float, Device::Cpu)).transpose(0, 1);
        collective.all_reduce(&grey).unwrap();
        (text, sums, differs.map_err(|e| e.to_string()), grey.sum(Kind::Float).double_value(&[]))
    });
    for (rank, (text, sums, differs, sum)) in all.into_iter().enumerate() {
        assert_eq!((text.as_str(), sums, sum), ("äää", vec![3.0, 1.5], 36.0), "rank {rank}");
        let expected = "the seed: found 2, expected that of rank 0, 1".to_string();
        assert_eq!(differs, if rank == 1 { Err(expected) } else { Ok(()) });
    }
}
