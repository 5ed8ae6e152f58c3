//! Every kind of letter as a whole, and the rules that each of them has to keep.

use proptest::prelude::*;

use super::*;

/// Words that press people. A letter that asks someone to log in at a bank must have none of them.
const PRESSING: [&str; 24] = [
    " urgent ",
    " urgently ",
    " immediately ",
    " now ",
    " act ",
    " asap ",
    " hurry ",
    " suspend",
    " locked ",
    " blocked ",
    " warning ",
    " alert ",
    " final ",
    " last chance ",
    " expire",
    " verify ",
    " confirm your ",
    " within ",
    " hours ",
    " click ",
    " lose ",
    " failed ",
    " security ",
    " must ",
];

fn brand() -> Brand {
    Brand {
        name: "Acorn Budget".to_owned(),
        url: "https://acorn.example/".to_owned(),
        support_email: "help@acorn.example".to_owned(),
        postal_address: Some("1 Oak Street, Springfield".to_owned()),
    }
}

fn letter(passages: &[(Option<&str>, Message)]) -> Letter {
    Letter {
        brand: brand(),
        recipient_name: Some("Robin Example".to_owned()),
        language: Language::English,
        time_zone: TimeZone::get("Europe/Berlin").expect("a zone"),
        passages: passages
            .iter()
            .map(|(bank, message)| Passage { bank: bank.map(str::to_owned), message: *message })
            .collect(),
        repair_url: "https://links.acorn.example/repair/3Q9xk2.Zt1v8Rf0aYd5mW7uJcN4bE6hLgPqSsXo".to_owned(),
        stop_url: "https://links.acorn.example/unsubscribe/3Q9xk2.Kp8n5Tq2rVb7yE1wGzM4cU9fHdLjSaXi".to_owned(),
    }
}

fn deadline() -> Option<Timestamp> {
    Some("2026-11-30T09:00:00Z".parse().expect("a time"))
}

const PLATYPUS: Option<&str> = Some("First Platypus Bank");

/// Every kind of letter that there is, by name.
fn kinds() -> Vec<(&'static str, Letter)> {
    let one = |message| letter(&[(PLATYPUS, message)]);
    let mut unknown = letter(&[(None, Message::LoginRequired)]);
    unknown.recipient_name = None;
    unknown.brand.postal_address = None;
    vec![
        ("login_required", one(Message::LoginRequired)),
        ("consent_ends", one(Message::ConsentEnds { on: deadline() })),
        ("consent_ends_undated", one(Message::ConsentEnds { on: None })),
        ("bank_moves", one(Message::BankMoves { on: deadline() })),
        ("bank_moves_undated", one(Message::BankMoves { on: None })),
        ("connection_ends", one(Message::ConnectionEnds { on: deadline() })),
        ("connection_ends_undated", one(Message::ConnectionEnds { on: None })),
        ("new_accounts", one(Message::NewAccounts)),
        ("access_withdrawn", one(Message::AccessWithdrawn)),
        ("works_again", one(Message::WorksAgain)),
        ("bank_unknown_name_unknown", unknown),
        (
            "several",
            letter(&[
                (PLATYPUS, Message::LoginRequired),
                (Some("Bank of Wombat"), Message::ConsentEnds { on: deadline() }),
                (Some("Tern & Gull Savings"), Message::BankMoves { on: None }),
                (None, Message::ConnectionEnds { on: deadline() }),
                (Some("Heron Credit Union"), Message::NewAccounts),
                (Some("Kestrel Bank"), Message::AccessWithdrawn),
                (Some("Lark Bank"), Message::WorksAgain),
            ]),
        ),
        ("two_work_again", letter(&[(PLATYPUS, Message::WorksAgain), (Some("Bank of Wombat"), Message::WorksAgain)])),
    ]
}

fn rendered(letter: &Letter) -> Rendered {
    letter.render(&Templates::built_in().expect("templates")).expect("a letter")
}

#[test]
fn whole_letters() {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for (kind, letter) in kinds() {
        let Rendered { subject, text, html } = rendered(&letter);
        insta::assert_snapshot!(kind, format!("Subject: {subject}\n\n---- text ----\n{text}\n---- html ----\n{html}"));
    }
}

/// The links of the HTML part, in order.
fn links(html: &str) -> Vec<&str> {
    html.split("href=\"").skip(1).map(|rest| rest.split('"').next().expect("a link ends")).collect()
}

/// What a reader of the HTML part sees, one text after the other.
fn visible(html: &str) -> Vec<String> {
    let body = html.split_once("<body").expect("a body").1.split_once('>').expect("it opens").1;
    let texts = body.split('<').skip(1).filter_map(|piece| piece.split_once('>').map(|(_, text)| text.trim()));
    let plain = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    };
    texts.filter(|text| !text.is_empty()).map(plain).collect()
}

