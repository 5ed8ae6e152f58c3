//! `relinkd man`: the manual pages.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::Cli;
use super::client::{Failure, finish};
use super::print::written;

/// Prints the manual page of relinkd; or writes those of all its commands into a folder.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write relinkd.1, relinkd-items.1, relinkd-items-list.1 and so on into this folder, which has to be there.
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<PathBuf>,
}

/// Prints or writes them.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    finish(match &args.into {
        None => written(page(&cli).and_then(|text| io::stdout().write_all(&text))),
        Some(folder) => pages(&cli).and_then(|pages| {
            pages.into_iter().try_for_each(|(name, text)| {
                let path = folder.join(name);
                fs::write(&path, text)
                    .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", path.display())))
            })
        }),
    })
}

/// Every page with the name of its file: that of a command, and those of the commands below it.
fn pages(command: &clap::Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let text = page(command).map_err(|error| Failure::Failed(error.to_string()))?;
    let mut all = vec![(format!("{name}.1"), text)];
    for below in command.get_subcommands() {
        all.extend(pages(below)?);
    }
    Ok(all)
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_names_it() {
        let mut cli = Cli::command().disable_help_subcommand(true);
        cli.build();
        let pages = pages(&cli).expect("pages");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"relinkd.1") && names.contains(&"relinkd-items-list.1"), "{names:?}");
        for (name, text) in &pages {
            let text = String::from_utf8_lossy(text);
            assert!(text.starts_with(".ie") || text.contains(".TH"), "{name}: {text}");
            assert!(text.contains(".SH SYNOPSIS"), "{name}");
        }
    }
}
