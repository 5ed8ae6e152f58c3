//! Writes a letter out: makes its facts harmless, chooses the sentences, fills the layouts.

use std::collections::BTreeMap;

use minijinja::context;
use minijinja::value::Value;

use super::{
    ButtonColours, Letter, Message, NAME_CHARS_MAX, Occasion, PASSAGES_MAX, Passage, RenderError, Rendered,
    SUBJECT_CHARS_MAX, Templates,
};
use crate::domain::plain;
use crate::mail::grammar::Grammar;
use crate::mail::message::LOGO_ID;

/// What a bank's name keeps in a subject, in characters, before the app's name is shortened too.
const BANK_IN_SUBJECT_CHARS: usize = 14;
/// The box of a logo, in CSS pixels.
const LOGO_BOX: (u32, u32) = (200, 48);

/// What a sentence may name, by the names of its places.
type Facts = BTreeMap<String, String>;

pub(super) fn write(letter: &Letter, templates: &Templates) -> Result<Rendered, RenderError> {
    let pen = Pen::new(letter, templates)?;
    let subject = pen.subject()?;
    let view = pen.view(&subject)?;
    let text = tidy(&templates.lay_out_text(&view)?);
    let html = templates.lay_out_html(&view)?;
    Ok(Rendered { subject, text, html })
}

/// A letter being written: its facts made harmless, and the words at hand.
struct Pen<'a> {
    letter: &'a Letter,
    templates: &'a Templates,
    grammar: &'static Grammar,
    app: String,
    /// The banks' names, in the order of the passages.
    banks: Vec<Option<String>>,
    first: &'a Passage,
    host: String,
}

impl<'a> Pen<'a> {
    fn new(letter: &'a Letter, templates: &'a Templates) -> Result<Self, RenderError> {
        let first = letter.passages.first().ok_or(RenderError::Empty)?;
        let host = host(&letter.repair_url).ok_or(RenderError::Link("repair link"))?;
        host_checked(&letter.stop_url)?;
        let shown = |bank: &Option<String>| bank.as_deref().and_then(|bank| plain::bank(bank, NAME_CHARS_MAX));
        let banks = letter.passages.iter().map(|passage| shown(&passage.bank)).collect();
        let app = plain::one_line(&letter.brand.name, NAME_CHARS_MAX).unwrap_or_default();
        Ok(Self { letter, templates, grammar: Grammar::of(letter.language), app, banks, first, host })
    }

    fn say(&self, key: &str, facts: &Facts) -> Result<String, RenderError> {
        Ok(self.templates.say(self.letter.language, key, &Value::from(facts.clone()))?)
    }

    /// What every sentence may name.
    fn facts(&self, app: &str) -> Facts {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Facts::from([fact("app", app), fact("support", &self.letter.brand.support_email)])
    }

    /// What a sentence about one bank may name.
    fn facts_of(&self, app: &str, bank: Option<&str>) -> Facts {
        let mut facts = self.facts(app);
        facts.extend(self.grammar.bank(bank).map(|(form, bank)| (form.to_owned(), bank)));
        facts
    }

    fn is_fresh_link(&self) -> bool {
        match self.letter.occasion {
            Occasion::Due => false,
            Occasion::FreshLink => true,
        }
    }

    /// Whether the whole letter is about one bank.
    fn is_single(&self) -> bool {
        self.letter.passages.len() == 1
    }

    /// Whether the letter has a section for each bank.
    fn has_sections(&self) -> bool {
        !self.is_single() || self.is_fresh_link()
    }