#[test]
fn every_letter_keeps_the_rules_of_trust() {
    for (kind, letter) in kinds() {
        let Rendered { subject, text, html } = rendered(&letter);
        let asks = letter.passages.iter().any(|passage| passage.message.asks());

        assert!(subject.chars().count() <= SUBJECT_CHARS_MAX, "{kind}: {subject}");
        assert!(subject.contains("Acorn Budget"), "{kind}: {subject}");
        assert!(html.len() <= 20 * 1024, "{kind}: {} bytes", html.len());

        let expected: &[&str] = if asks { &[&letter.repair_url, &letter.stop_url] } else { &[&letter.stop_url] };
        assert_eq!(links(&html), expected, "{kind}");
        let in_text: Vec<&str> = text.lines().filter(|line| line.contains("://")).collect();
        assert_eq!(in_text, expected, "{kind}: each link alone on its line, and no other");
        assert_eq!(html.matches("://").count(), expected.len(), "{kind}: no address but the links");
        assert_eq!(html.matches("class=\"button\"").count(), usize::from(asks), "{kind}");

        for loaded in [
            "<img",
            "<link",
            "<script",
            "<iframe",
            "<form",
            "<input",
            "src=",
            "url(",
            "@import",
            "background=",
            "srcset",
        ] {
            assert!(!html.contains(loaded), "{kind}: {loaded}");
        }
        for fact in visible(&html) {
            for sentence in fact.split_inclusive(". ") {
                assert!(text.contains(sentence.trim()), "{kind}: the text part lacks {sentence:?}");
            }
        }
        let all = format!("{subject} {} {text}", visible(&html).join(" ")).to_lowercase();
        let low = format!(" {} ", all.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join(" "));
        for word in PRESSING {
            assert!(!low.contains(word), "{kind}: {word:?}");
        }
        assert!(!all.contains('!'), "{kind}: nobody is shouted at");
        assert!(!low.contains("relinkd"), "{kind}: the brand writes, not the tool");
        for promise in [
            "never ask for your bank password",
            "open Acorn Budget yourself, or type acorn.example into your browser",
            "help@acorn.example",
        ] {
            assert!(text.contains(promise), "{kind}: {promise}");
        }
        for passage in &letter.passages {
            let bank = passage.bank.as_deref().unwrap_or("our bank");
            assert!(text.contains(bank), "{kind}: {bank}");
        }
        let greeting = letter.recipient_name.as_ref().map_or("Hello,".to_owned(), |name| format!("Hello {name},"));
        assert!(text.contains(&greeting), "{kind}");
    }
}

#[test]
fn every_letter_is_a_document_that_a_screen_reader_can_read() {
    for (kind, letter) in kinds() {
        let html = rendered(&letter).html;
        assert!(html.contains("<html lang=\"en\">"), "{kind}");
        assert_eq!(html.matches("<h1").count(), 1, "{kind}");
        assert_eq!(html.matches("<table").count(), html.matches("<table role=\"presentation\"").count(), "{kind}");
        assert!(html.contains("color-scheme: light dark") && html.contains("prefers-color-scheme: dark"), "{kind}");
        for tag in ["table", "tr", "td", "p", "h1", "h2", "a", "body", "html"] {
            let opened = html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{kind}: <{tag}>");
        }
    }
}

/// Contrast after WCAG 2.2 of two `#rrggbb` colours.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour")) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    };
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn colours_can_be_read_by_day_and_by_night() {
    let layout = include_str!("../layout/letter.html");
    // Each pair is (ink, ground).
    let day = [("#1a2330", "#ffffff"), ("#4d5967", "#ffffff"), ("#4d5967", "#f2f4f7"), ("#ffffff", "#1f4fbf")];
    let night = [("#f0f3f6", "#1c2229"), ("#b4bec9", "#1c2229"), ("#b4bec9", "#12161b"), ("#0b1a33", "#8db8ff")];
    for (ink, ground) in day.into_iter().chain(night) {
        assert!(layout.contains(ink) && layout.contains(ground), "{ink} on {ground} is not in the layout any more");
        assert!(contrast(ink, ground) >= 4.5, "{ink} on {ground}: {:.2}", contrast(ink, ground));
    }
}

#[test]
fn dates_are_told_in_the_users_time_zone() {
    let mut letter =
        letter(&[(PLATYPUS, Message::ConsentEnds { on: Some("2026-11-30T02:00:00Z".parse().expect("a time")) })]);
    assert!(rendered(&letter).text.contains("ends on Monday, 30 November 2026."));
    letter.time_zone = TimeZone::get("America/New_York").expect("a zone");
    assert!(rendered(&letter).text.contains("ends on Sunday, 29 November 2026."));
}

