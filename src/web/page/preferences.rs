//! The pages behind the link that stops letters: which letters to get, and the answer to a mail program's one click.
//!
//! What is chosen is said as a form: `all`, and `bank:ITEM` for each bank; each is `on`, `off`, or the moment from which on
//! letters come. [`fields`] says it and [`chosen`] hears it.

use axum::http::StatusCode;
use jiff::Timestamp;
use minijinja::{Value, context};
use serde::Serialize;

use super::bank_name::BankName;
use super::words::{self, Words, fill};
use super::{Form, Notice, Page, View, template};
use crate::domain::ids::ItemId;
use crate::domain::preferences::{Choices, Letters};

/// What `/unsubscribe/{token}` shows. No `Debug`: a path holds a token.
pub enum UnsubscribePage {
    /// Which letters come, and which the user wants.
    Preferences(Preferences),
    /// The answer to a mail program's one click, which people see too.
    Done {
        /// `/unsubscribe/{token}`, with whatever prefix the public address has.
        path: String,
    },
    /// The link is unknown, expired or revoked.
    Unknown,
}

/// Which letters a user gets, and what there is to choose.
pub struct Preferences {
    /// `/unsubscribe/{token}`.
    pub path: String,
    /// How it stands with all letters.
    pub all: Letters,
    /// Since when the user wants none, if so.
    pub off_since: Option<Timestamp>,
    /// Whether letters would arrive, if any were sent.
    pub is_reachable: bool,
    /// The user's banks.
    pub banks: Vec<BankLetters>,
    /// When the pauses would end that are offered: of a week, of two, of a month.
    pub pauses: [Timestamp; 3],
    /// What takes back what was saved a moment ago, if anything was.
    pub undo: Choices,
}

/// How it stands with the letters about one bank.
pub struct BankLetters {
    /// An Item at it.
    pub item: ItemId,
    /// Its name, where it is known: untrusted text.
    pub name: Option<String>,
    /// How it stands.
    pub letters: Letters,
}

/// The field about all letters.
const ALL: &str = "all";

/// What the field about a bank begins with; the id of an Item at it follows.
const BANK: &str = "bank:";

/// The value of a field that leaves all as it is. What is so now says it, so that sending the page back as it came changes
/// nothing, however long ago it came.
const KEEP: &str = "keep";

/// What is chosen, as a form says it.
#[must_use]
pub fn fields(choices: &Choices) -> Vec<(String, String)> {
    let all = choices.all.iter().map(|letters| (ALL.to_owned(), said(*letters)));
    let banks = choices.banks.iter().map(|(item, letters)| (bank_field(item), said(*letters)));
    all.chain(banks).collect()
}

/// What a form says. What is not understood chooses nothing.
#[must_use]
pub fn chosen(form: &[u8]) -> Choices {
    let mut choices = Choices::default();
    for (name, value) in url::form_urlencoded::parse(form) {
        let Some(letters) = heard(&value) else { continue };
        if name == ALL {
            choices.all = Some(letters);
        } else if let Some(item) = name.strip_prefix(BANK).and_then(|id| ItemId::parse(id).ok()) {
            choices.banks.push((item, letters));
        }
    }
    choices
}

fn bank_field(item: &ItemId) -> String {
    format!("{BANK}{item}")
}

fn said(letters: Letters) -> String {
    match letters {
        Letters::On => "on".to_owned(),
        Letters::From(until) => until.to_string(),
        Letters::Off => "off".to_owned(),
    }
}

fn heard(value: &str) -> Option<Letters> {
    match value {
        "on" => Some(Letters::On),
        "off" => Some(Letters::Off),
        moment => moment.parse().ok().map(Letters::From),
    }
}

/// One question with its answers.
#[derive(Serialize)]
struct Question {
    /// What it is about.
    legend: String,
    field: String,
    answers: Vec<Answer>,
}

impl Question {
    /// What is so now is the last answer: a program that presses all there is, one after the other, ends with it.
    fn new(legend: String, field: String, mut answers: Vec<Answer>) -> Self {
        answers.sort_by_key(|answer| answer.is_so);
        Self { legend, field, answers }
    }
}

