//! Every kind of letter in every language, in the eyes of a browser and of a spam filter.
//!
//! What is missing is skipped, aloud: with `TEST_REQUIRE_BROWSER` or `TEST_REQUIRE_SPAMASSASSIN` set it fails.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use relinkd::domain::colour::Colour;
use relinkd::domain::ids::LetterId;
use relinkd::domain::language::Language;
use relinkd::mail::letter::{Brand, Letter, Templates};
use relinkd::mail::message::{Addressing, build};
use relinkd::mail::sample;
use serde_json::json;

use crate::browser::{tools, variable, walk};

/// The most points that a letter may have; at 5 a filter of the usual settings calls it spam.
const SPAM_SCORE_MAX: f64 = 0.5;

fn templates() -> Templates {
    Templates::load(&Language::ALL, None).expect("the words of a release")
}

/// Every kind in these languages, by name. Brands of several colours take turns.
fn letters(languages: &[Language]) -> Vec<(String, Letter)> {
    let colours = ["#1f4fbf", "#0a7d4b", "#000000", "#b3261e", "#8a7400"];
    let mut letters = Vec::new();
    for language in languages {
        for kind in sample::KINDS {
            let colour = colours[letters.len() % colours.len()];
            let brand = Brand { colour: Colour::parse(colour).expect("a colour"), ..sample::brand() };
            let letter = sample::letter(kind, brand, *language).expect("a kind");
            letters.push((format!("{kind}.{}", language.tag()), letter));
        }
    }
    letters
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_in_every_language_can_be_read_by_everybody() {
    let Some(tools) = tools() else { return };
    let templates = templates();
    let letters = letters(&Language::ALL);
    let count = letters.len();
    let shown = letters.into_iter().map(|(name, letter)| {
        let rendered = letter.render(&templates).expect("a letter");
        json!({ "name": name, "html": rendered.html })
    });
    let walked = walk(&tools, "paper", json!({ "letters": shown.collect::<Vec<_>>() })).await;
    assert_eq!((walked.steps.len(), walked.looks), (count + 1, 2 * count as u64));
}

/// All letters as one mbox, so that the filter reads its rules once.
fn mbox(letters: &[(String, Letter)]) -> Vec<u8> {
    let templates = templates();
    let mut mbox = Vec::new();
    for (number, (_, letter)) in letters.iter().enumerate() {
        let rendered = letter.render(&templates).expect("a letter");
        let addressing = Addressing {
            return_path: None,
            letter: LetterId(uuid::Uuid::from_u128(number as u128 + 1)),
            earlier: &[],
            date: "2026-11-23T09:00:00Z".parse().expect("a time"),
            from_name: &letter.brand.name,
            from_address: "hello@acorn.example",
            reply_to: Some(&letter.brand.support_email),
            to_name: letter.recipient_name.as_deref(),
            to_address: "user-1@example.com",
            language: letter.language,
            stop_url: &letter.stop_url,
            logo: None,
        };
        let message = build(&rendered, &addressing).expect("a message").formatted();
        let lines = String::from_utf8(message).expect("all ASCII").replace("\r\n", "\n");
        mbox.extend(b"From hello@acorn.example Mon Nov 23 09:00:00 2026\n");
        mbox.extend(lines.replace("\nFrom ", "\n>From ").as_bytes());
        mbox.extend(b"\n\n");
    }
    mbox
}

/// What the filter, with its local rules only, says about each letter by its number: the points, and which rules gave them.
/// It answers in an order of its own.
fn filter(mbox: &[u8]) -> BTreeMap<usize, (f64, String)> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(mbox).expect("written");
    let ran =
        Command::new("spamassassin").args(["--local", "--mbox"]).arg(file.path()).stderr(Stdio::inherit()).output();
    let output = ran.expect("it runs");
    assert!(output.status.success(), "spamassassin ends with {}", output.status);
    let said = String::from_utf8_lossy(&output.stdout).replace("\n\t", " ");
    let score = |line: &str| line.split_once("score=")?.1.split(' ').next()?.parse().ok();
    let mut status = "";
    let mut found = BTreeMap::new();
    for line in said.lines() {
        status = line.strip_prefix("X-Spam-Status: ").unwrap_or(status);
        if let Some(id) = line.strip_prefix("Message-ID: <00000000-0000-0000-0000-") {
            let number =
                id.split('@').next().and_then(|hex| usize::from_str_radix(hex, 16).ok()).expect("an id of ours");
            found.insert(number - 1, (score(status).expect("a score"), status.to_owned()));
        }
    }
    found
}

#[test]
fn no_letter_looks_like_spam() {
    let is_there =
        Command::new("spamassassin").arg("--version").stdout(Stdio::null()).status().is_ok_and(|ran| ran.success());
    if !is_there {
        assert!(variable("TEST_REQUIRE_SPAMASSASSIN").is_none(), "spamassassin is missing: run .ci/spam-tools");
        return crate::process::say(
            "SKIPPED: the letters before a spam filter (spamassassin missing: run .ci/spam-tools)",
        );
    }
    let letters = letters(&Language::ALL);
    let scores = filter(&mbox(&letters));
    assert_eq!(scores.len(), letters.len(), "the filter looked at each letter");
    let spam: Vec<String> = scores
        .iter()
        .filter(|(_, (score, _))| *score > SPAM_SCORE_MAX)
        .map(|(number, (_, why))| format!("{}: {why}", letters[*number].0))
        .collect();
    assert!(spam.is_empty(), "{}", spam.join("\n"));
}
