//! Small integers as text with a fixed number of characters each, so that 20,000 genomes fit in a page.

use serde::Serialize;

/// Characters that need no escape in JSON or HTML.
const ALPHABET: &str = "#$%()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~";

/// Integers below a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PackedInts {
    alphabet: &'static str,
    width: usize,
    text: String,
}

impl PackedInts {
    /// An empty list of integers below `limit`.
    pub(super) fn below(limit: usize) -> PackedInts {
        let base = ALPHABET.len();
        let mut width = 1;
        while base.saturating_pow(width) < limit {
            width += 1;
        }
        PackedInts { alphabet: ALPHABET, width: width as usize, text: String::new() }
    }

    /// Appends a number.
    pub(super) fn push(&mut self, number: usize) {
        let base = ALPHABET.len();
        for place in (0..self.width as u32).rev() {
            let digit = number / base.saturating_pow(place) % base;
            self.text.push(char::from(ALPHABET.as_bytes()[digit]));
        }
    }

    /// Characters of each number.
    pub(super) fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_characters_as_the_largest_needs() {
        assert!(ALPHABET.is_ascii() && !ALPHABET.contains(['"', '\\', '<', '>', '&', '\'', ' ', '!']));
        let base = ALPHABET.len();
        let mut one = PackedInts::below(base);
        let mut two = PackedInts::below(base + 1);
        for n in [0, 1, base - 1] {
            one.push(n);
            two.push(n);
        }
        assert_eq!((one.width(), two.width()), (1, 2));
        assert_eq!((one.text.as_str(), two.text.as_str()), ("#$~", "###$#~"));
        two.push(base);
        assert!(two.text.ends_with("$#"));
    }
}
