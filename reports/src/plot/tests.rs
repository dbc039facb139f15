//! Tests over layout and painting together: no text overlaps, nothing leaves the picture.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// A front of `n` points, three named variants close together, and a cloud below.
fn chart(n: usize) -> Chart {
    let point = |x: f64, y: f64, label: Option<String>| Point { label, ..Point::at(x, y) };
    let cloud = (0..n * 4).map(|i| point(5.0 + (i * 7 % 83) as f64 * 0.3, 55.0 + (i * 5 % 61) as f64 * 0.1, None));
    let front = (0..n).map(|i| (4.0 + i as f64 * 0.9, 80.0 - 20.0 / (1.0 + i as f64), format!("#{i}")));
    let names = ["mobilevit_xxs", "mobilevit_xs", "a name that is far longer than any plot can hold <b>"];
    let variants = names.iter().enumerate().map(|(i, l)| point(6.0 + i as f64 * 0.1, 72.0, Some((*l).to_owned())));
    Chart {
        title: "a run: top-1 against latency".to_owned(),
        x_label: "Median latency (ms)".to_owned(),
        y_label: "Top-1 on the search-validation split, inherited weights (%)".to_owned(),
        caption: vec!["Where the numbers come from, in a sentence that is long enough to be wrapped. ".repeat(3)],
        series: vec![
            Series::new("candidates", Mark::Small, CANDIDATE, cloud.collect()),
            Series::new("front", Mark::Dot, FRONT, front.map(|(x, y, l)| point(x, y, Some(l))).collect())
                .joined(LineStyle::StepsPost),
            Series::new("published variants under this protocol", Mark::Diamond, VARIANT, variants.collect()),
        ],
        ..Chart::default()
    }
}

/// The rectangle of each text: left, top, right, bottom.
fn texts(picture: &Picture) -> Vec<([f64; 4], String)> {
    let rect = |shape: &Shape| match shape {
        Shape::Text { at: (x, y), anchor, size, bold, text, .. } => {
            let width = theme::text_width(text, *size, *bold);
            let left = match anchor {
                Anchor::Left => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::Right => x - width,
            };
            // Capitals and descenders, not the whole line.
            Some(([left, y - size * 0.75, left + width, y + size * 0.2], text.clone()))
        }
        _ => None,
    };
    picture.shapes.iter().filter_map(rect).collect()
}

#[test]
fn no_text_meets_another_or_leaves_the_page() {
    for (width, height, placement) in
        [(960, 640, Placement::Standalone), (960, 500, Placement::Embedded), (400, 430, Placement::Embedded)]
    {
        for n in [1, 2, 12, 60] {
            let picture = picture(&chart(n), Size { width, height }, placement);
            let all = texts(&picture);
            for (i, (a, text)) in all.iter().enumerate() {
                assert!(a[0] >= 0.0 && a[1] >= 0.0, "{text} at {a:?}");
                assert!(a[2] <= f64::from(width) && a[3] <= f64::from(height), "{text} at {a:?}");
                for (b, other) in &all[i + 1..] {
                    let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
                    assert!(apart, "{width} px, {n}: {text:?} {a:?} meets {other:?} {b:?}");
                }
            }
            assert!(all.iter().any(|(_, text)| text == "mobilevit_xxs"), "variants are always named");
        }
    }
}

#[test]
fn svg_says_its_size_and_title_and_holds_no_markup_from_names() {
    let picture = picture(&chart(3), Size { width: 960, height: 640 }, Placement::Standalone);
    let drawn = svg(&picture, "a <b> & c").unwrap();
    assert!(drawn.starts_with("<svg width=\"960\" height=\"640\" viewBox=\"0 0 3840 2560\""));
    assert!(drawn.contains("<title>a &lt;b&gt; &amp; c</title>") && drawn.ends_with("</svg>\n"));
    assert!(!drawn.contains("<b>"));
}

#[test]
fn many_equal_points_are_drawn_once() {
    let mut many = chart(2);
    many.series[0].points = vec![Point::at(5.0, 60.0); 10_000];
    let picture = picture(&many, Size { width: 960, height: 640 }, Placement::Standalone);
    assert!(picture.shapes.len() < 200, "{}", picture.shapes.len());
}

#[test]
fn empty_and_single_point_charts_have_a_layout() {
    let mut one = chart(0);
    one.series[2].points.clear();
    assert!(one.is_empty());
    picture(&one, Size { width: 400, height: 430 }, Placement::Embedded);
    one.series[1].points = vec![Point { label: Some("#0".to_owned()), ..Point::at(3.0, 50.0) }];
    let all = texts(&picture(&one, Size { width: 400, height: 430 }, Placement::Embedded));
    assert!(all.iter().any(|(_, t)| t == "#0"));
}

#[test]
fn control_characters_never_reach_the_svg() {
    let mut odd = chart(1);
    odd.title = "a\u{0}b".to_owned();
    odd.series[2].points[0].label = Some("c\u{1b}d".to_owned());
    let drawn = svg(&picture(&odd, Size { width: 960, height: 640 }, Placement::Standalone), &odd.title).unwrap();
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn bitmaps_have_the_asked_scale() {
    let dir = tempfile::tempdir().unwrap();
    let drawn = bitmap(&picture(&chart(5), Size { width: 96, height: 64 }, Placement::Embedded)).unwrap();
    for scale in [1, 2, 4] {
        let path = dir.path().join("a.png");
        drawn.save(&path, scale).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[1..4], *b"PNG");
        // Width and height stand in the first chunk.
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20)), (96 * scale, 64 * scale));
    }
}

#[test]
fn every_colour_has_its_dark_counterpart_in_the_page() {
    let style = include_str!("../page/style.css");
    let marks = [theme::PAPER, theme::INK, theme::MUTED, CANDIDATE, FRONT, VARIANT, RETRAINED];
    let lines = [theme::MUTED, theme::GRID, FRONT, VARIANT, RETRAINED];
    let found = |what: &str, c: &Color| style.contains(&format!("svg [{what}=\"#{:02X}{:02X}{:02X}\"]", c.0, c.1, c.2));
    assert!(marks.iter().all(|c| found("fill", c)) && lines.iter().all(|c| found("stroke", c)));
}

#[test]
fn the_embedded_fonts_are_fonts_and_have_our_signs() {
    assert!(theme::fonts());
    let missing = theme::text_width("\u{e000}", 100.0, false);
    for c in "–…×−≤é#µ".chars() {
        assert!(theme::text_width(&c.to_string(), 100.0, false) != missing, "{c}");
    }
    let (narrow, wide) = (theme::text_width("iii", 12.0, false), theme::text_width("MMM", 12.0, true));
    assert!(narrow > 5.0 && wide > 2.0 * narrow);
}

#[test]
fn wrapped_lines_are_even_and_fit() {
    let text =
        "Top-1 on 5,000 images held out of the training set, with weights inherited from the supernet, and so on";
    let lines = theme::wrap(text, 12.0, 400.0);
    let widths: Vec<f64> = lines.iter().map(|l| theme::text_width(l, 12.0, false)).collect();
    assert!(lines.len() > 1 && widths.iter().all(|w| *w <= 400.0), "{lines:?}");
    assert!(widths.last().unwrap() > &150.0, "no word alone on the last line: {lines:?}");
    assert_eq!(lines.join(" "), text);
    assert!(theme::wrap("", 12.0, 400.0).is_empty());
}
