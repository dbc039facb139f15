//! FNV-1a, 64 bit: hashes of names and texts that are the same for every compiler, version and machine.

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A hash under construction.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(BASIS)
    }
}

impl Fnv {
    /// The hash of some bytes.
    pub fn hash(bytes: &[u8]) -> u64 {
        let mut fnv = Fnv::default();
        fnv.write(bytes);
        fnv.finish()
    }

    /// Hashes further bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |h, byte| (h ^ u64::from(*byte)).wrapping_mul(PRIME));
    }

    /// The hash of all bytes so far.
    pub fn finish(self) -> u64 {
        self.0
    }
}

/// A digest of lines. Each is ended and mixed, so that text cannot move from one line to the next unnoticed.
pub struct LineDigest(Fnv);

impl LineDigest {
    /// The digest of 64 bits.
    pub const fn first() -> LineDigest {
        LineDigest(Fnv(BASIS))
    }

    /// Another 64 bits, independent of those of [`LineDigest::first`].
    pub const fn second() -> LineDigest {
        LineDigest(Fnv(0x9ae1_6a3b_2f90_404f))
    }

    /// Adds a line.
    pub fn line(&mut self, text: &str) {
        self.0.write(text.as_bytes());
        self.0.write(&[0xff]);
        self.0.0 ^= self.0.0 >> 29;
    }

    /// The digest of all lines.
    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

/// A digest of a text in 32 hex digits, with every byte mixed in.
pub fn text_digest(text: &str) -> String {
    let mixed = |basis: u64, prime: u64| {
        text.bytes().fold(basis, |h, byte| {
            let h = (h ^ u64::from(byte)).wrapping_mul(prime);
            h ^ (h >> 31)
        })
    };
    format!("{:016x}{:016x}", mixed(BASIS, PRIME), mixed(0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        // From the test vectors of FNV's authors.
        assert_eq!(Fnv::hash(b""), BASIS);
        assert_eq!(Fnv::hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn digests_are_those_of_earlier_versions_and_depend_on_where_lines_end() {
        let digest = |lines: &[&str]| {
            let mut digest = LineDigest::first();
            lines.iter().for_each(|l| digest.line(l));
            digest.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        // Journals of earlier runs hold such digests.
        assert_eq!(text_digest("seed: 1\n"), "4b529cff3c0e427668e46a3200d4bc49");
    }
}