    /// At most [`SUBJECT_CHARS_MAX`] characters.
    fn subject(&self) -> Result<String, RenderError> {
        let bank = self.banks[0].as_deref();
        let mut others = self.banks.iter().filter(|other| **other != self.banks[0]);
        let other = others.next().filter(|other| !self.is_fresh_link() && others.all(|any| any == *other));
        if let Some(other) = other {
            let mut facts = self.facts_of(&self.app, bank);
            facts.insert("other".to_owned(), self.grammar.bank_alone(other.as_deref()));
            let both = self.say("several.subject_two", &facts)?;
            if both.chars().count() <= SUBJECT_CHARS_MAX {
                return Ok(both);
            }
        }
        self.fitted(self.letter.subject_key(), bank)
    }

    /// A subject that is short enough: first the bank's name gives way, then the app's, then what is left of the bank's.
    fn fitted(&self, key: &str, bank: Option<&str>) -> Result<String, RenderError> {
        let (mut app, mut bank) = (self.app.clone(), bank.map(str::to_owned));
        let length = |text: &str| text.chars().count();
        let least = [Some(BANK_IN_SUBJECT_CHARS), None, Some(0)];
        for keep in least {
            let whole = self.say(key, &self.facts_of(&app, bank.as_deref()))?;
            let over = length(&whole).saturating_sub(SUBJECT_CHARS_MAX);
            match (over, keep, &bank) {
                (0, _, _) => return Ok(whole),
                (_, Some(keep), Some(name)) => {
                    let max = length(name).saturating_sub(over).max(keep.min(length(name)));
                    bank = Some(plain::shorten(name, max));
                }
                (_, Some(_), None) => {}
                (_, None, _) => app = plain::shorten(&app, length(&app).saturating_sub(over)),
            }
        }
        self.say(key, &self.facts_of(&app, bank.as_deref()))
    }

    /// All that both layouts show.
    fn view(&self, subject: &str) -> Result<Value, RenderError> {
        let letter = self.letter;
        let keys = self.first.message.keys();
        let own = self.facts_of(&self.app, self.banks[0].as_deref());
        let (title, meaning) = match (letter.occasion, self.is_single()) {
            (Occasion::FreshLink, _) => (self.say("fresh_link.title", &own)?, self.say("fresh_link.meaning", &own)?),
            (Occasion::Due, true) => (self.say(keys.title, &own)?, self.sentence(self.first.message, keys.meaning, 0)?),
            (Occasion::Due, false) => {
                let facts = self.with_calm(self.facts(&self.app))?;
                (self.say("several.title", &facts)?, self.say("several.meaning", &facts)?)
            }
        };
        let meaning: Vec<String> = meaning.lines().map(str::to_owned).collect();
        let has_more = letter.passages.len() > PASSAGES_MAX;
        let more = match (has_more, letter.asks()) {
            (false, _) => None,
            (true, true) => Some(self.say("several.more", &own)?),
            (true, false) => Some(self.say("several.more_without_button", &own)?),
        };
        let sections = if self.has_sections() { self.sections()? } else { Vec::new() };
        Ok(context! {
            lang => letter.language.tag(), subject, app => &self.app, logo => self.logo(), colour => self.colours(),
            greeting => self.greeting()?, title, meaning, sections, more,
            button => self.button(&own)?, check => self.check()?, footer => self.footer(own)?,
        })
    }

    fn greeting(&self) -> Result<String, RenderError> {
        let name = self.letter.recipient_name.as_deref().and_then(|name| plain::person(name, NAME_CHARS_MAX));
        let mut facts = self.facts(&self.app);
        let key = if name.is_some() { "greeting.named" } else { "greeting.unnamed" };
        facts.extend(name.map(|name| ("name".to_owned(), name)));
        self.say(key, &facts)
    }

    fn with_calm(&self, mut facts: Facts) -> Result<Facts, RenderError> {
        facts.insert("safe".to_owned(), self.say("calm.safe", &facts)?);
        Ok(facts)
    }