#[derive(Serialize)]
struct Answer {
    value: String,
    label: String,
    /// Whether it is so now.
    is_so: bool,
}

impl Answer {
    fn new(letters: Letters, now: Letters, label: String) -> Self {
        let is_so = letters == now;
        let value = if is_so { KEEP.to_owned() } else { said(letters) };
        Self { value, label, is_so }
    }
}

/// The pages of the unsubscribe link. Status 200, but 410 for a dead link.
pub fn unsubscribe(view: &View<'_>, page: &UnsubscribePage) -> Page {
    let words = words::of(view.language);
    let text = &words.unsubscribe;
    match page {
        UnsubscribePage::Preferences(preferences) => show(view, words, preferences),
        UnsubscribePage::Done { path } => {
            let back = said(Letters::On);
            let action = format!("{path}/preferences");
            let mut notice = Notice::new(&text.done_heading, &[&text.done_text, &text.done_next]).good();
            notice.form =
                Some(Form { action: &action, label: &text.done_undo, field: Some((ALL, &back)), second: true });
            notice.more = Some((path, &text.done_choices));
            notice.render(view, words, StatusCode::OK, None)
        }
        UnsubscribePage::Unknown => {
            let notice = Notice::new(&text.unknown_heading, &[&text.unknown_text, &text.unknown_next]);
            notice.render(view, words, StatusCode::GONE, None)
        }
    }
}

fn show(view: &View<'_>, words: &'static Words, preferences: &Preferences) -> Page {
    let text = &words.preferences;
    let say = |text: &str| fill(text, &[("brand", &view.brand.name)]);
    let mut questions = vec![about_all(view, words, preferences)];
    questions.extend(preferences.banks.iter().map(|bank| about(bank, view, words)));
    let own = context! {
        title => say(&text.heading),
        saved => (!preferences.undo.is_empty()).then(|| say(&text.saved)),
        undo => say(&text.undo),
        undo_fields => fields(&preferences.undo),
        lead => say(&text.lead),
        unreachable => (!preferences.is_reachable).then(|| say(&text.unreachable)),
        action => format!("{}/preferences", preferences.path),
        questions => Value::from(minijinja::value::Serde(&questions)),
        save => say(&text.save),
        later => say(&text.later),
    };
    Page::new(view, words, StatusCode::OK, None, template::render("preferences.html", &own, view, words))
}

fn about_all(view: &View<'_>, words: &'static Words, preferences: &Preferences) -> Question {
    let (text, now) = (&words.preferences, preferences.all);
    let on = |text: &str, at| fill(text, &[("date", &words.day(at, view.time_zone))]);
    let mut answers = vec![Answer::new(Letters::On, now, text.wanted.clone())];
    answers.extend(pause(now, view, words));
    for (label, until) in [&text.week_on, &text.fortnight_on, &text.month_on].into_iter().zip(preferences.pauses) {
        // A pause that ends then already is not said twice.
        answers.extend((now != Letters::From(until)).then(|| Answer::new(Letters::From(until), now, on(label, until))));
    }
    let off = preferences.off_since.map_or_else(|| text.unwanted.clone(), |since| on(&text.unwanted_on, since));
    answers.push(Answer::new(Letters::Off, now, off));
    Question::new(text.all.clone(), ALL.to_owned(), answers)
}

fn about(bank: &BankLetters, view: &View<'_>, words: &'static Words) -> Question {
    let (text, now) = (&words.preferences, bank.letters);
    let mut answers = vec![Answer::new(Letters::On, now, text.bank_wanted.clone())];
    answers.extend(pause(now, view, words));
    answers.push(Answer::new(Letters::Off, now, text.bank_unwanted.clone()));
    let legend = BankName::new(bank.name.as_deref(), words).alone();
    Question::new(legend, bank_field(&bank.item), answers)
}

/// The pause that there is.
fn pause(now: Letters, view: &View<'_>, words: &'static Words) -> Option<Answer> {
    match now {
        Letters::On | Letters::Off => None,
        Letters::From(until) => {
            let date = words.day(until, view.time_zone);
            Some(Answer::new(now, now, fill(&words.preferences.paused_on, &[("date", &date)])))
        }
    }
}
