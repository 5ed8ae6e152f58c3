//! Every kind of letter in every language as a whole, and the rules that each of them has to keep.

mod pseudo;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::mail::{lint, sample};

/// Words that press people or that phishing is fond of, by language. A letter that asks someone to log in at a bank must have
/// none of them. A beginning stands for all words that have it.
const PRESSING: [(Language, &str); 17] = [
    (
        Language::English,
        "urgent immediate now act asap hurry suspen locked blocked warning alert final chance expire verif confirm within \
         hours click lose failed security must risk",
    ),
    (
        Language::Spanish,
        "urgent inmediat ahora rápid suspen bloque advert alerta final caduc verifi confirm horas clic perd fall segurid debe \
         riesg",
    ),
    (
        Language::French,
        "urgen immédiat maintenant vite suspen bloqu avert alerte dernière expir confirm heures cliqu perd échou sécurit \
         devez risqu",
    ),
    (
        Language::Danish,
        "haste straks nu omgående suspen låst blokere advars alarm udløb bekræft timer klik mist fejl sikkerhed skal",
    ),
    (
        Language::Dutch,
        "dringend onmiddellijk nu snel geschorst geblokk waarschuw alarm verlopen verifi bevestig uur klik verlie veilig moet",
    ),
    (
        Language::Estonian,
        "kiire kohe nüüd viivit peata lukus blokeer hoiat aegu kinnita tunni klõps klik kaota turval peate",
    ),
    (
        Language::German,
        "dringend sofort jetzt umgehend schnell gesperrt sperr warn alarm ablauf abgelaufen verifizier bestätig stunden klick \
         verlier sicherheit müssen",
    ),
    (Language::Hindi, "तुरंत तत्काल अभी_ही निलंबित ब्लॉक चेतावनी सत्यापित पुष्टि घंटे क्लिक सुरक्षा ज़रूरी"),
    (
        Language::Italian,
        "urgent immediat subito adesso sospes blocc avvis allarm scad verific_ conferm ore clic perd sicurezza obblig rischi",
    ),
    (
        Language::Latvian,
        "steidz nekavē tūlīt tagad aptur bloķ brīdin termiņ apstiprin stund klikš noklikš zaudē drošīb jums_jā",
    ),
    (
        Language::Lithuanian,
        "skub nedelsi dabar_ sustabd blok įspėj patvirtin valand spustel prara saug_ privalo turite_prival",
    ),
    (
        Language::Norwegian,
        "haster straks nå omgående suspend låst blokk advar alarm utløp bekreft timer klikk mist feil sikkerhet må",
    ),
    (
        Language::Polish,
        "piln natychmiast teraz szybk zawiesz zablok ostrzeż alarm potwierd godzin klik strac bezpiecz musz ryzyk",
    ),
    (
        Language::Portuguese,
        "urgent imediat agora rápid suspens bloque avis alert expir confirm horas clique perd falh seguranç deve risc",
    ),
    (
        Language::Romanian,
        "urgen imediat acum rapid suspend bloca avertiz alert expir confirm ore_ clic pierd securit trebuie_să_vă risc",
    ),
    (Language::Swedish, "brådsk omedelb genast nu spärr block varn larm utgå bekräft timm klick förlor säkerhet måste"),
    (Language::Vietnamese, "khẩn ngay đình_chỉ khóa chặn cảnh_báo hết_hạn xác_minh xác_nhận nhấp bảo_mật mất"),
];

static TEMPLATES: LazyLock<Templates> =
    LazyLock::new(|| Templates::load(&Language::ALL, None).unwrap_or_else(|faults| panic!("{faults:#?}")));

fn letter(kind: &str, language: Language) -> Letter {
    sample::letter(kind, sample::brand(), language).expect("a kind")
}

fn one(bank: Option<&str>, message: Message) -> Letter {
    let mut letter = letter("login_required", Language::English);
    letter.passages = vec![Passage { bank: bank.map(str::to_owned), message }];
    letter
}

fn rendered(letter: &Letter) -> Rendered {
    letter.render(&TEMPLATES).expect("a letter")
}

/// Every kind in every language, and the name by which a fault is told.
fn all() -> impl Iterator<Item = (String, Letter)> {
    Language::ALL.into_iter().flat_map(|language| {
        sample::KINDS.into_iter().map(move |kind| (format!("{} {kind}", language.tag()), letter(kind, language)))
    })
}

