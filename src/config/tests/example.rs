//! The example file, the list of keys and the defaults agree.

use std::collections::BTreeSet;

use super::super::schema::{API_KEY, SECTIONS};
use super::*;

/// A folder with the secrets that the example file names.
fn example_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("plaid-secret"), "canary\n").expect("written");
    fs::write(folder.path().join("data-key"), format!("{DATA_KEY}\n")).expect("written");
    folder
}

#[test]
fn the_example_file_is_valid_and_shows_the_defaults() {
    let folder = example_folder();
    let load = |text: &str| from_text(text, "config.example.toml", std::iter::empty(), folder.path()).expect("valid");
    let without_default = [
        "control_socket",
        "reply_to",
        "password_file",
        "return_path",
        "postmark_login_file",
        "mailgun_signing_key_file",
        "resend_signing_secret_file",
        "postal_address",
        "colour",
        "logo_file",
        "templates_dir",
        "data_keys_old_file",
        "name",
        "key_file",
        "scope",
    ];
    let uncommented: Vec<_> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#').and_then(|rest| rest.split_once(" = ")) {
            Some((key, value)) if !key.contains(' ') && value != "\"…\"" && !without_default.contains(&key) => {
                &line[1..]
            }
            _ => line,
        })
        .collect();
    let uncommented = uncommented.join("\n");
    assert!(uncommented.lines().filter(|line| !line.starts_with('#')).count() > 40, "{uncommented}");
    let printed = |text: &str| {
        let mut config = load(text);
        config.warnings.clear();
        format!("{config:?}")
    };
    assert_eq!(printed(EXAMPLE), printed(&uncommented));
}

#[test]
fn the_example_file_has_every_key_and_no_other() {
    let mut section = String::new();
    let mut shown = BTreeSet::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            shown.insert(format!("{section}.{key}"));
        }
    }
    let mut known = BTreeSet::new();
    for section in SECTIONS.iter().filter(|section| section.name != "api").chain([&API_KEY]) {
        known.extend(section.names().into_iter().map(|name| format!("{}.{name}", section.name)));
    }
    assert_eq!(shown, known);
}
