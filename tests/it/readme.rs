//! What the README says is so: its configuration is valid, and the addresses that it names exist.

use std::fs;
use std::path::Path;

use relinkd::config;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README")
}

/// The text between the first fence of a kind and its end.
fn block(text: &str, kind: &str) -> String {
    let (_, rest) = text.split_once(&format!("```{kind}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_configuration_in_the_readme_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    for (name, content) in [("plaid_secret", "a-secret"), ("smtp_password", "a-password"), ("data_key", data_key)] {
        fs::write(folder.path().join(name), content).expect("a file");
    }
    let text = block(&readme(), "toml").replace('…', &"0a".repeat(32));
    let config = config::from_text(&text, "README.md", std::iter::empty(), folder.path());
    let config = config.unwrap_or_else(|faults| panic!("{faults}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn every_address_in_the_readme_is_in_the_router() {
    let routes: String = ["src/web/mod.rs", "src/web/api/mod.rs"]
        .map(|file| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file"))
        .concat();
    let readme = readme();
    let named: Vec<&str> = readme
        .split(['`', ' '])
        .filter(|word| word.starts_with("/v1/") || *word == "/healthz" || *word == "/readyz")
        .map(|word| word.split('?').next().unwrap_or(word))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for address in named {
        assert!(routes.contains(&format!("\"{address}\"")), "{address} is in the README and nowhere else");
    }
}