#[test]
fn a_stranger_who_names_a_bank_cannot_write_the_letter() {
    let evil = "<b>Bank</b>\r\n\r\nBcc: x\u{202E}\" onclick=\"x' &amp; {{ app }} {% if %}";
    let letter =
        letter(&[(Some(evil), Message::LoginRequired), (Some("https://evil.example/login"), Message::NewAccounts)]);
    let Rendered { subject, text, html } = rendered(&letter);
    assert!(!subject.contains(['\r', '\n', '\u{202E}']), "{subject:?}");
    assert!(
        html.contains("&lt;b&gt;Bank&lt;/b&gt; Bcc: x&quot; onclick=&quot;x&#39; &amp;amp; {{ app }} {% if %}"),
        "{html}"
    );
    assert!(text.contains("<b>Bank</b> Bcc: x\" onclick"), "{text}");
    assert!(!html.contains("evil.example") && !text.contains("evil.example"));
}

#[test]
fn a_name_that_is_a_link_is_not_greeted() {
    let mut letter = letter(&[(PLATYPUS, Message::LoginRequired)]);
    letter.recipient_name = Some("Win at prize.example".to_owned());
    let Rendered { text, html, .. } = rendered(&letter);
    assert!(text.contains("Hello,\n") && !text.contains("prize") && !html.contains("prize"));
}

#[test]
fn subjects_keep_app_and_bank_when_both_are_long() {
    let mut long =
        letter(&[(Some("The Very Old Savings and Loan Association of Platypus County"), Message::NewAccounts)]);
    long.brand.name = "Household Budget and Planning!".to_owned();
    assert_eq!(rendered(&long).subject, "Household Budget…: new accounts, The Very Old…");

    let two = letter(&[(PLATYPUS, Message::LoginRequired), (Some("Wombat"), Message::LoginRequired)]);
    assert_eq!(rendered(&two).subject, "Acorn Budget: First Platypus Bank and Wombat");
    let two = letter(&[(PLATYPUS, Message::LoginRequired), (Some("Bank of Wombat County"), Message::LoginRequired)]);
    assert_eq!(rendered(&two).subject, "Acorn Budget: First Platypus Bank and others");
    let same = letter(&[(PLATYPUS, Message::LoginRequired), (PLATYPUS, Message::LoginRequired)]);
    assert_eq!(rendered(&same).subject, "Acorn Budget: First Platypus Bank and others");
}

#[test]
fn a_hundred_banks_make_a_letter_that_is_not_long() {
    let name = "W".repeat(200);
    let mut passages = vec![(Some(name.as_str()), Message::BankMoves { on: deadline() }); 100];
    let Rendered { html, text, .. } = rendered(&letter(&passages));
    assert!(html.len() <= 20 * 1024, "{} bytes", html.len());
    assert!(text.contains("The page behind the button lists them all."));
    passages.iter_mut().for_each(|(_, message)| *message = Message::WorksAgain);
    assert!(!rendered(&letter(&passages)).text.contains("button lists"));
}

#[test]
fn what_is_no_letter_is_an_error() {
    let templates = Templates::built_in().expect("templates");
    assert!(matches!(letter(&[]).render(&templates), Err(RenderError::Empty)));
    let good = letter(&[(PLATYPUS, Message::LoginRequired)]);
    for bad in [
        "javascript:alert(1)",
        "mailto:x@y.example",
        "/repair/x",
        "",
        "https://x.example/a b",
        "https://x.example/\"x",
        "https://x.example/\r\nx",
    ] {
        let repair = Letter { repair_url: bad.to_owned(), ..good.clone() };
        assert!(matches!(repair.render(&templates), Err(RenderError::Link("repair link"))), "{bad}");
        let stop = Letter { stop_url: bad.to_owned(), ..good.clone() };
        assert!(matches!(stop.render(&templates), Err(RenderError::Link(_))), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_name_breaks_a_letter(
        bank in any::<String>(), other in any::<String>(), person in any::<String>(), app in ".{0,30}", which in 0_usize..13,
    ) {
        let templates = Templates::built_in().expect("templates");
        let (_, mut letter) = kinds().swap_remove(which);
        letter.passages[0].bank = Some(bank);
        if let Some(passage) = letter.passages.get_mut(1) {
            passage.bank = Some(other);
        }
        letter.recipient_name = Some(person);
        letter.brand.name = app;
        let Rendered { subject, html, .. } = letter.render(&templates).expect("a letter");
        prop_assert!(subject.chars().count() <= SUBJECT_CHARS_MAX, "{subject:?}");
        prop_assert!(!subject.chars().any(char::is_control));
        prop_assert_eq!(html.matches("<h1").count(), 1);
        prop_assert_eq!(html.matches("<a ").count(), links(&html).len());
        prop_assert!(html.len() <= 20 * 1024);
    }
}
