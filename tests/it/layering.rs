//! The layers, read from the source: who may import whom, and that every file says what it is for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may use, beside itself. What is not in the list may use everything.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("store", &["domain"]),
    ("plaid", &["domain"]),
    ("mail", &["domain"]),
    ("engine", &["domain", "config", "store", "plaid", "mail"]),
    ("web", &["domain", "config", "store", "plaid", "mail", "engine"]),
];

/// What only the shell may touch: the pure core has no I/O, no clock, no async and no JSON.
const IMPURE: [&str; 10] = [
    "tokio",
    "std::fs",
    "std::net",
    "std::env",
    "serde_json",
    "rusqlite",
    "reqwest",
    "async fn",
    "SystemTime",
    "Timestamp::now",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&root)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below src").display().to_string();
            (name, fs::read_to_string(&path).expect("a readable file"))
        })
        .collect()
}

/// The code of a file without its comments and without its tests, which may use more.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules that a piece of code names as `crate::module`, also in a group: `crate::{a, b}`.
fn used(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(group) => {
                let group = &group[..group.find('}').unwrap_or(group.len())];
                found.extend(group.split(',').map(|part| word(part.trim())).filter(|part| !part.is_empty()));
            }
        }
    }
    found
}

#[test]
fn every_layer_uses_only_what_lies_below_it() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into();
    let mut wrong = Vec::new();
    for (name, text) in all() {
        let Some((layer, _)) = name.split_once('/') else { continue };
        // A module's tests may use what is beside it.
        let Some(allowed) = may_use.get(layer).filter(|_| !name.contains("tests")) else { continue };
        for used in used(&code(&text)) {
            if used != layer && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name} uses crate::{used}; {layer} may use {allowed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_layer_is_listed() {
    let known: Vec<&str> = MAY_USE.iter().map(|(layer, _)| *layer).chain(["cli", "demo"]).collect();
    for (name, _) in all() {
        if let Some((layer, _)) = name.split_once('/') {
            assert!(known.contains(&layer), "src/{layer} is no known layer: say in MAY_USE what it may use");
        }
    }
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for (name, text) in all().into_iter().filter(|(name, _)| name.starts_with("domain/")) {
        let code = code(&text);
        wrong.extend(IMPURE.iter().filter(|word| code.contains(**word)).map(|word| format!("{name} has {word}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_stays_in_the_store() {
    for (name, text) in all() {
        if !name.starts_with("store/") {
            assert!(!code(&text).contains("rusqlite"), "{name} knows SQL");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    for (name, text) in all() {
        assert!(text.starts_with("//!"), "{name} does not begin with a module doc");
        let lines = text.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines; 500 are enough");
        assert!(!text.contains("#[allow("), "{name}: #[expect(.., reason = \"..\")] instead of allow");
    }
}

#[test]
fn the_reader_of_imports_sees_them() {
    assert_eq!(used("use crate::store::Store;\nlet x = crate::web::y();"), ["store", "web"]);
    assert_eq!(used("use crate::{mail::x, plaid};"), ["mail", "plaid"]);
}
