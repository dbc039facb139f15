//! Which background anchors count in the loss.

/// The hardest background anchors of one image: `ratio` times as many as it has positives, by falling hardness (the
/// negative logarithm of the background's probability), the first of equal ones first. None where nothing is positive.
pub fn hard_negatives<F: Copy + Into<f64>>(positive: &[bool], hardness: &[F], ratio: usize) -> Vec<bool> {
    let mut background: Vec<usize> = (0..positive.len()).filter(|i| !positive[*i]).collect();
    let count = (ratio * (positive.len() - background.len())).min(background.len());
    let harder = |a: &usize, b: &usize| hardness[*b].into().total_cmp(&hardness[*a].into()).then(a.cmp(b));
    if count > 0 && count < background.len() {
        background.select_nth_unstable_by(count - 1, harder);
    }
    let mut chosen = vec![false; positive.len()];
    background[..count].iter().for_each(|i| chosen[*i] = true);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardest_of_each_image() {
        let positive = [false, true, false, false, false, false];
        let hardness = [0.1f32, 9.0, 0.7, 0.3, 0.3, 0.2];
        assert_eq!(hard_negatives(&positive, &hardness, 3), [false, false, true, true, true, false]);
        assert_eq!(hard_negatives(&positive, &hardness, 2), [false, false, true, true, false, false]);
        assert_eq!(hard_negatives(&positive, &hardness, 9), [true, false, true, true, true, true]);
        assert_eq!(hard_negatives(&[false; 6], &hardness, 3), [false; 6]);
    }
}
