//! Where the words of all languages and the layout of letters are kept ready for use: those built into the program, and over
//! them what the operator has in a folder of their own.
//!
//! Each sentence is a template of its own, rendered to plain text; the layout then escapes it once, for HTML. So a
//! translator writes no markup, and a bank's name reaches the HTML through one door.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior};

use super::overrides::{self, Override};
use crate::domain::language::Language;

/// How much work a template may be, in the engine's own steps: a hundred times what ours are. Only keeps a loop in an
/// operator's template from going on for ever.
const FUEL: u64 = 1_000_000;

/// The names of the layouts, which are those of an operator's files too.
pub(super) const HTML: &str = "letter.html";
pub(super) const TEXT: &str = "letter.txt";

/// The layouts as they are built into the program.
pub(super) const HTML_LAYOUT: &str = include_str!("layout/letter.html");
pub(super) const TEXT_LAYOUT: &str = include_str!("layout/letter.txt");

/// The layout and the words of some languages, read once at start. The three environments do not see each other: what is
/// not escaped cannot be drawn into what is.
#[derive(Debug)]
pub struct Templates {
    html: Environment<'static>,
    text: Environment<'static>,
    sentences: Environment<'static>,
    /// Where the operator's own templates stand, by their names in the environments.
    places: BTreeMap<String, Place>,
}

/// Where a template of the operator's begins.
#[derive(Clone, Debug)]
struct Place {
    file: String,
    line: usize,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateFault {
    /// The file.
    pub file: String,
    /// The line, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.problem),
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

/// The words of a language as they are built into the program, as TOML.
pub(super) fn built_in(language: Language) -> &'static str {
    macro_rules! words {
        ($tag:literal) => {
            include_str!(concat!("languages/", $tag, "/words.toml"))
        };
    }
    match language {
        Language::English => words!("en"),
        Language::Spanish => words!("es"),
        Language::French => words!("fr"),
        Language::Danish => words!("da"),
        Language::Dutch => words!("nl"),
        Language::Estonian => words!("et"),
        Language::German => words!("de"),
        Language::Hindi => words!("hi"),
        Language::Italian => words!("it"),
        Language::Latvian => words!("lv"),
        Language::Lithuanian => words!("lt"),
        Language::Norwegian => words!("no"),
        Language::Polish => words!("pl"),
        Language::Portuguese => words!("pt"),
        Language::Romanian => words!("ro"),
        Language::Swedish => words!("sv"),
        Language::Vietnamese => words!("vi"),
    }
}

impl Templates {
    /// Reads what is built into the program, in these languages, and over it what lies in the operator's folder, if there is
    /// one. [`check`](super::sample::check) then tries it out.
    ///
    /// # Errors
    /// Every fault of the folder. Of what is built in a test sees to it that there is none in a release.
    pub fn load(languages: &[Language], folder: Option<&Path>) -> Result<Self, Vec<TemplateFault>> {
        let words: Vec<_> = languages.iter().map(|language| (*language, built_in(*language))).collect();
        let mut templates = Self::read(&words)?;
        let (overrides, mut faults) = folder.map_or_else(Default::default, |folder| overrides::read(folder, languages));
        faults.extend(overrides.into_iter().filter_map(|one| templates.replace(one).err()));
        if faults.is_empty() { Ok(templates) } else { Err(faults) }
    }

    /// The built-in layout with these words.
    pub(super) fn read(words: &[(Language, &str)]) -> Result<Self, Vec<TemplateFault>> {
        let mut templates = Self {
            html: environment(Some(escaped)),
            text: environment(None),
            sentences: environment(None),
            places: BTreeMap::new(),
        };
        let mut faults = Vec::new();
        templates.html.add_template(HTML, HTML_LAYOUT).map_err(|error| vec![wrong(HTML, &error)])?;
        templates.text.add_template(TEXT, TEXT_LAYOUT).map_err(|error| vec![wrong(TEXT, &error)])?;
        for (language, words) in words {
            let file = format!("{}/words.toml", language.tag());
            let sentences = overrides::sentences(words).map_err(|fault| vec![fault.within(&file)])?;
            let keys: BTreeSet<&str> = sentences.iter().map(|sentence| sentence.key.as_str()).collect();
            let odd: Vec<&str> = keys.symmetric_difference(keys_of_english()).copied().collect();
            if !odd.is_empty() {
                faults.push(TemplateFault {
                    file,
                    line: None,
                    problem: format!("missing or unknown: {}", odd.join(", ")),
                });
                continue;
            }
            for sentence in sentences {
                let name = sentence_name(*language, &sentence.key);
                if let Err(error) = templates.sentences.add_template_owned(name, sentence.text) {
                    faults.push(wrong(&file, &error));
                }
            }
        }
        if faults.is_empty() { Ok(templates) } else { Err(faults) }
    }