/// A file a language. The HTML part has the same markup in all of them, which the next test sees to, and its texts are those
/// of the text part: it is shown once.
#[test]
fn whole_letters() {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for language in Language::ALL {
        let mut file = String::new();
        for kind in sample::KINDS {
            let Rendered { subject, text, html } = rendered(&letter(kind, language));
            file.push_str(&format!("======== {kind}\nSubject: {subject}\n\n{text}\n"));
            if language == Language::English && ["login_required", "several", "works_again"].contains(&kind) {
                file.push_str(&format!("-------- {kind}, HTML part\n{html}\n"));
            }
        }
        insta::assert_snapshot!(language.tag(), file);
    }
}

#[test]
fn the_markup_is_the_same_in_every_language() {
    let markup = |html: &str| -> Vec<String> {
        let tags = html.split('<').skip(1).filter_map(|piece| piece.split_once('>').map(|(tag, _)| tag.to_owned()));
        tags.filter(|tag| !tag.starts_with("html ")).collect()
    };
    for kind in sample::KINDS {
        let english = markup(&rendered(&letter(kind, Language::English)).html);
        for language in Language::ALL {
            assert_eq!(markup(&rendered(&letter(kind, language)).html), english, "{kind} {}", language.tag());
        }
    }
}

/// What a reader of the HTML part sees, one text after the other.
fn visible(html: &str) -> Vec<String> {
    let body = html.split_once("<body").expect("a body").1.split_once('>').expect("it opens").1;
    let texts = body.split('<').skip(1).filter_map(|piece| piece.split_once('>').map(|(_, text)| text.trim()));
    let plain = |text: &str| {
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        text.replace("&#39;", "'").replace("&amp;", "&")
    };
    texts.filter(|text| !text.is_empty()).map(plain).collect()
}

#[test]
fn every_letter_keeps_the_rules_of_trust() {
    for (name, letter) in all() {
        let Rendered { subject, text, html } = rendered(&letter);
        assert_eq!(
            lint::breaches(&letter, &Rendered { subject: subject.clone(), text: text.clone(), html: html.clone() }),
            []
        );

        // More than an operator is held to.
        let expected = lint::links(&letter);
        let in_html: Vec<&str> = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(in_html, expected, "{name}");
        let in_text: Vec<&str> = text.lines().filter(|line| line.contains("://")).collect();
        assert_eq!(in_text, expected, "{name}: each link alone on its line, and no other");
        assert_eq!(html.matches("class=\"button\"").count(), usize::from(letter.asks()), "{name}");
        for fact in visible(&html) {
            assert!(text.contains(&fact), "{name}: the text part lacks {fact:?}");
        }
        let say = |key: &str| {
            let facts = minijinja::context! {
                app => "Acorn Budget", host => "links.acorn.example", address => "acorn.example", support => "help@acorn.example",
            };
            TEMPLATES.say(letter.language, key, &facts).expect("a sentence")
        };
        let open = if letter.asks() { "check.open_yourself" } else { "check.open_yourself_without_button" };
        for promise in ["check.password", open, "footer.help"] {
            assert!(text.contains(&say(promise)), "{name}: {promise}");
        }
        assert_eq!(letter.asks(), text.contains(&say("check.where_it_leads")), "{name}");
    }
}

