//! Text that strangers wrote (banks, users), made harmless for a line of a letter or a page.
//!
//! It takes away what could break a line, a header or the direction of reading. It does not escape for HTML: the template
//! engine does that, once, at the end.

/// One line of at most `max` characters; nothing if nothing readable is left.
///
/// Control characters become spaces; invisible and direction-changing ones vanish; what is too long ends in "…".
#[must_use]
pub fn one_line(text: &str, max: usize) -> Option<String> {
    let visible: String = text
        .chars()
        .filter(|&c| !is_invisible(c))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| shorten(&line, max))
}

/// A person's name: [`one_line`], and nothing if a mail program would make a link of it.
///
/// Whoever signs up at the application under the name "win.example" would otherwise put a link into a letter of ours.
#[must_use]
pub fn person(text: &str, max: usize) -> Option<String> {
    bank(text, max).filter(|line| !line.split(' ').any(is_dotted))
}

/// A bank's name: [`one_line`], and nothing if it has a link or an address in it. A name like "Bank.example" stays.
#[must_use]
pub fn bank(text: &str, max: usize) -> Option<String> {
    let is_link = |line: &str| line.contains("://") || line.contains('@') || line.to_lowercase().contains("www.");
    one_line(text, max).filter(|line| !is_link(line))
}

/// The text itself, or its beginning and "…", together at most `max` characters; cut between words where that loses little.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max.saturating_sub(1)).collect();
    let at_word = head.rfind(' ').filter(|at| head[..*at].chars().count() * 2 >= max);
    let end = if text[head.len()..].starts_with(' ') { head.len() } else { at_word.unwrap_or(head.len()) };
    format!("{}…", head[..end].trim_end_matches([' ', ',', '-', '&', '.']))
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

fn is_dotted(word: &str) -> bool {
    word.split('.').skip(1).any(|part| part.chars().take_while(|c| c.is_alphanumeric()).count() >= 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("First\r\nBcc: x\u{0}\u{1b}[31m", 60).as_deref(), Some("First Bcc: x [31m"));
        assert_eq!(one_line("safe\u{202E}knab\u{2066}\u{200B}", 60).as_deref(), Some("safeknab"));
        assert_eq!(one_line("a\u{2028}b\u{85}c\td", 60).as_deref(), Some("a b c d"));
        assert_eq!(one_line(" \u{200B}\r\n ", 60), None);
    }

    #[test]
    fn names_that_look_like_links_are_left_out() {
        for bad in ["win.example", "Go to https://x", "me@x.example", "WWW.x", "a.bc now", "hello evil.example/x"] {
            assert_eq!(person(bad, 60), None, "{bad}");
        }
        for good in ["J. R. Smith", "J.R. Smith", "O'Brien & Sons, Ltd.", "Ann-Lee", "Bank No. 5", "Zoë"] {
            assert_eq!(person(good, 60).as_deref(), Some(good));
            assert_eq!(bank(good, 60).as_deref(), Some(good));
        }
        assert_eq!(bank("Bank.example", 60).as_deref(), Some("Bank.example"));
        assert_eq!(bank("Bank, see https://x", 60), None);
    }

    #[test]
    fn shortening_prefers_whole_words() {
        assert_eq!(shorten("First Platypus Bank", 19), "First Platypus Bank");
        assert_eq!(shorten("First Platypus Bank", 18), "First Platypus…");
        assert_eq!(shorten("First Platypus Bank", 15), "First Platypus…");
        assert_eq!(shorten("First Platypus Bank", 14), "First Platypu…");
        assert_eq!(shorten("Überweisungsgenossenschaft", 10), "Überweisu…");
        assert_eq!(shorten("abc", 0), "…");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_one_short_visible_line_comes_out(text in any::<String>(), max in 1_usize..80) {
            if let Some(line) = one_line(&text, max) {
                prop_assert!(!line.is_empty() && line.chars().count() <= max);
                prop_assert!(line.chars().all(|c| !c.is_control() && !is_invisible(c)));
            }
        }
    }
}