    /// A sentence about the bank of one passage; it may name a date.
    fn sentence(&self, message: Message, key: &str, passage: usize) -> Result<String, RenderError> {
        let mut facts = self.with_calm(self.facts_of(&self.app, self.banks[passage].as_deref()))?;
        if let Some(on) = message.ends() {
            let key = if on.is_some() { "when.on" } else { "when.soon" };
            facts.extend(on.map(|on| ("date".to_owned(), self.grammar.day(on, &self.letter.time_zone))));
            facts.insert("when".to_owned(), self.say(key, &facts)?);
        }
        self.say(key, &facts)
    }

    fn sections(&self) -> Result<Vec<Value>, RenderError> {
        let passages = self.letter.passages.iter().enumerate().take(PASSAGES_MAX);
        passages
            .map(|(at, passage)| {
                let text = self.sentence(passage.message, passage.message.keys().brief, at)?;
                Ok(context! { title => capitalised(&self.grammar.bank_alone(self.banks[at].as_deref())), text })
            })
            .collect()
    }

    fn button(&self, own: &Facts) -> Result<Option<Value>, RenderError> {
        let key = match (self.letter.occasion, self.is_single()) {
            (Occasion::FreshLink, _) => Some("fresh_link.button"),
            (Occasion::Due, true) => self.first.message.keys().button,
            (Occasion::Due, false) => self.letter.asks().then_some("several.button"),
        };
        let Some(key) = key else { return Ok(None) };
        Ok(Some(context! { label => self.say(key, own)?, url => &self.letter.repair_url }))
    }

    fn check(&self) -> Result<Value, RenderError> {
        let mut facts = self.facts(&self.app);
        facts.insert("host".to_owned(), self.host.clone());
        facts.insert("address".to_owned(), without_scheme(&self.letter.brand.url).to_owned());
        let keys: &[&str] = if self.letter.asks() {
            &["check.open_yourself", "check.where_it_leads", "check.password"]
        } else {
            &["check.open_yourself_without_button", "check.password"]
        };
        let lines = keys.iter().map(|key| self.say(key, &facts)).collect::<Result<Vec<_>, _>>()?;
        Ok(context! { title => self.say("check.title", &facts)?, lines })
    }

    fn footer(&self, mut facts: Facts) -> Result<Value, RenderError> {
        let brand = &self.letter.brand;
        let why = if self.is_single() { "footer.why" } else { "footer.why_several" };
        let postal = brand.postal_address.as_deref().and_then(|address| plain::one_line(address, 200));
        let (why, help) = (self.say(why, &facts)?, self.say("footer.help", &facts)?);
        let sender = match postal {
            Some(address) => {
                facts.insert("address".to_owned(), address);
                self.say("footer.sender", &facts)?
            }
            None => self.app.clone(),
        };
        Ok(context! { why, help, stop => self.say("footer.stop", &facts)?, stop_url => &self.letter.stop_url, sender })
    }

    fn logo(&self) -> Option<Value> {
        let (width, height) = self.letter.brand.logo.as_ref()?.within(LOGO_BOX.0, LOGO_BOX.1);
        Some(context! { url => format!("cid:{LOGO_ID}"), width, height })
    }

    fn colours(&self) -> Value {
        let button = ButtonColours::of(self.letter.brand.colour);
        context! {
            day => button.day.to_string(), day_ink => button.day_ink.to_string(),
            night => button.night.to_string(), night_ink => button.night_ink.to_string(),
        }
    }
}

fn host_checked(stop_url: &str) -> Result<String, RenderError> {
    host(stop_url).ok_or(RenderError::Link("link that stops letters"))
}

fn host(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    // What the URL parser would drop or rewrite must not stand in a letter either.
    let is_one_word = address.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\'));
    url.host_str().filter(|_| is_one_word).map(str::to_owned)
}

/// The address as people say it: no scheme, so that it stays a text, and no slash at the end.
pub(in crate::mail) fn without_scheme(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    bare.trim_end_matches('/')
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// No more than one empty line at a time, none at the ends.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = if line == "-- " { line } else { line.trim_end() };
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 && !(line.is_empty() && out.is_empty()) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