#[test]
fn no_letter_presses_anybody() {
    let mut found = BTreeSet::new();
    for (name, letter) in all() {
        let Rendered { subject, text, html } = rendered(&letter);
        // Names and addresses say what they like.
        let said = format!("{subject} {} {text}", visible(&html).join(" ")).to_lowercase();
        let said = said.replace("acorn budget", "").replace("first platypus bank", "").replace("platypus county", "");
        let words: Vec<&str> =
            said.split(|c: char| !c.is_alphanumeric() && !is_mark(c)).filter(|word| !word.is_empty()).collect();
        let joined = format!("_{}_", words.join("_"));
        let pressing = PRESSING.iter().find(|(language, _)| *language == letter.language).expect("a list").1;
        let pressing = pressing.split_whitespace();
        let short = |word: &str| word.chars().count() <= 3;
        for word in pressing {
            let sought = if short(word) { format!("_{word}_") } else { format!("_{word}") };
            if let Some(at) = joined.find(&sought) {
                let around: String = joined[at..].chars().take(40).collect();
                found.insert(format!("{} {word:?}: {around}", letter.language.tag()));
            }
        }
        assert!(!said.contains(['!', '¡']), "{name}: nobody is shouted at");
        assert!(!said.contains("relinkd"), "{name}: the brand writes, not the tool");
        assert!(
            text.lines().chain([subject.as_str()]).all(|line| !line.contains("  ") || line.starts_with("  ")),
            "{name}: {text}"
        );
        assert!(!text.contains("..") && !text.contains(" ,") && !text.contains(" ."), "{name}: {text}");
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Vowel signs of Devanagari are part of a word.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{97f}')
}

#[test]
fn every_letter_is_a_document_that_a_screen_reader_can_read() {
    for (name, letter) in all() {
        let html = rendered(&letter).html;
        assert!(html.contains(&format!("<html lang=\"{}\">", letter.language.tag())), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert_eq!(html.matches("<table").count(), html.matches("<table role=\"presentation\"").count(), "{name}");
        assert!(html.contains("color-scheme: light dark") && html.contains("prefers-color-scheme: dark"), "{name}");
        for tag in ["table", "tr", "td", "p", "h1", "h2", "a", "body", "html"] {
            let opened = html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{name}: <{tag}>");
        }
    }
}

#[test]
fn colours_can_be_read_by_day_and_by_night() {
    let layout = include_str!("../layout/letter.html");
    let colour = |text: &str| Colour::parse(text).expect("a colour");
    // Each pair is (ink, ground).
    let day = [("#1a2330", "#ffffff"), ("#4d5967", "#ffffff"), ("#4d5967", "#f2f4f7")];
    let night = [("#f0f3f6", "#1c2229"), ("#b4bec9", "#1c2229"), ("#b4bec9", "#12161b")];
    for (ink, ground) in day.into_iter().chain(night) {
        assert!(layout.contains(ink) && layout.contains(ground), "{ink} on {ground} is not in the layout any more");
        assert!(colour(ink).contrast(colour(ground)) >= TEXT_CONTRAST, "{ink} on {ground}");
    }
    assert!(layout.contains(&NIGHT.to_string()));
    for text in ["#1f4fbf", "#000000", "#767676", "#c00", "#007a3d", "#5b2a86", "#8a7400", "#949494"] {
        let ButtonColours { day, day_ink, night, night_ink } = ButtonColours::of(colour(text));
        assert!(day.contrast(day_ink) >= TEXT_CONTRAST && night.contrast(night_ink) >= TEXT_CONTRAST, "{text}");
        assert!(night.contrast(NIGHT) >= TEXT_CONTRAST, "{text}: {night:?}");
    }
}

#[test]
fn dates_are_told_in_the_users_time_zone() {
    let on = Some("2026-11-30T02:00:00Z".parse().expect("a time"));
    let mut letter = one(Some("First Platypus Bank"), Message::ConsentEnds { on });
    assert!(rendered(&letter).text.contains("ends on Monday, 30 November 2026."));
    letter.time_zone = TimeZone::get("America/New_York").expect("a zone");
    assert!(rendered(&letter).text.contains("ends on Sunday, 29 November 2026."));
}

#[test]
fn a_stranger_who_names_a_bank_cannot_write_the_letter() {
    let evil = "<b>Bank</b>\r\n\r\nBcc: x\u{202E}\" onclick=\"x' &amp; {{ app }} {% if %}";
    let mut letter = one(Some(evil), Message::LoginRequired);
    letter
        .passages
        .push(Passage { bank: Some("https://evil.example/login".to_owned()), message: Message::NewAccounts });
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
    let mut letter = letter("login_required", Language::English);
    letter.recipient_name = Some("Win at prize.example".to_owned());
    let Rendered { text, html, .. } = rendered(&letter);
    assert!(text.contains("Hello,\n") && !text.contains("prize") && !html.contains("prize"));
}

#[test]
fn subjects_keep_app_and_bank_when_both_are_long() {
    let long = "The Very Old Savings and Loan Association of Platypus County";
    let mut letter = one(Some(long), Message::NewAccounts);
    letter.brand.name = "Household Budget and Planning!".to_owned();
    assert_eq!(rendered(&letter).subject, "Household Budget and…: new accounts, The Very Old…");

    for (kind, name) in
        sample::KINDS.into_iter().flat_map(|kind| [(kind, Some(long)), (kind, Some("Kestrel")), (kind, None)])
    {
        for language in Language::ALL {
            let mut letter = self::letter(kind, language);
            letter.brand.name = "Household Budget and Planning!".to_owned();
            letter.passages.iter_mut().for_each(|passage| passage.bank = name.map(str::to_owned));
            let subject = rendered(&letter).subject;
            assert!(subject.chars().count() <= SUBJECT_CHARS_MAX, "{kind} {}: {subject}", language.tag());
            let bank = name.map_or("", |name| &name[..7]);
            assert!(subject.contains("Househ") && subject.contains(bank), "{kind} {}: {subject}", language.tag());
        }
    }
    let two = |first: &str, second: &str| {
        let mut letter = one(Some(first), Message::LoginRequired);
        letter.passages.push(Passage { bank: Some(second.to_owned()), message: Message::LoginRequired });
        rendered(&letter).subject
    };
    assert_eq!(two("First Platypus Bank", "Wombat"), "Acorn Budget: First Platypus Bank and Wombat");
    assert_eq!(two("First Platypus Bank", "Bank of Wombat County"), "Acorn Budget: First Platypus Bank and others");
    assert_eq!(two("First Platypus Bank", "First Platypus Bank"), "Acorn Budget: reconnect First Platypus Bank");
}

#[test]
fn a_hundred_banks_make_a_letter_that_is_not_long() {
    for language in Language::ALL {
        let mut letter = letter("bank_moves", language);
        letter.passages[0].bank = Some("W".repeat(200));
        letter.passages = vec![letter.passages[0].clone(); 100];
        let Rendered { html, text, .. } = rendered(&letter);
        assert!(html.len() <= lint::HTML_BYTES_MAX, "{}: {} bytes", language.tag(), html.len());
        let more = TEMPLATES.say(language, "several.more", &minijinja::context! {}).expect("a sentence");
        assert!(text.contains(&more));
        letter.passages.iter_mut().for_each(|passage| passage.message = Message::WorksAgain);
        assert!(!rendered(&letter).text.contains(&more));
    }
}

#[test]
fn a_logo_stands_in_the_place_of_the_name_and_is_named_by_it() {
    let mut letter = letter("login_required", Language::English);
    let gif = b"GIF89a\x40\x01\x20\0;".to_vec();
    letter.brand.logo = Some(Logo::parse(gif).expect("a GIF"));
    let rendered = rendered(&letter);
    assert_eq!(lint::breaches(&letter, &rendered), []);
    let picture = "src=\"cid:logo@letter\" alt=\"Acorn Budget\" width=\"200\" height=\"20\"";
    assert!(rendered.html.contains(picture), "{}", rendered.html);
}

#[test]
fn what_is_no_letter_is_an_error() {
    let good = letter("login_required", Language::English);
    let empty = Letter { passages: Vec::new(), ..good.clone() };
    assert!(matches!(empty.render(&TEMPLATES), Err(RenderError::Empty)));
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
        assert!(matches!(repair.render(&TEMPLATES), Err(RenderError::Link("repair link"))), "{bad}");
        let stop = Letter { stop_url: bad.to_owned(), ..good.clone() };
        assert!(matches!(stop.render(&TEMPLATES), Err(RenderError::Link(_))), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_name_breaks_a_letter(
        bank in any::<String>(), other in any::<String>(), person in any::<String>(), app in ".{0,30}",
        which in 0..sample::KINDS.len(), language in 0..Language::ALL.len(),
    ) {
        let mut letter = letter(sample::KINDS[which], Language::ALL[language]);
        letter.passages[0].bank = Some(bank);
        if let Some(passage) = letter.passages.get_mut(1) {
            passage.bank = Some(other);
        }
        letter.recipient_name = Some(person);
        letter.brand.name = app;
        let Rendered { subject, html, .. } = letter.render(&TEMPLATES).expect("a letter");
        prop_assert!(subject.chars().count() <= SUBJECT_CHARS_MAX, "{subject:?}");
        prop_assert!(!subject.chars().any(char::is_control));
        prop_assert_eq!(html.matches("<h1").count(), 1);
        prop_assert_eq!(html.matches("<a ").count(), lint::links(&letter).len());
        prop_assert!(html.len() <= lint::HTML_BYTES_MAX);
    }
}
