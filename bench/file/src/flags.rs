//! Model files on the command line: a flag for each format, and what is said of their inputs.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches, value_parser};

use crate::{FORMATS, Format, InputSetting, ModelFile};

/// Files by `--FORMAT FILE`, with `--size`, `--dim` and `--range`.
#[derive(Clone, Debug, Default)]
pub struct FileFlags {
    named: Vec<(&'static dyn Format, PathBuf)>,
    sizes: Vec<(String, Vec<i64>, Option<String>)>,
    dims: Vec<(String, i64)>,
    ranges: Vec<(String, f64, f64)>,
}

/// Files by `--baseline-FORMAT FILE`.
#[derive(Clone, Debug, Default)]
pub struct BaselineFiles {
    named: Vec<(&'static dyn Format, PathBuf)>,
}

impl FileFlags {
    /// Names of the flags that name files.
    pub fn names() -> Vec<&'static str> {
        FORMATS.iter().map(|f| f.name()).collect()
    }

    /// The files.
    pub fn files(&self) -> Vec<ModelFile> {
        self.named.iter().map(|(format, file)| self.complete(ModelFile::new(file.clone(), *format))).collect()
    }

    /// Whether a file was named.
    pub fn any(&self) -> bool {
        !self.named.is_empty()
    }

    /// A file of a config with what the command line says of inputs and axes.
    pub fn complete(&self, mut file: ModelFile) -> ModelFile {
        file.dims.extend(self.dims.iter().cloned());
        let mut of = |name: &str, change: &dyn Fn(&mut InputSetting)| {
            if !file.inputs.iter().any(|i| i.name == name) {
                file.inputs.push(InputSetting { name: name.to_string(), ..InputSetting::default() });
            }
            file.inputs.iter_mut().filter(|i| i.name == name).for_each(change);
        };
        for (name, size, kind) in &self.sizes {
            of(name, &|i| {
                i.size = Some(size.clone());
                i.kind = kind.clone().or(i.kind.take());
            });
        }
        for (name, low, high) in &self.ranges {
            of(name, &|i| (i.low, i.high) = (Some(*low), Some(*high)));
        }
        file
    }
}

impl BaselineFiles {
    /// Names of the flags.
    pub fn names() -> Vec<&'static str> {
        FORMATS.iter().map(|f| f.baseline_flag()).collect()
    }

    /// Whether one was named.
    pub fn any(&self) -> bool {
        !self.named.is_empty()
    }

    /// The older file of each of some files: of their format, in the same order.
    ///
    /// # Errors
    /// When a format has another number of older files.
    pub fn beside(&self, files: &[ModelFile]) -> Result<Vec<Option<PathBuf>>, String> {
        for format in FORMATS {
            let of = |named: &str| named == format.name();
            let old = self.named.iter().filter(|(f, _)| of(f.name())).count();
            let new = files.iter().filter(|f| f.format.as_deref().is_some_and(of)).count();
            if old != 0 && old != new {
                let (flag, name) = (format.baseline_flag(), format.name());
                return Err(format!("--{flag}: found {old} files, expected one for each of {new} of --{name}"));
            }
        }
        let mut left = self.named.clone();
        let take = |file: &ModelFile| {
            let at = left.iter().position(|(f, _)| file.format.as_deref() == Some(f.name()))?;
            Some(left.remove(at).1)
        };
        Ok(files.iter().map(take).collect())
    }
}

fn by_format(command: Command, flag: fn(&dyn Format) -> &'static str, help: fn(&dyn Format) -> String) -> Command {
    FORMATS.iter().fold(command, |command, format| {
        let arg = Arg::new(flag(*format)).long(flag(*format)).value_name("FILE").help(help(*format));
        let arg = arg.value_delimiter(',').action(ArgAction::Append);
        command.arg(arg.value_parser(value_parser!(PathBuf)))
    })
}

fn named(matches: &ArgMatches, flag: fn(&dyn Format) -> &'static str) -> Vec<(&'static dyn Format, PathBuf)> {
    let of = |format: &&'static dyn Format| {
        let format = *format;
        matches.get_many::<PathBuf>(flag(format)).into_iter().flatten().map(move |file| (format, file.clone()))
    };
    FORMATS.iter().flat_map(of).collect()
}

/// `images=1x3x224x224` or `ids=1x128:int64`.
fn size(text: &str) -> Result<(String, Vec<i64>, Option<String>), String> {
    let refuse = || "expected NAME=1x3x224x224 or NAME=1x128:int64".to_string();
    let (name, rest) = text.rsplit_once('=').ok_or_else(refuse)?;
    let (size, kind) = rest.split_once(':').map_or((rest, None), |(size, kind)| (size, Some(kind.to_string())));
    let numbers = size.split('x').filter(|s| !s.is_empty()).map(str::parse::<i64>);
    let numbers: Vec<i64> = numbers.collect::<Result<_, _>>().map_err(|_| refuse())?;
    Ok((name.to_string(), numbers, kind))
}

/// `batch=1`.
fn dim(text: &str) -> Result<(String, i64), String> {
    let refuse = || "expected NAME=NUMBER".to_string();
    let (name, size) = text.rsplit_once('=').ok_or_else(refuse)?;
    Ok((name.to_string(), size.parse().map_err(|_| refuse())?))
}

/// `ids=0:1000`.
fn range(text: &str) -> Result<(String, f64, f64), String> {
    let refuse = || "expected NAME=LOW:HIGH".to_string();
    let (name, range) = text.rsplit_once('=').ok_or_else(refuse)?;
    let (low, high) = range.split_once(':').ok_or_else(refuse)?;
    let number = |text: &str| text.parse().map_err(|_| refuse());
    Ok((name.to_string(), number(low)?, number(high)?))
}

impl clap::Args for FileFlags {
    fn augment_args(command: Command) -> Command {
        let command = by_format(command, |f| f.name(), |f| f.help().to_string());
        let many = |name, value, help| Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append);
        let size = many("size", "NAME=1x3x224x224", "Sizes of an input of the files").value_parser(size);
        let dim = many("dim", "NAME=N", "Size of a dynamic axis of the files").value_parser(dim);
        let range = many("range", "NAME=LOW:HIGH", "Range of the values that an input of the files gets");
        command.args([size, dim, range.value_parser(range_parser())])
    }

    fn augment_args_for_update(command: Command) -> Command {
        FileFlags::augment_args(command)
    }
}

fn range_parser() -> impl clap::builder::TypedValueParser<Value = (String, f64, f64)> {
    range
}

impl FromArgMatches for FileFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<FileFlags, Error> {
        let mut flags = FileFlags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        fn many<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
            matches.get_many::<T>(name).into_iter().flatten().cloned().collect()
        }
        self.named = named(matches, |f| f.name());
        (self.sizes, self.dims, self.ranges) = (many(matches, "size"), many(matches, "dim"), many(matches, "range"));
        Ok(())
    }
}

impl clap::Args for BaselineFiles {
    fn augment_args(command: Command) -> Command {
        by_format(
            command,
            |f| f.baseline_flag(),
            |f| format!("Compare the file of --{} with this one, exactly and in time", f.name()),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        BaselineFiles::augment_args(command)
    }
}

impl FromArgMatches for BaselineFiles {
    fn from_arg_matches(matches: &ArgMatches) -> Result<BaselineFiles, Error> {
        Ok(BaselineFiles { named: named(matches, |f| f.baseline_flag()) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.named = named(matches, |f| f.baseline_flag());
        Ok(())
    }
}
