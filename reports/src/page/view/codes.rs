//! Small whole numbers as text, a fixed number of characters each: what lets 20,000 genomes fit a page.

use serde::Serialize;

/// Characters that JSON and HTML leave as they are.
const ALPHABET: &str = "#$%()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~";

/// A list of numbers below a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::page) struct Codes {
    alphabet: &'static str,
    width: usize,
    text: String,
}

impl Codes {
    /// An empty list of numbers below `limit`.
    pub(in crate::page) fn below(limit: usize) -> Codes {
        let base = ALPHABET.len();
        let mut width = 1;
        while base.saturating_pow(width) < limit {
            width += 1;
        }
        Codes { alphabet: ALPHABET, width: width as usize, text: String::new() }
    }

    /// Appends a number.
    pub(in crate::page) fn push(&mut self, number: usize) {
        let base = ALPHABET.len();
        for place in (0..self.width as u32).rev() {
            let digit = number / base.saturating_pow(place) % base;
            self.text.push(char::from(ALPHABET.as_bytes()[digit]));
        }
    }

    /// Length in bytes.
    pub(in crate::page) fn len(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_characters_as_the_largest_needs() {
        assert!(ALPHABET.is_ascii() && !ALPHABET.contains(['"', '\\', '<', '>', '&', '\'', ' ', '!']));
        let base = ALPHABET.len();
        let mut one = Codes::below(base);
        let mut two = Codes::below(base + 1);
        for n in [0, 1, base - 1] {
            one.push(n);
            two.push(n);
        }
        assert_eq!((one.len(), two.len()), (3, 6));
        assert_eq!((one.text.as_str(), two.text.as_str()), ("#$~", "###$#~"));
        two.push(base);
        assert!(two.text.ends_with("$#"));
    }
}
