//! A letter of every kind with invented facts: for previews, for the test letter, and to try out an operator's templates
//! before a user sees them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::letter::{Brand, COLOUR, Letter, Message, Occasion, Passage, Templates};
use super::lint::{self, Part};
use super::words::{TemplateFault, sentence_name};
use crate::domain::language::Language;

/// The kinds of letters, by name.
pub const KINDS: [&str; 17] = [
    "login_required",
    "login_required_last",
    "consent_ends",
    "consent_ends_undated",
    "bank_moves",
    "bank_moves_undated",
    "connection_ends",
    "connection_ends_undated",
    "new_accounts",
    "access_withdrawn",
    "works_again",
    "several",
    "two_work_again",
    "fresh_link",
    "fresh_link_several",
    "bank_unknown",
    "long_names",
];

/// What stands in a link in the place of a token, where a sample leads to a real host. Tokens have two halves, so this is
/// none: the page behind it says that the link no longer works.
pub const DEAD_TOKEN: &str = "only-a-sample";

const PLATYPUS: Option<&str> = Some("First Platypus Bank");
const WOMBAT: Option<&str> = Some("Bank of Wombat");

/// An invented brand, for whoever has no configuration.
#[must_use]
pub fn brand() -> Brand {
    Brand {
        name: "Acorn Budget".to_owned(),
        url: "https://acorn.example/".to_owned(),
        support_email: "help@acorn.example".to_owned(),
        postal_address: Some("1 Oak Street, Springfield".to_owned()),
        colour: COLOUR,
        logo: None,
    }
}

/// The letter of a kind; nothing if there is no such kind.
#[must_use]
pub fn letter(kind: &str, brand: Brand, language: Language) -> Option<Letter> {
    let mut letter = Letter {
        brand,
        occasion: if kind.starts_with("fresh_link") { Occasion::FreshLink } else { Occasion::Due },
        recipient_name: Some("Robin Example".to_owned()),
        language,
        time_zone: TimeZone::UTC,
        passages: passages(kind)?,
        repair_url: "https://links.acorn.example/repair/3Q9xk2.Zt1v8Rf0aYd5mW7uJcN4bE6hLgPqSsXo".to_owned(),
        stop_url: "https://links.acorn.example/unsubscribe/3Q9xk2.Kp8n5Tq2rVb7yE1wGzM4cU9fHdLjSaXi".to_owned(),
    };
    if kind == "bank_unknown" {
        letter.recipient_name = None;
        letter.brand.postal_address = None;
    }
    Some(letter)
}

fn passages(kind: &str) -> Option<Vec<Passage>> {
    let on: Option<Timestamp> = Some("2026-11-30T09:00:00Z".parse().expect("a time"));
    let said = |list: &[(Option<&str>, Message)]| {
        list.iter().map(|(bank, message)| Passage { bank: bank.map(str::to_owned), message: *message }).collect()
    };
    let one = |message| Some(said(&[(PLATYPUS, message)]));
    match kind {
        "login_required" => one(Message::LoginRequired),
        "login_required_last" => one(Message::LoginRequiredLast),
        "consent_ends" => one(Message::ConsentEnds { on }),
        "consent_ends_undated" => one(Message::ConsentEnds { on: None }),
        "bank_moves" => one(Message::BankMoves { on }),
        "bank_moves_undated" => one(Message::BankMoves { on: None }),
        "connection_ends" => one(Message::ConnectionEnds { on }),
        "connection_ends_undated" => one(Message::ConnectionEnds { on: None }),
        "new_accounts" => one(Message::NewAccounts),
        "access_withdrawn" => one(Message::AccessWithdrawn),
        "works_again" => one(Message::WorksAgain),
        "fresh_link" => one(Message::LoginRequired),
        "fresh_link_several" => Some(said(&[
            (PLATYPUS, Message::LoginRequired),
            (WOMBAT, Message::ConsentEnds { on }),
            (None, Message::NewAccounts),
        ])),
        "bank_unknown" => Some(said(&[(None, Message::LoginRequired)])),
        "long_names" => Some(said(&[(
            Some("The Very Old Savings and Loan Association of Platypus County"),
            Message::ConsentEnds { on },
        )])),
        "two_work_again" => Some(said(&[(PLATYPUS, Message::WorksAgain), (WOMBAT, Message::WorksAgain)])),
        "several" => Some(said(&[
            (PLATYPUS, Message::LoginRequired),
            (Some("Marsupial Trust"), Message::LoginRequiredLast),
            (WOMBAT, Message::ConsentEnds { on }),
            (Some("Tern & Gull Savings"), Message::BankMoves { on: None }),
            (None, Message::ConnectionEnds { on }),
            (Some("Heron Credit Union"), Message::NewAccounts),
            (Some("Kestrel Bank"), Message::AccessWithdrawn),
            (Some("Lark Bank"), Message::WorksAgain),
        ])),
        _ => None,
    }
}

