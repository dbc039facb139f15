//! Shapes by hand.

use super::*;

fn map(side: u32) -> Value {
    Value::map(Sections::plain(4), side, side)
}

#[test]
fn windows_are_images_until_they_are_joined() {
    let cut = Op::Windows { side: 7 }.out_value(&[&map(16)]).unwrap();
    assert_eq!((cut.hw(), cut.windows, cut.elements()), (Some((7, 7)), 9, 9 * 4 * 49));
    let split = Op::SplitHeads { heads: 2, transposed: false }.out_value(&[&cut]).unwrap();
    assert_eq!((split.windows, split.to_string().as_str()), (9, "2x49x2 of 9 windows"));
    assert!(Op::Windows { side: 7 }.out_value(&[&cut]).is_err());
    assert!(Op::Unwindow { h: 14, w: 14 }.out_value(&[&cut]).is_err());
    assert_eq!(Op::Unwindow { h: 16, w: 16 }.out_value(&[&cut]).unwrap(), map(16));
}

#[test]
fn heads_that_are_transposed_are_the_map_again() {
    let split = Op::SplitHeads { heads: 2, transposed: true }.out_value(&[&map(3)]).unwrap();
    let merged = Op::MergeHeads { h: 3, w: 3, transposed: true }.out_value(&[&split]).unwrap();
    assert_eq!(merged.dims, map(3).dims);
    assert!(Op::MergeHeads { h: 3, w: 3, transposed: false }.out_value(&[&split]).is_err());
}
