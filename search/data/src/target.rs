//! What a sample is labelled with.

/// The label of one sample. A geometric transform must act on it as it acts on the image; a class stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The index of a class.
    Class(u32),
}

impl Target {
    /// The class of a whole image, where that is what the sample has.
    pub fn class(&self) -> Option<u32> {
        match self {
            Target::Class(class) => Some(*class),
        }
    }
}