/// Tries the templates out: every kind of letter in these languages, written by this brand, is rendered and held to the
/// rules of [`lint`]. Each fault names the operator's file that is to blame.
///
/// # Errors
/// Every fault, each once.
pub fn check(templates: &Templates, brand: &Brand, languages: &[Language]) -> Result<(), Vec<TemplateFault>> {
    let mut faults = BTreeSet::new();
    for language in languages {
        for kind in KINDS {
            let letter = letter(kind, brand.clone(), *language).expect("it is in the list");
            match letter.render(templates) {
                Ok(rendered) => faults.extend(lint::breaches(&letter, &rendered).into_iter().map(|breach| {
                    let (file, line) = blame(templates, breach.part, *language, &letter);
                    TemplateFault { file, line, problem: breach.to_string() }
                })),
                Err(error) => drop(faults.insert(error.fault(templates))),
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().collect()) }
}

/// Where to look for what a whole letter does wrong: in the layout of the part or the subject's sentence, if they are the
/// operator's, else in the operator's words of the language.
fn blame(templates: &Templates, part: Part, language: Language, letter: &Letter) -> (String, Option<usize>) {
    let own = match part {
        Part::Subject => sentence_name(language, letter.subject_key()),
        Part::Text => "letter.txt".to_owned(),
        Part::Html => "letter.html".to_owned(),
    };
    if let Some((file, line)) = templates.place(&own) {
        // A rule about the whole layout is broken in none of its lines.
        return (file.to_owned(), (part == Part::Subject).then_some(line));
    }
    let words = templates.words_of(language).unwrap_or("letter");
    (words.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The faults of a folder with these files.
    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let languages = [Language::English, Language::Spanish];
        let found = Templates::load(&languages, Some(folder.path()))
            .and_then(|templates| check(&templates, &brand(), &languages))
            .err()
            .unwrap_or_default();
        let base = format!("{}/", folder.path().display());
        found.iter().map(|fault| fault.to_string().replace(&base, "")).collect()
    }

    #[test]
    fn every_kind_of_the_list_has_a_letter() {
        for kind in KINDS {
            assert!(letter(kind, brand(), Language::English).is_some(), "{kind}");
        }
        assert!(letter("love", brand(), Language::English).is_none());
    }

    #[test]
    fn good_templates_pass_and_are_used() {
        let html = include_str!("layout/letter.html").replace("<h1", "<p>{{ app }} says:</p><h1");
        let files = [
            ("en.toml", "[greeting]\nnamed = \"Dear {{ name }},\""),
            ("letter.html", html.as_str()),
            ("letter.txt", include_str!("layout/letter.txt")),
        ];
        assert_eq!(faults(&files), [""; 0]);
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let templates = Templates::load(&[Language::English], Some(folder.path())).expect("good templates");
        let letter = letter("several", brand(), Language::English).expect("a kind");
        let rendered = letter.render(&templates).expect("a letter");
        assert!(rendered.text.contains("Dear Robin Example,") && rendered.html.contains("Acorn Budget says:"));
    }

    #[test]
    fn a_fault_names_file_and_line_and_what_is_wrong() {
        let cases: [(&str, &str, &str); 9] = [
            ("en.toml", "\n[greeting]\nnamed = \"Dear {{ nam }},\"", "en.toml:3: undefined value"),
            ("en.toml", "[check]\ntitle = \"{{ app\"", "en.toml:2: syntax error"),
            (
                "es.toml",
                "[ends]\nsubject = \"Renueve su conexión con {{ bank }} cuanto antes, por favor\"",
                "es.toml:2: the subject ",
            ),
            ("en.toml", "[calm]\nsafe = \"See https://evil.example/x\"", "en.toml: the text part has another address"),
            ("letter.txt", "Hello\n\n{{ nothing }}", "letter.txt:3: undefined value"),
            ("letter.txt", "{% for x in y %}", "letter.txt:1: syntax error"),
            ("letter.html", "<html lang=\"{{ lang }}\">\n{{ app|safe }}", "letter.html:2: unknown filter"),
            ("letter.html", "<html lang=\"{{ lang }}\">", "letter.html: the HTML part has no link to the repair link"),
            ("letter.html", "{% include \"letter.txt\" %}", "letter.html:1: template not found"),
        ];
        for (file, text, expected) in cases {
            let faults = faults(&[(file, text)]);
            assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{file} {text:?}: {faults:#?}");
        }
    }
}
