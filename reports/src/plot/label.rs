//! Greedy placement of labels: each takes the cheapest free place around its point, the important ones first.

/// A rectangle in px, y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left, top, right, bottom.
    pub sides: [f64; 4],
}

impl Rect {
    /// The square of half-side `reach` around a point.
    pub fn around((x, y): (f64, f64), reach: f64) -> Rect {
        Rect { sides: [x - reach, y - reach, x + reach, y + reach] }
    }

    /// Whether the two share an area.
    pub fn meets(&self, other: &Rect) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.sides, other.sides);
        a < g && e < c && b < h && f < d
    }

    fn holds(&self, other: &Rect) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.sides, other.sides);
        a <= e && b <= f && g <= c && h <= d
    }

    fn has(&self, (x, y): (f64, f64)) -> bool {
        self.holds(&Rect { sides: [x, y, x, y] })
    }

    fn grown(&self, by: f64) -> Rect {
        let [a, b, c, d] = self.sides;
        Rect { sides: [a - by, b - by, c + by, d + by] }
    }

    /// The point of the rectangle that is nearest to `(x, y)`.
    pub fn nearest(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [a, b, c, d] = self.sides;
        (x.clamp(a, c), y.clamp(b, d))
    }
}

/// A label to be placed.
#[derive(Clone, Debug)]
pub struct LabelRequest {
    /// The point it belongs to.
    pub at: (f64, f64),
    /// Width and height of its text.
    pub size: (f64, f64),
    /// Distance from the point's centre to where the text may begin.
    pub gap: f64,
    /// Whether it must be shown, if need be farther away with a line to its point.
    pub needed: bool,
}

/// Places labels inside `area`: none over another label or over `taken`, and over as few points of `avoid` as possible.
///
/// Needed labels are placed first, up to 150 px away. A label without a free place gets `None`.
pub fn place(requests: &[LabelRequest], taken: &[Rect], avoid: &[(f64, f64)], area: Rect) -> Vec<Option<Rect>> {
    let mut taken = taken.to_vec();
    let mut placed = vec![None; requests.len()];
    let mut leaders = Vec::new();
    for needed in [true, false] {
        for (request, place) in requests.iter().zip(&mut placed).filter(|(w, _)| w.needed == needed) {
            *place = best(request, &taken, avoid, &leaders, area);
            taken.extend(place.map(|r: Rect| r.grown(2.0)));
            leaders.extend(place.map(|r| (request.at, r.nearest(request.at))));
        }
    }
    placed
}

/// From a point to its label.
type Leader = ((f64, f64), (f64, f64));

/// Whether two leaders cross.
fn cross((a, b): Leader, (c, d): Leader) -> bool {
    let turn = |o: (f64, f64), p: (f64, f64), q: (f64, f64)| (p.0 - o.0) * (q.1 - o.1) - (p.1 - o.1) * (q.0 - o.0);
    turn(a, b, c) * turn(a, b, d) < 0.0 && turn(c, d, a) * turn(c, d, b) < 0.0
}

/// The cheapest free place for one label.
fn best(request: &LabelRequest, taken: &[Rect], avoid: &[(f64, f64)], leaders: &[Leader], area: Rect) -> Option<Rect> {
    let distances: &[f64] =
        if request.needed { &[0.0, 8.0, 18.0, 30.0, 45.0, 65.0, 90.0, 120.0, 150.0] } else { &[0.0, 3.0] };
    let mut best: Option<(f64, Rect)> = None;
    for (ring, extra) in distances.iter().enumerate() {
        for (preference, direction) in DIRECTIONS.iter().enumerate() {
            let rect = beside(request, *direction, request.gap + extra);
            if !area.holds(&rect) || taken.iter().any(|t| t.meets(&rect)) {
                continue;
            }
            let hidden = avoid.iter().filter(|p| rect.grown(2.0).has(**p)).count();
            if hidden > 0 && !request.needed {
                continue;
            }
            let leader = (request.at, rect.nearest(request.at));
            let crossed = leaders.iter().filter(|other| cross(leader, **other)).count();
            // In a dense heap every place hides points, and nearer is better than a few fewer.
            let cost = hidden.min(8) as f64 + crossed as f64 * 10.0 + ring as f64 * 1.5 + preference as f64 * 0.1;
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, rect));
            }
        }
    }
    best.map(|(_, rect)| rect)
}

/// Directions from the point, the most readable first; y downwards.
const DIRECTIONS: [(f64, f64); 12] = [
    (1.0, 0.0),
    (0.7, -0.7),
    (0.0, -1.0),
    (-0.7, -0.7),
    (0.7, 0.7),
    (0.0, 1.0),
    (-1.0, 0.0),
    (-0.7, 0.7),
    (0.9, -0.4),
    (0.9, 0.4),
    (-0.9, -0.4),
    (-0.9, 0.4),
];

/// The label's rectangle when it lies `distance` from its point in a direction.
fn beside(request: &LabelRequest, (dx, dy): (f64, f64), distance: f64) -> Rect {
    let (w, h) = request.size;
    let (x, y) = (request.at.0 + dx * distance, request.at.1 + dy * distance);
    // The text's corner, side or middle that faces the point lies on (x, y).
    let left = x - w * (0.5 - 0.5 * side(dx));
    let top = y - h * (0.5 - 0.5 * side(dy));
    Rect { sides: [left, top, left + w, top + h] }
}

/// -1, 0 or 1: which side of the point the text lies on; small components count as level.
fn side(component: f64) -> f64 {
    if component.abs() < 0.3 { 0.0 } else { component.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_meet_and_stay_inside() {
        let area = Rect { sides: [0.0, 0.0, 400.0, 300.0] };
        // A tight heap: more labels than fit beside their points.
        let requests: Vec<LabelRequest> = (0..12)
            .map(|i| LabelRequest {
                at: (200.0 + f64::from(i % 4) * 9.0, 150.0 + f64::from(i / 4) * 9.0),
                size: (80.0, 14.0),
                gap: 8.0,
                needed: i % 2 == 0,
            })
            .collect();
        let marks: Vec<Rect> = requests.iter().map(|w| Rect::around(w.at, 5.0)).collect();
        let placed = place(&requests, &marks, &[], area);
        assert!(requests.iter().zip(&placed).all(|(w, p)| !w.needed || p.is_some()), "{placed:?}");
        let found: Vec<Rect> = placed.into_iter().flatten().collect();
        for (i, a) in found.iter().enumerate() {
            assert!(area.holds(a));
            assert!(!marks.iter().any(|m| m.meets(a)));
            assert!(!found[i + 1..].iter().any(|b| b.meets(a)), "{found:?}");
        }
    }

    #[test]
    fn a_lone_label_stands_to_the_right() {
        let request = LabelRequest { at: (50.0, 50.0), size: (30.0, 10.0), gap: 6.0, needed: false };
        let placed = place(&[request], &[], &[], Rect { sides: [0.0, 0.0, 100.0, 100.0] });
        assert_eq!(placed, [Some(Rect { sides: [56.0, 45.0, 86.0, 55.0] })]);
    }
}
