//! The rules that every letter keeps, whoever wrote its templates: that its links are there and lead nowhere else, that nothing
//! is loaded, that it says who writes to whom about which bank. Tests hold the built-in letters to them and to more; an
//! operator's templates are held to them at start.

use std::fmt;

use super::grammar::Grammar;
use super::letter::{Letter, NAME_CHARS_MAX, Rendered, SUBJECT_CHARS_MAX};
use super::message::LOGO_ID;
use crate::domain::plain;

/// The largest HTML part, in bytes: mail programs cut longer ones off, at the end where the way out stands.
pub const HTML_BYTES_MAX: usize = 20 * 1024;

/// What loads something, runs something or takes something in.
const FORBIDDEN: [&str; 16] = [
    "<script",
    "<link",
    "<iframe",
    "<object",
    "<embed",
    "<form",
    "<input",
    "<base",
    "<meta http-equiv",
    "<svg",
    "<video",
    "srcset",
    "background=",
    "url(",
    "@import",
    "javascript:",
];

/// A part of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The subject.
    Subject,
    /// The text part.
    Text,
    /// The HTML part.
    Html,
}

/// A rule that a letter breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Where.
    pub part: Part,
    /// Which rule, as the end of a sentence about the part.
    pub problem: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Subject => "the subject",
            Part::Text => "the text part",
            Part::Html => "the HTML part",
        };
        write!(f, "{part} {}", self.problem)
    }
}

/// Every rule that a letter breaks.
#[must_use]
pub fn breaches(letter: &Letter, rendered: &Rendered) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut say = |part, problems: Vec<String>| {
        found.extend(problems.into_iter().map(|problem| Breach { part, problem }));
    };
    say(Part::Subject, of_subject(letter, &rendered.subject));
    say(Part::Text, of_text(letter, &rendered.text));
    say(Part::Html, of_html(letter, &rendered.html));
    found
}

/// The links that a letter has, in order.
pub(super) fn links(letter: &Letter) -> Vec<&str> {
    let repair = letter.asks().then_some(letter.repair_url.as_str());
    repair.into_iter().chain([letter.stop_url.as_str()]).collect()
}

fn of_subject(letter: &Letter, subject: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let length = subject.chars().count();
    if length > SUBJECT_CHARS_MAX {
        problems.push(format!("has {length} characters; phones show {SUBJECT_CHARS_MAX}"));
    }
    if subject.chars().any(char::is_control) {
        problems.push("is more than one line".to_owned());
    }
    let app = plain::one_line(&letter.brand.name, NAME_CHARS_MAX).unwrap_or_default();
    if !app.split(' ').next().is_some_and(|first| subject.contains(first.trim_end_matches('…')))
        && !is_cut(&app, subject)
    {
        problems.push(format!("does not name {app}"));
    }
    problems
}

/// Whether the beginning of a long name stands in the subject.
fn is_cut(name: &str, subject: &str) -> bool {
    let head: String = name.chars().take(3).collect();
    subject.contains('…') && subject.contains(&head)
}

/// What both parts have to say.
fn facts(letter: &Letter) -> Vec<String> {
    let brand = &letter.brand;
    let mut facts = vec![plain::one_line(&brand.name, NAME_CHARS_MAX).unwrap_or_default(), brand.support_email.clone()];
    facts.extend(letter.recipient_name.as_deref().and_then(|name| plain::person(name, NAME_CHARS_MAX)));
    facts.extend(brand.postal_address.as_deref().and_then(|address| plain::one_line(address, 200)));
    facts.extend(
        letter
            .passages
            .iter()
            .take(super::letter::PASSAGES_MAX)
            .filter_map(|passage| passage.bank.as_deref().and_then(|bank| plain::bank(bank, NAME_CHARS_MAX))),
    );
    let day = |passage: &super::letter::Passage| {
        Some(Grammar::of(letter.language).day(passage.message.date()?, &letter.time_zone))
    };
    if letter.passages.len() <= super::letter::PASSAGES_MAX {
        facts.extend(letter.passages.iter().filter_map(day));
    }
    facts.extend(letter.asks().then(|| super::letter::address_to_type(&brand.url).to_owned()));
    facts
}

fn of_text(letter: &Letter, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let expected = links(letter);
    for link in &expected {
        if !text.lines().any(|line| line == *link) {
            problems.push(format!("has not {} alone on a line", shown(letter, link)));
        }
    }
    for line in text.lines().filter(|line| line.contains("://") && !expected.contains(line)) {
        problems.push(format!("has another address: {}", shorten(line)));
    }
    problems
        .extend(facts(letter).iter().filter(|fact| !text.contains(*fact)).map(|fact| format!("does not say {fact:?}")));
    problems
}

