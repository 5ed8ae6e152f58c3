//! `relinkd letter templates`: writes the built-in templates into a folder, for the operator to begin their own with.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{configuration, language};
use crate::cli::client::{Failure, finish};
use crate::cli::print::written;
use crate::domain::language::Language;
use crate::mail::starter::{self, File};

/// Arguments of `relinkd letter templates`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Into which folder. It is made if it is not there; nothing in it is overwritten.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The sentences of this language; may be said several times. Without it those of the languages that are on.
    #[arg(long, value_name = "TAG", value_parser = language)]
    language: Vec<Language>,
}

/// Writes them. Ends with 1 if a file is there already or cannot be written, 2 if the configuration is not valid.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    finish(begin(config, args))
}

fn begin(config: &Path, args: &Args) -> Result<(), Failure> {
    let config = configuration(config).map_err(Failure::Usage)?;
    let on = config.map_or_else(|| Language::BY_DEFAULT.to_vec(), |config| config.mail.languages);
    let mut languages = args.language.clone();
    languages.sort_unstable_by_key(|language| language.tag());
    languages.dedup();
    let languages = if languages.is_empty() { on.clone() } else { languages };
    let paths = write(&args.into, &starter::files(&languages))?;
    written(paths.iter().try_for_each(|path| writeln!(std::io::stdout(), "{}", path.display())))?;
    for language in languages.iter().filter(|language| !on.contains(language)) {
        let tag = language.tag();
        eprintln!("{tag}.toml is a template only once \"{tag}\" is in [mail] languages: until then it is a fault.");
    }
    Ok(())
}

/// Writes all files or, where one of them is there already, none. Answers where they are.
fn write(folder: &Path, files: &[File]) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |path: &Path, error: std::io::Error| Failure::Failed(format!("{} cannot be written: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.name)).collect();
    let there: Vec<String> =
        paths.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()).collect();
    if !there.is_empty() {
        let (there, verb) = (there.join(", "), if there.len() == 1 { "is" } else { "are" });
        return Err(Failure::Failed(format!(
            "{there} {verb} there already, so nothing was written: name another folder"
        )));
    }
    for (path, file) in paths.iter().zip(files) {
        // Also what appeared a moment ago is not overwritten.
        let opened = OpenOptions::new().write(true).create_new(true).open(path);
        opened.and_then(|mut to| to.write_all(file.text.as_bytes())).map_err(|error| failed(path, error))?;
    }
    Ok(paths)
}
