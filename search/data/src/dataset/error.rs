//! Data that cannot be used.

use std::path::PathBuf;

use mobilenas_dense::DenseError;

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Files are not there.
    #[error("{folder}: {missing} not found, expected the files {files} (each with or without .gz); `cargo xtask setup` fetches them, or put them there by hand", folder = folder.display())]
    Missing {
        /// Where they should be.
        folder: PathBuf,
        /// The first that is missing.
        missing: String,
        /// All of them.
        files: String,
    },
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: found {found}, expected {expected}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Class folders without a usable image.
    #[error("{}: found {} without a usable image, expected images in each (data.allow_empty_classes: true goes on without them):{}", dir.display(), count(list.len(), "class", "classes"), lines(list))]
    EmptyClasses {
        /// The folder of class folders.
        dir: PathBuf,
        /// Each with what it holds.
        list: Vec<String>,
    },
    /// More damaged images than the config lets pass.
    #[error("{} damaged images among {all}, expected at most {limit} (data.damaged_limit):{}", list.len(), lines(list))]
    TooDamaged {
        /// Each with what is wrong.
        list: Vec<String>,
        /// InMemoryImages in the split.
        all: usize,
        /// How many were let pass.
        limit: usize,
    },
    /// Boxes and class maps.
    #[error(transparent)]
    Dense(#[from] DenseError),
    /// A dataset that has no labels of the kind that a task needs.
    #[error("data.name: found {name}, whose images have {found}; expected a dataset with {expected}: {}", names.join(", "))]
    Labels {
        /// The dataset.
        name: &'static str,
        /// What its images are labelled with.
        found: String,
        /// What was expected.
        expected: &'static str,
        /// The datasets that have that.
        names: Vec<&'static str>,
    },
    /// Threads that read images.
    #[error("threads that read images: {0}")]
    Threads(String),
}

impl DataError {
    pub(super) fn damaged(
        path: impl Into<PathBuf>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> DataError {
        DataError::Damaged { path: path.into(), found: found.into(), expected: expected.into() }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.into();
        move |error| DataError::Io { path, error }
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn lines(list: &[String]) -> String {
    list.iter().map(|l| format!("\n  {l}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_damaged_images_are_listed() {
        let e =
            DataError::TooDamaged { list: vec!["a.jpg: cut short".into(), "b.jpg: empty".into()], all: 900, limit: 1 };
        insta::assert_snapshot!(e, @r"
        2 damaged images among 900, expected at most 1 (data.damaged_limit):
          a.jpg: cut short
          b.jpg: empty
        ");
    }
}
