//! The language in which somebody is spoken to whom nobody knows: of those that are on the one for which the browser
//! asks (`Accept-Language`, RFC 9110, section 12.5.4), else the application's.
//!
//! A known user's own language comes first; that is for whoever makes the page. What cannot be read is passed over.

use std::cmp::Reverse;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::domain::contact::Locale;
use crate::domain::language::Language;
use crate::engine::Engine;

/// How many ranges are read. A browser sends those that its owner chose, which are few.
const RANGES_MAX: usize = 32;

/// What a weight is counted in: RFC 9110 gives it three decimals.
const WEIGHT_MAX: u16 = 1000;

/// The language for a reader who is not known.
#[derive(Clone, Copy)]
pub(super) struct BrowserLanguage(pub(super) Language);

impl FromRequestParts<Engine> for BrowserLanguage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Infallible> {
        let config = &engine.config;
        Ok(Self(asked_for(&parts.headers, &config.mail.languages, config.language(None))))
    }
}

/// Of `spoken` the language that is wanted most. `fallback` is one of them.
fn asked_for(headers: &HeaderMap, spoken: &[Language], fallback: Language) -> Language {
    let lines = headers.get_all(header::ACCEPT_LANGUAGE).into_iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(',')).filter_map(Range::parse).take(RANGES_MAX);
    let (mut wanted, refused): (Vec<_>, Vec<_>) = ranges.partition(|range| range.weight > 0);
    // Who refuses `es-MX` may still read `es`; who refuses `es` reads none of its kinds.
    let is_refused = |language: &Language| refused.iter().any(|range| range.tag() == language.tag());
    let spoken: Vec<Language> = spoken.iter().copied().filter(|language| !is_refused(language)).collect();
    // Of the same weight the first comes first: some programs send no weights at all.
    wanted.sort_by_key(|range| Reverse(range.weight));
    wanted.iter().find_map(|range| range.nearest(&spoken, fallback)).unwrap_or(fallback)
}

/// One part of the header, such as `es-MX;q=0.8`.
struct Range {
    /// Nothing is `*`, any language.
    locale: Option<Locale>,
    /// From 0, never, to [`WEIGHT_MAX`].
    weight: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (tag, weight) = match text.split_once(';') {
            Some((tag, weight)) => (tag, parse_weight(weight.trim())?),
            None => (text, WEIGHT_MAX),
        };
        let locale = match tag.trim() {
            "*" => None,
            tag => Some(Locale::parse(tag).ok()?),
        };
        Some(Self { locale, weight })
    }

    fn tag(&self) -> &str {
        self.locale.as_ref().map_or("*", Locale::as_str)
    }

    fn nearest(&self, spoken: &[Language], fallback: Language) -> Option<Language> {
        match &self.locale {
            Some(locale) => Language::nearest(locale, spoken),
            None if spoken.contains(&fallback) => Some(fallback),
            None => spoken.first().copied(),
        }
    }
}

/// `q=0.25`, in thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const SPOKEN: [Language; 4] = [Language::English, Language::Spanish, Language::Norwegian, Language::Portuguese];

    fn heard(lines: &[&[u8]]) -> Language {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_bytes(line).unwrap());
        }
        asked_for(&headers, &SPOKEN, Language::English)
    }

    #[test]
    fn the_language_that_is_wanted_most_is_spoken() {
        for (line, language) in [
            ("es", Language::Spanish),
            ("es-MX,es;q=0.9,en;q=0.8", Language::Spanish),
            ("ES-mx", Language::Spanish),
            ("es-419", Language::Spanish),
            ("nb-NO,nb;q=0.9", Language::Norwegian),
            ("nn", Language::Norwegian),
            ("pt-BR", Language::Portuguese),
            ("en;q=0.5, es;q=0.7", Language::Spanish),
            ("en;q=0.5 , es ; q=0.51,pt;Q=0.509", Language::Spanish),
            ("es;q=0.001,pt;q=0.01", Language::Portuguese),
            ("en;q=0.9,es;q=1.000", Language::Spanish),
            ("es,pt", Language::Spanish),
            ("pt,es", Language::Portuguese),
            // What is not on is passed over.
            ("de,fr;q=0.9,es;q=0.2,en;q=0.1", Language::Spanish),
            ("zh-Hant-TW,zh;q=0.9,pt;q=0.8", Language::Portuguese),
            ("tlh,*", Language::English),
            ("*", Language::English),
            ("*;q=0.5,es;q=0.1", Language::English),
            ("es,*;q=0", Language::Spanish),
        ] {
            assert_eq!(heard(&[line.as_bytes()]), language, "{line}");
        }
        assert_eq!(heard(&[b"de;q=0.9", b"es;q=0.8"]), Language::Spanish, "two lines are one list");
    }

    #[test]
    fn what_is_refused_is_not_spoken() {
        for (line, language) in [
            ("es;q=0", Language::English),
            ("es;q=0,pt;q=0.1", Language::Portuguese),
            ("es-MX,es;q=0.0,pt;q=0.1", Language::Portuguese),
            ("es-MX;q=0,es;q=0.5", Language::Spanish),
            ("en;q=0,*", Language::Spanish),
            ("en;q=0,es;q=0.000,*;q=0.1", Language::Norwegian),
            // A page has to be in some language.
            ("en;q=0", Language::English),
            ("*;q=0", Language::English),
        ] {
            assert_eq!(heard(&[line.as_bytes()]), language, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        assert_eq!(heard(&[]), Language::English);
        for line in ["", ",", ";", "es;", "es;q", "es;q=", "es;q=2", "es;q=1.001", "es;q=-1", "es;q=0.1234", "es;q=.5"]
        {
            assert_eq!(heard(&[line.as_bytes()]), Language::English, "{line}");
        }
        for line in ["es;q=NaN", "es;q=1e0", "es;level=1", "es;q=0.5;q=1", "e s", "Spanish please", "es/mx", "-es"] {
            assert_eq!(heard(&[line.as_bytes()]), Language::English, "{line}");
        }
        assert_eq!(heard(&[b"\xc3\xa9s"]), Language::English);
        assert_eq!(heard(&[b"\xff", b"es"]), Language::Spanish);
        assert_eq!(heard(&[b"en;q=high, pt, ,"]), Language::Portuguese, "the rest counts");
        let many = "de,".repeat(RANGES_MAX) + "es";
        assert_eq!(heard(&[many.as_bytes()]), Language::English, "a list without end is not read to its end");
    }
}
