//! The operator's own templates: what lies in `[mail] templates_dir`, read once at start.
//!
//! `letter.html` and `letter.txt` replace a whole layout; `en.toml` and its like replace single sentences of a language, and
//! the others stay as they are built in. Whatever else lies there is a fault: a file of a wrong name would do nothing, and
//! nobody would notice.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::words::{TemplateFault, keys_of_english};
use crate::domain::language::Language;

/// The largest template, in bytes. A letter's HTML is below 20 KB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The tables of a language's words that are its grammar, and no sentences.
pub(super) const GRAMMAR: [&str; 2] = ["date", "bank"];

/// A template of the operator's.
pub(super) struct Override {
    pub(super) what: What,
    pub(super) file: String,
    /// Where it begins in the file, from 1.
    pub(super) line: usize,
    pub(super) source: String,
}

/// What a template stands for.
pub(super) enum What {
    Html,
    Text,
    Sentence(Language, String),
}

/// One sentence of a language.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) line: usize,
}

/// A fault within a text that has no name yet.
#[derive(Debug)]
pub(super) struct Unnamed {
    line: usize,
    problem: String,
}

impl Unnamed {
    pub(super) fn within(self, file: &str) -> TemplateFault {
        TemplateFault { file: file.to_owned(), line: Some(self.line), problem: self.problem }
    }
}

/// All templates of a folder, and all that is wrong with it.
pub(super) fn read(folder: &Path, languages: &[Language]) -> (Vec<Override>, Vec<TemplateFault>) {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    let unreadable = |file: &Path, error: &dyn std::error::Error| TemplateFault {
        file: file.display().to_string(),
        line: None,
        problem: format!("cannot be read: {error}"),
    };
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return (found, vec![unreadable(folder, &error)]),
    };
    let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let path = folder.join(name);
        let file = path.display().to_string();
        match text_of(&path) {
            Ok(source) => match templates_of(name, &file, source, languages) {
                Ok(templates) => found.extend(templates),
                Err(wrong) => faults.extend(wrong),
            },
            Err(error) => faults.push(unreadable(&path, &error)),
        }
    }
    (found, faults)
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {} KiB", FILE_BYTES_MAX / 1024)));
    }
    Ok(text)
}

fn templates_of(
    name: &str,
    file: &str,
    source: String,
    languages: &[Language],
) -> Result<Vec<Override>, Vec<TemplateFault>> {
    let fault = |problem: String| vec![TemplateFault { file: file.to_owned(), line: None, problem }];
    let whole = |what| vec![Override { what, file: file.to_owned(), line: 1, source: source.clone() }];
    let language = match name {
        "letter.html" => return Ok(whole(What::Html)),
        "letter.txt" => return Ok(whole(What::Text)),
        _ => {
            name.strip_suffix(".toml").and_then(|tag| Language::ALL.into_iter().find(|language| language.tag() == tag))
        }
    };
    let Some(language) = language else {
        let tags: Vec<String> = languages.iter().map(|language| format!("{}.toml", language.tag())).collect();
        return Err(fault(format!("is no template; known are letter.html, letter.txt, {}", tags.join(", "))));
    };
    if !languages.contains(&language) {
        return Err(fault(format!("is for a language that is off; add \"{}\" to [mail] languages", language.tag())));
    }
    let sentences = sentences(&source).map_err(|wrong| vec![wrong.within(file)])?;
    let unknown = sentences.iter().filter(|sentence| !keys_of_english().contains(sentence.key.as_str()));
    let unknown: Vec<TemplateFault> = unknown.map(|sentence| unknown_key(sentence).within(file)).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let replace = |sentence: Sentence| Override {
        what: What::Sentence(language, sentence.key),
        file: file.to_owned(),
        line: sentence.line,
        source: sentence.text,
    };
    Ok(sentences.into_iter().map(replace).collect())
}

fn unknown_key(sentence: &Sentence) -> Unnamed {
    let key = &sentence.key;
    let near = keys_of_english().iter().min_by_key(|known| strsim::osa_distance(known, key));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Unnamed { line: sentence.line, problem: format!("{key} is no sentence of a letter{hint}") }
}

/// All sentences of a language with their dotted keys. Its grammar is none.
pub(super) fn sentences(words: &str) -> Result<Vec<Sentence>, Unnamed> {
    let line = |at: usize| words.get(..at).unwrap_or(words).matches('\n').count() + 1;
    let root = DeTable::parse(words).map_err(|error| Unnamed {
        line: line(error.span().map_or(0, |span| span.start)),
        problem: error.message().to_owned(),
    })?;
    let mut open: Vec<(String, &Spanned<DeValue<'_>>)> =
        root.get_ref().iter().map(|(key, value)| (key.get_ref().to_string(), value)).collect();
    open.retain(|(key, _)| !GRAMMAR.contains(&key.as_str()));
    let mut found = Vec::new();
    while let Some((key, value)) = open.pop() {
        match value.get_ref() {
            DeValue::String(text) => {
                found.push(Sentence { key, text: text.to_string(), line: line(value.span().start) });
            }
            DeValue::Table(table) => {
                open.extend(table.iter().map(|(name, value)| (format!("{key}.{}", name.get_ref()), value)));
            }
            DeValue::Array(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {
                return Err(Unnamed { line: line(value.span().start), problem: format!("{key} is no text in quotes") });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let (_, faults) = read(folder.path(), &[Language::English, Language::French]);
        let base = format!("{}/", folder.path().display());
        faults.iter().map(|fault| fault.to_string().replace(&base, "")).collect()
    }

    #[test]
    fn whatever_is_no_template_is_told() {
        let files = [
            (".hidden", "x"),
            ("de.toml", ""),
            ("en.toml", "\n[login_required]\ntitel = \"x\"\n[greeting]\nnamed = \"Dear {{ name }}\""),
            ("fr.toml", "[check]\ntitle = 1"),
            ("letter.htm", ""),
            ("letter.html", "x"),
        ];
        assert_eq!(
            faults(&files),
            [
                "de.toml: is for a language that is off; add \"de\" to [mail] languages",
                "en.toml:3: login_required.titel is no sentence of a letter; did you mean login_required.title?",
                "fr.toml:2: check.title is no text in quotes",
                "letter.htm: is no template; known are letter.html, letter.txt, en.toml, fr.toml",
            ]
        );
        assert!(faults(&[("en.toml", "[date]\nfull = \"x\"\n[check")])[0].starts_with("en.toml:3: "));
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_fault() {
        let (found, faults) = read(Path::new("/nowhere/templates"), &Language::ALL);
        assert!(found.is_empty());
        assert!(faults[0].to_string().starts_with("/nowhere/templates: cannot be read: "), "{faults:?}");
    }

    #[test]
    fn a_template_that_is_too_large_is_not_read() {
        let large = "x".repeat(usize::try_from(FILE_BYTES_MAX).expect("small") + 1);
        assert_eq!(faults(&[("letter.txt", &large)]), ["letter.txt: cannot be read: it is larger than 256 KiB"]);
    }
}