fn of_html(letter: &Letter, html: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if html.len() > HTML_BYTES_MAX {
        problems.push(format!("has {} bytes; more than {HTML_BYTES_MAX} are cut off by mail programs", html.len()));
    }
    let low = html.to_lowercase();
    problems.extend(FORBIDDEN.iter().filter(|word| low.contains(**word)).map(|word| format!("has {word:?}")));
    let attributes = |name: &str| -> Vec<String> {
        html.split(&format!("{name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).map(unescaped).collect()
    };
    let (expected, found) = (links(letter), attributes("href"));
    for link in &expected {
        if !found.iter().any(|href| href == link) {
            problems.push(format!("has no link to {}", shown(letter, link)));
        }
    }
    for href in found.iter().filter(|href| !expected.contains(&href.as_str())) {
        problems.push(format!("has a link to somewhere else: {}", shorten(href)));
    }
    if html.matches("://").count() > found.len() || low.matches("href").count() > found.len() {
        problems.push("has an address besides the links".to_owned());
    }
    let logo = format!("cid:{LOGO_ID}");
    if attributes("src").iter().any(|src| *src != logo || letter.brand.logo.is_none())
        || low.matches("src").count() > attributes("src").len()
    {
        problems.push("has a picture that is not the logo in the letter".to_owned());
    }
    if !low.contains(&format!("<html lang=\"{}\"", letter.language.tag())) {
        problems.push("does not begin with <html lang=\"{{ lang }}\">".to_owned());
    }
    let body = unescaped(low_free_body(html));
    problems
        .extend(facts(letter).iter().filter(|fact| !body.contains(*fact)).map(|fact| format!("does not say {fact:?}")));
    problems
}

/// From the body on: a title is not seen.
fn low_free_body(html: &str) -> &str {
    html.find("<body").map_or(html, |at| &html[at..])
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    plain.replace("&#x27;", "'").replace("&#x2f;", "/").replace("&amp;", "&")
}

/// A link by what it is for: itself it is long, and in a real letter a secret.
fn shown(letter: &Letter, link: &str) -> &'static str {
    if link == letter.stop_url {
        "the link that stops letters ({{ footer.stop_url }})"
    } else {
        "the repair link ({{ button.url }})"
    }
}

fn shorten(text: &str) -> String {
    plain::shorten(text.trim(), 60)
}

#[cfg(test)]
mod tests {
    use super::super::letter::Templates;
    use super::super::sample;
    use super::*;
    use crate::domain::language::Language;

    fn letter() -> (Letter, Rendered) {
        let letter = sample::letter("login_required", sample::brand(), Language::English).expect("a kind");
        let rendered = letter.render(&Templates::load(&[Language::English], None).expect("words")).expect("a letter");
        (letter, rendered)
    }

    #[test]
    fn each_rule_can_be_broken() {
        let (letter, good) = letter();
        assert_eq!(breaches(&letter, &good), []);
        let broken = |part: Part, from: &str, to: &str, problem: &str| {
            let mut bad = good.clone();
            let text = match part {
                Part::Subject => &mut bad.subject,
                Part::Text => &mut bad.text,
                Part::Html => &mut bad.html,
            };
            assert!(text.contains(from), "{from}");
            *text = text.replace(from, to);
            let found: Vec<String> = breaches(&letter, &bad).iter().map(ToString::to_string).collect();
            assert!(found.iter().any(|breach| breach.contains(problem)), "{from} -> {to}: {found:?}");
        };
        broken(Part::Subject, "reconnect", "reconnect and reconnect and reconnect", "characters; phones show 50");
        broken(Part::Subject, "Acorn", "Oak", "does not name");
        broken(Part::Subject, " ", "\n", "more than one line");
        broken(Part::Text, &letter.stop_url, "", "the text part has not the link that stops letters");
        broken(Part::Text, &letter.repair_url, &format!("see {}", letter.repair_url), "has not the repair link");
        broken(Part::Text, "Hello", "https://evil.example", "has another address");
        broken(Part::Text, "Robin Example", "you", "does not say \"Robin Example\"");
        broken(Part::Text, "First Platypus Bank", "the bank", "does not say \"First Platypus Bank\"");
        broken(Part::Text, "help@acorn.example", "us", "does not say \"help@acorn.example\"");
        broken(Part::Html, "</body>", &"x".repeat(HTML_BYTES_MAX), "bytes; more than");
        broken(Part::Html, "<h1", "<script>x</script><h1", "has \"<script\"");
        broken(Part::Html, &letter.repair_url, "x", "has no link to the repair link");
        broken(Part::Html, "<h1", "<a href=\"https://evil.example\">x</a><h1", "somewhere else: https://evil.example");
        broken(Part::Html, "<h1", "<a href='https://evil.example'>x</a><h1", "an address besides");
        broken(Part::Html, "<h1", "<a href=//evil.example>x</a><h1", "an address besides");
        broken(Part::Html, "<h1", "<img src=\"//evil.example/x.png\"><h1", "a picture");
        broken(Part::Html, "<h1", "<img SRC=//evil.example/x.png><h1", "a picture");
        broken(Part::Html, "lang=\"en\"", "", "<html lang");
        broken(Part::Html, "Robin Example", "you", "does not say \"Robin Example\"");
    }
}
