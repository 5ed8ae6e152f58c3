//! `relinkd letter preview`: letters on the terminal, in files, or in the browser. Sends nothing.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Theme, configuration, kind, language};
use crate::cli::EXIT_USAGE;
use crate::config::Config;
use crate::domain::language::Language;
use crate::engine::paper;
use crate::mail::letter::{Brand, Letter, Rendered, Templates};
use crate::mail::message::LOGO_ID;
use crate::mail::{lint, sample};

/// Arguments of `relinkd letter preview`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which kind of letter.
    #[arg(long, default_value = "login_required", value_parser = kind)]
    kind: &'static str,
    /// In which language, also one that is off. Without it the configured locale, or English.
    #[arg(long, value_name = "TAG", value_parser = language)]
    language: Option<Language>,
    /// How the HTML part is shown. Without it as the reader's machine likes it.
    #[arg(long)]
    theme: Option<Theme>,
    /// Every kind in every language that is on (or in --language), in both themes.
    #[arg(long)]
    all: bool,
    /// Write the letters into this folder, with an index.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write them into a folder, print its index and open it in the browser, if there is one.
    #[arg(long)]
    open: bool,
}

/// What letters are made of.
struct Paper {
    /// Nothing where an invented brand writes.
    config: Option<Config>,
    languages: Vec<Language>,
    templates: Templates,
}

impl Paper {
    fn brand(&self) -> Brand {
        self.config.as_ref().map_or_else(sample::brand, paper::brand)
    }

    fn letter(&self, kind: &str, language: Language) -> Option<Letter> {
        match &self.config {
            Some(config) => paper::sample(config, kind, language),
            None => sample::letter(kind, sample::brand(), language),
        }
    }
}

/// One letter, as it is shown.
struct Shown {
    name: String,
    rendered: Rendered,
}

/// Shows letters. Ends with 2 if the configuration or its templates are not valid.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    let paper = match read(config, args) {
        Ok(paper) => paper,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match show(&paper, args) {
        Ok(said) => {
            // Nobody listens any more if this fails.
            let _ = io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &Path, args: &Args) -> Result<Paper, String> {
    let config = configuration(path)?;
    if config.is_none() {
        eprintln!("There is no {}: an invented brand writes.", path.display());
    }
    let on = config.as_ref().map_or_else(|| Language::BY_DEFAULT.to_vec(), |config| config.mail.languages.clone());
    let languages = match (args.language, args.all) {
        (Some(language), _) => vec![language],
        (None, true) => on.clone(),
        (None, false) => vec![config.as_ref().map_or(Language::English, |config| config.app.language)],
    };
    let folder = config.as_ref().and_then(|config| config.mail.templates_dir.as_deref());
    let known: Vec<Language> = on.iter().chain(languages.iter().filter(|one| !on.contains(one))).copied().collect();
    let templates = Templates::load(&known, folder)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Ok(Paper { config, languages, templates })
}

fn show(paper: &Paper, args: &Args) -> anyhow::Result<String> {
    let letters = letters(paper, args)?;
    let folder = match (&args.out, args.open) {
        (Some(folder), _) => folder.clone(),
        (None, true) => tempfile::Builder::new().prefix("relinkd-letters-").tempdir()?.keep(),
        (None, false) => {
            let shown = letters.iter().map(|Shown { name, rendered: Rendered { subject, text, .. } }| {
                if letters.len() > 1 {
                    format!("==== {name}\nSubject: {subject}\n\n{text}\n")
                } else {
                    format!("Subject: {subject}\n\n{text}")
                }
            });
            return Ok(shown.collect());
        }
    };
    let index =
        write(&folder, &letters, paper, args).with_context(|| format!("{} cannot be written", folder.display()))?;
    if args.open && !opened(&index) {
        eprintln!("There is no xdg-open here: open the file yourself.");
    }
    Ok(format!("{}\n", index.display()))
}

/// The letters that were asked for. What breaks a rule is told, and shown all the same.
fn letters(paper: &Paper, args: &Args) -> anyhow::Result<Vec<Shown>> {
    let kinds: &[&str] = if args.all { &sample::KINDS } else { &[args.kind] };
    let mut letters = Vec::new();
    for language in &paper.languages {
        for kind in kinds {
            let name = format!("{kind}.{}", language.tag());
            let letter = paper.letter(kind, *language).context("there is no such kind of letter")?;
            let rendered = letter.render(&paper.templates).with_context(|| name.clone())?;
            for breach in lint::breaches(&letter, &rendered) {
                eprintln!("{name}: {breach}");
            }
            letters.push(Shown { name, rendered });
        }
    }
    Ok(letters)
}

/// Writes each letter as text and in each theme, and an index; answers the index.
fn write(folder: &Path, letters: &[Shown], paper: &Paper, args: &Args) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let themes: Vec<Option<Theme>> = match (args.theme, args.all) {
        (Some(theme), _) => vec![Some(theme)],
        (None, true) => Theme::ALL.map(Some).to_vec(),
        (None, false) => vec![None],
    };
    let brand = paper.brand();
    let mut index =
        String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Letters</title>\n<ul>\n");
    for Shown { name, rendered } in letters {
        fs::write(folder.join(format!("{name}.txt")), format!("Subject: {}\n\n{}", rendered.subject, rendered.text))?;
        let _ = write!(index, "<li>{name}: <a href=\"{name}.txt\">text</a>");
        for theme in &themes {
            let html = with_logo(&rendered.html, &brand);
            let (file, label, html) = match theme {
                Some(theme) => (format!("{name}.{}.html", theme.name()), theme.name(), theme.of(&html)),
                None => (format!("{name}.html"), "HTML", html),
            };
            fs::write(folder.join(&file), html)?;
            let _ = write!(index, ", <a href=\"{file}\">{label}</a>");
        }
        index.push('\n');
    }
    let path = folder.join("index.html");
    fs::write(&path, index + "</ul>\n")?;
    Ok(path)
}

/// A browser knows no attachments: the logo goes into the file.
fn with_logo(html: &str, brand: &Brand) -> String {
    let Some(logo) = &brand.logo else { return html.to_owned() };
    let data = format!("data:{};base64,{}", logo.media_type(), BASE64.encode(logo.bytes()));
    html.replace(&format!("cid:{LOGO_ID}"), &data)
}

fn opened(file: &Path) -> bool {
    let opener =
        Command::new("xdg-open").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    opener.is_ok()
}
