//! COCO's text form of run lengths: five bits a character from `0` on, the lowest first, with a sixth where more
//! follow. From the fourth number on it is the difference from the last but one.

use super::rle::{Rle, damaged};
use crate::DenseError;

const BITS: u32 = 5;
const MORE: i64 = 1 << BITS;
const SIGN: i64 = MORE >> 1;
const FIRST: u8 = b'0';

impl Rle {
    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let runs = self.runs();
        for (i, run) in runs.iter().enumerate() {
            let before = if i > 2 { i64::from(runs[i - 2]) } else { 0 };
            let mut rest = i64::from(*run) - before;
            loop {
                let low = rest & (MORE - 1);
                rest >>= BITS;
                let done = rest == if low & SIGN != 0 { -1 } else { 0 };
                text.push(char::from(FIRST + (if done { low } else { low | MORE }) as u8));
                if done {
                    break;
                }
            }
        }
        text
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When it is no such text, or its runs do not cover the mask.
    pub fn from_text(height: usize, width: usize, text: &str) -> Result<Rle, DenseError> {
        let expected = || "COCO's compressed run lengths";
        let mut runs: Vec<u32> = Vec::new();
        let mut bytes = text.bytes();
        while let Some(mut byte) = bytes.next() {
            let (mut number, mut shift) = (0i64, 0);
            loop {
                let code = i64::from(byte) - i64::from(FIRST);
                if !(0..2 * MORE).contains(&code) || shift > 35 {
                    return Err(damaged(format!("the character {:?}", char::from(byte)), expected()));
                }
                number |= (code & (MORE - 1)) << shift;
                shift += BITS;
                if code & MORE == 0 {
                    if code & SIGN != 0 {
                        number |= -1 << shift;
                    }
                    break;
                }
                byte = bytes.next().ok_or_else(|| damaged("a text that breaks off", expected()))?;
            }
            if runs.len() > 2 {
                number += i64::from(runs[runs.len() - 2]);
            }
            let run = u32::try_from(number).map_err(|_| damaged(format!("a run of {number} pixels"), expected()))?;
            runs.push(run);
        }
        Rle::new(height, width, runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for runs in [vec![0, 12], vec![12], vec![1, 2, 3, 1, 1, 4], vec![3, 1, 1, 1, 6]] {
            let mask = Rle::new(4, 3, runs).unwrap();
            assert_eq!(Rle::from_text(4, 3, &mask.to_text()).unwrap(), mask);
        }
        let large = Rle::new(2000, 3000, vec![5_999_000, 17, 900, 83]).unwrap();
        assert_eq!(Rle::from_text(2000, 3000, &large.to_text()).unwrap(), large);
    }

    #[test]
    fn damaged_texts_have_a_message() {
        let said = |text| Rle::from_text(4, 3, text).unwrap_err().to_string();
        assert_eq!(said("1 2"), "mask: found the character ' ', expected COCO's compressed run lengths");
        assert_eq!(said("P"), "mask: found a text that breaks off, expected COCO's compressed run lengths");
        assert_eq!(said("O"), "mask: found a run of -1 pixels, expected COCO's compressed run lengths");
        assert_eq!(said("11"), "mask: found run lengths of 2 pixels, expected 12, those of 3 x 4");
        assert!(said("ooooooooooooooo").contains("the character"));
        assert!(Rle::from_text(4, 3, "é").is_err());
    }
}