    /// Puts a template of the operator's in the place of the built-in one.
    fn replace(&mut self, one: Override) -> Result<(), TemplateFault> {
        let place = Place { file: one.file.clone(), line: one.line };
        let (environment, name) = match one.what {
            overrides::What::Html => (&mut self.html, HTML.to_owned()),
            overrides::What::Text => (&mut self.text, TEXT.to_owned()),
            overrides::What::Sentence(language, key) => (&mut self.sentences, sentence_name(language, &key)),
        };
        self.places.insert(name.clone(), place);
        let added = environment.add_template_owned(name, one.source);
        added.map_err(|error| self.fault(&error))
    }

    /// Where the operator is to look for the cause of an error.
    pub(super) fn fault(&self, error: &minijinja::Error) -> TemplateFault {
        let name = error.name().unwrap_or_default();
        let problem =
            error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
        match self.places.get(name) {
            Some(place) => {
                let line = place.line + error.line().unwrap_or(1).saturating_sub(1);
                TemplateFault { file: place.file.clone(), line: Some(line), problem }
            }
            None => TemplateFault { file: name.to_owned(), line: error.line(), problem },
        }
    }

    /// Where the operator's template of a part stands: of `letter.html`, `letter.txt`, or a sentence.
    pub(super) fn place(&self, name: &str) -> Option<(&str, usize)> {
        self.places.get(name).map(|place| (place.file.as_str(), place.line))
    }

    /// The file with the operator's words of a language, if there is one.
    pub(super) fn words_of(&self, language: Language) -> Option<&str> {
        let begin = format!("{}.", language.tag());
        self.places.iter().find(|(name, _)| name.starts_with(&begin)).map(|(_, place)| place.file.as_str())
    }

    /// One sentence as plain text.
    ///
    /// # Errors
    /// The sentence does not exist or asks for something that `facts` lacks.
    pub(super) fn say(&self, language: Language, key: &str, facts: &Value) -> Result<String, minijinja::Error> {
        self.sentences.get_template(&sentence_name(language, key))?.render(facts)
    }

    /// The text part, filled with sentences.
    pub(super) fn lay_out_text(&self, view: &Value) -> Result<String, minijinja::Error> {
        self.text.get_template(TEXT)?.render(view)
    }

    /// The HTML part, filled with sentences.
    pub(super) fn lay_out_html(&self, view: &Value) -> Result<String, minijinja::Error> {
        self.html.get_template(HTML)?.render(view)
    }
}

/// The name of a sentence in its environment.
pub(super) fn sentence_name(language: Language, key: &str) -> String {
    format!("{}.{key}", language.tag())
}

/// The keys of all sentences: those that English has.
pub(super) fn keys_of_english() -> &'static BTreeSet<&'static str> {
    static KEYS: std::sync::LazyLock<BTreeSet<&'static str>> = std::sync::LazyLock::new(|| {
        let sentences = overrides::sentences(built_in(Language::English)).expect("English is read by a test");
        sentences.into_iter().map(|sentence| &*sentence.key.leak()).collect()
    });
    &KEYS
}

fn wrong(file: &str, error: &minijinja::Error) -> TemplateFault {
    TemplateFault { file: file.to_owned(), line: error.line(), problem: error.to_string() }
}

type Formatter = fn(&mut minijinja::Output<'_>, &mut minijinja::State<'_, '_>, &Value) -> Result<(), minijinja::Error>;

fn environment(formatter: Option<Formatter>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters"));
    environment.set_fuel(Some(FUEL));
    // What is not ours is escaped, whatever a template says.
    environment.remove_filter("safe");
    if let Some(formatter) = formatter {
        environment.set_formatter(formatter);
    }
    environment
}

/// Escapes the five characters that mean something in HTML. The engine's own escaping also rewrites `/`, which makes
/// links unreadable for people and for spam filters, and a template could switch it off.
fn escaped(out: &mut minijinja::Output, state: &mut minijinja::State, value: &Value) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_safe() {
        return minijinja::escape_formatter(out, state, value);
    }
    for c in value.to_string().chars() {
        match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            other => out.write_char(other),
        }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn every_language_has_every_sentence_and_no_other() {
        Templates::load(&Language::ALL, None).unwrap_or_else(|faults| panic!("{faults:#?}"));
    }

    /// The places of a sentence. A bank's forms differ from language to language: they count as one.
    fn places(text: &str) -> BTreeSet<&str> {
        let names = text.split("{{").skip(1).filter_map(|part| part.split("}}").next()).map(str::trim);
        names.map(|name| if name.starts_with("bank_") { "bank" } else { name }).collect()
    }

    #[test]
    fn every_sentence_has_the_places_of_english_and_is_not_english() {
        let all = |language| {
            let sentences = overrides::sentences(built_in(language)).expect("sentences");
            sentences.into_iter().map(|sentence| (sentence.key, sentence.text)).collect::<BTreeMap<_, _>>()
        };
        let english = all(Language::English);
        let mut wrong = Vec::new();
        for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
            for (key, text) in all(language) {
                let (own, expected) = (places(&text), places(&english[&key]));
                if own != expected {
                    wrong.push(format!("{} {key} has {own:?}, not {expected:?}", language.tag()));
                }
                if text == english[&key] && text.split(|c: char| !c.is_alphabetic()).any(|word| word.len() > 7) {
                    wrong.push(format!("{} {key} is English: {text}", language.tag()));
                }
                if text.lines().count() != english[&key].lines().count() {
                    wrong.push(format!("{} {key} has not as many paragraphs as in English", language.tag()));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_language_that_lacks_a_sentence_is_told_by_its_key() {
        let words = built_in(Language::English).replace("brief = ", "brif = ");
        let faults = Templates::read(&[(Language::German, &words)]).expect_err("keys are wrong");
        assert!(faults[0].to_string().contains("login_required.brief, login_required.brif"), "{faults:?}");
        assert_eq!(faults[0].file, "de/words.toml");
    }

    #[test]
    fn a_fact_that_is_missing_is_an_error() {
        let templates = Templates::load(&[Language::English], None).expect("words");
        let error =
            templates.say(Language::English, "login_required.title", &context! {}).expect_err("bank is missing");
        assert!(format!("{error:#}").contains("undefined"), "{error:#}");
    }

    #[test]
    fn a_template_cannot_switch_escaping_off() {
        let mut html = environment(Some(escaped));
        let sources = [
            "{% autoescape false %}{{ x }}{% endautoescape %}",
            "{% autoescape false %}{{ [x] }}{% endautoescape %}",
            "{% set y %}{{ x }}{% endset %}{{ y }}",
            "{% autoescape false %}{% set y %}{{ x }}{% endset %}{% endautoescape %}{{ y }}",
            "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x) }}",
        ];
        for source in sources {
            html.add_template("x.html", source).expect("a template");
            let said = html.get_template("x.html").expect("it is there").render(context! { x => "<b>" }).expect("text");
            assert!(!said.contains('<'), "{source}: {said}");
        }
        html.add_template("x.html", "{{ x|safe }}").map_or_else(
            |_| (),
            |()| {
                let said = html.get_template("x.html").expect("it is there").render(context! { x => "<b>" });
                assert!(said.is_err());
            },
        );
    }

    #[test]
    fn a_template_without_end_ends() {
        let mut text = environment(None);
        let source = "{% for a in range(90000) %}{% for b in range(90000) %}{{ a }}{% endfor %}{% endfor %}";
        text.add_template("x.txt", source).expect("a template");
        let error = text.get_template("x.txt").expect("it is there").render(context! {}).expect_err("too much work");
        assert_eq!(error.kind(), minijinja::ErrorKind::OutOfFuel);
    }
}
