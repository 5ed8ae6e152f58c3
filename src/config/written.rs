//! The configuration as written: the parsed file and the environment, asked section by section.
//!
//! Serde would stop at the first fault, so the tree that `toml` parses is walked by hand. This knows where each value
//! stands and which names exist; what a value may be is the business of the sections. It never renders a line of the
//! file, as `toml`'s own errors do: a secret can stand there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place};
use super::schema::{self, Kind, SECTIONS, nearest};
use super::section::{Section, Wrong};

/// All variables that begin so are ours: an unknown one is a fault.
pub(super) const VARIABLE_PREFIX: &str = "RELINKD_";

/// Where systemd puts credentials (`LoadCredential=`).
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The file and the environment, and what was found wrong so far.
pub(super) struct Written<'t> {
    text: &'t str,
    file: String,
    pub(super) base_dir: PathBuf,
    pub(super) credentials: Option<PathBuf>,
    root: &'t DeTable<'t>,
    /// By section and key: the variable's value.
    pub(super) variables: BTreeMap<(&'static str, String), String>,
    /// Sections whose name was misspelt: the known name, and the name as written.
    misspelt: BTreeMap<&'static str, String>,
    /// The tree was recovered from a text that is no TOML: what is missing or unknown may only seem so.
    pub(super) is_broken: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

impl<'t> Written<'t> {
    pub(super) fn new(text: &'t str, file: &str, base_dir: &Path, root: &'t DeTable<'t>, is_broken: bool) -> Self {
        Self {
            text,
            file: file.to_owned(),
            base_dir: base_dir.to_owned(),
            credentials: None,
            root,
            variables: BTreeMap::new(),
            misspelt: BTreeMap::new(),
            is_broken,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Takes what of the environment is ours, and notes what cannot be.
    pub(super) fn take_environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let mut known = BTreeMap::new();
        for section in &SECTIONS {
            for name in section.names().into_iter().filter(|_| !section.keys.is_empty()) {
                let variable = format!("{VARIABLE_PREFIX}{}__{}", section.name, name).to_uppercase();
                known.insert(variable, (section, name));
            }
        }
        for (variable, value) in environment {
            if variable == CREDENTIALS_VARIABLE && !value.is_empty() {
                self.credentials = Some(PathBuf::from(value));
            } else if variable.starts_with(VARIABLE_PREFIX) {
                match known.get(&variable) {
                    Some((section, name)) => self.take_variable(variable, value, section, name),
                    None => self.unknown_variable(variable, &known),
                }
            }
        }
    }

    fn take_variable(&mut self, variable: String, value: String, section: &schema::Section, name: &str) {
        let known = SECTIONS.iter().find(|known| known.name == section.name).expect("it comes from this list").name;
        let refused = section.key(name).and_then(|key| match key.kind {
            Kind::Text | Kind::Quiet | Kind::Number | Kind::Flag => None,
            Kind::Secret | Kind::Digest => Some((
                "is a secret, which the environment does not keep",
                format!("Write: {variable}_FILE=<path of a file that holds it>."),
            )),
            Kind::List | Kind::SecretList => {
                Some(("is a list, which only the file can hold", format!("Write below [{known}]: {}.", key.write)))
            }
        });
        match refused {
            None => drop(self.variables.insert((known, name.to_owned()), value)),
            Some((problem, remedy)) => self.faults.push(Fault {
                place: Place::Variable { variable },
                key: Some(format!("{known}.{name}")),
                value: None,
                problem: problem.to_owned(),
                remedy,
                nearest: None,
            }),
        }
    }

    fn unknown_variable(&mut self, variable: String, known: &BTreeMap<String, (&schema::Section, String)>) {
        // Without the beginning that all share, which would make all of them near.
        let bare = |name: &str| name.trim_start_matches(VARIABLE_PREFIX).to_owned();
        let nearest = nearest(&bare(&variable), known.keys().map(|name| bare(name)));
        let nearest = nearest.map(|bare| format!("{VARIABLE_PREFIX}{bare}"));
        let remedy = match &nearest {
            Some(nearest) => format!("Write: {nearest}."),
            None => "Write: RELINKD_SECTION__KEY, with two underscores and in capitals.".to_owned(),
        };
        let problem = format!("names no key of the configuration{}", did_you_mean(nearest.as_ref()));
        self.faults.push(Fault {
            place: Place::Variable { variable },
            key: None,
            value: None,
            problem,
            remedy,
            nearest,
        });
    }

    /// Notes what stands at the top of the file and is no section. To be called before any section is asked for.
    pub(super) fn check_sections(&mut self) {
        let is_known = |name: &str| SECTIONS.iter().any(|section| section.name == name);
        for (name, value) in self.root.iter() {
            let written = name.get_ref().as_ref();
            if is_known(written) {
                continue;
            }
            let place = self.place(name.span());
            if value.get_ref().is_table() || value.get_ref().is_array() {
                self.unknown_section(written, place);
            } else {
                let home = homes(written).next();
                let (problem, remedy) = match &home {
                    Some(home) => ("stands above any section".to_owned(), format!("Write it below [{home}].")),
                    None => ("is no section and stands in none".to_owned(), known_sections()),
                };
                self.unknown(place, printable(written), problem, remedy, home.map(|home| format!("{home}.{written}")));
            }
        }
    }

    fn unknown_section(&mut self, written: &str, place: Place) {
        let nearest = nearest(written, SECTIONS.iter().map(|section| section.name.to_owned()));
        let known = SECTIONS.iter().find(|section| Some(section.name) == nearest.as_deref());
        let remedy = known.map_or_else(known_sections, |known| format!("Write: [{}].", known.name));
        let problem = format!("is no section{}", did_you_mean(nearest.as_ref()));
        self.unknown(place, printable(written), problem, remedy, nearest);
        if let Some(known) = known.filter(|known| !self.root.contains_key(known.name)) {
            self.misspelt.entry(known.name).or_insert_with(|| written.to_owned());
        }
    }

    /// Notes a name that does not belong where it stands.
    pub(super) fn unknown(
        &mut self,
        place: Place,
        key: String,
        problem: String,
        remedy: String,
        nearest: Option<String>,
    ) {
        if !self.is_broken {
            self.faults.push(Fault { place, key: Some(key), value: None, problem, remedy, nearest });
        }
    }

    /// A section, with its unknown keys noted.
    pub(super) fn section(&mut self, name: &str) -> Section<'_, 't> {
        let spec = SECTIONS.iter().find(|section| section.name == name).expect("sections ask by names of the list");
        let written = self.misspelt.get(name).map_or(name, String::as_str);
        let mut place = self.end();
        let mut table = None;
        if let Some((key, value)) = self.root.get_key_value(written) {
            place = self.place(key.span());
            table = value.get_ref().as_table();
            if table.is_none() {
                let problem = format!("is {}, not a section", kind_of(value.get_ref()));
                let remedy = format!("Write: [{name}] on a line of its own, and its keys below.");
                self.unknown(place.clone(), name.to_owned(), problem, remedy, None);
                return Section::unreadable(self, spec, place);
            }
        }
        Section::new(self, spec, name.to_owned(), table, place)
    }

    /// The entries of `[[api.keys]]`: each with its number in the list, its place and its tree.
    pub(super) fn api_keys(&mut self) -> Vec<(usize, Place, &'t DeTable<'t>)> {
        let mut section = self.section("api");
        let Some((key, value)) = section.table().and_then(|table| table.get_key_value("keys")) else {
            let remedy = "Write: [[api.keys]], and below it name, key_file and scope.";
            section.warn("keys", Wrong::with_remedy("is missing, so nobody can use the API", remedy));
            return Vec::new();
        };
        let place = self.place(key.span());
        let entries: Vec<_> =
            value.get_ref().as_array().map(|list| list.iter().enumerate().collect()).unwrap_or_default();
        let tables: Vec<_> = entries
            .iter()
            .filter_map(|(index, entry)| Some((*index, self.place(entry.span()), entry.get_ref().as_table()?)))
            .collect();
        if !value.get_ref().is_array() || tables.len() != entries.len() {
            let remedy = "Write: [[api.keys]] on a line of its own, and below it name, key_file and scope.".to_owned();
            self.unknown(place, "api.keys".to_owned(), "is no list of tables".to_owned(), remedy, None);
        }
        tables
    }

    /// One entry of [`Self::api_keys`] as a section.
    pub(super) fn api_key(&mut self, index: usize, place: Place, table: &'t DeTable<'t>) -> Section<'_, 't> {
        Section::new(self, &schema::API_KEY, format!("api.keys[{index}]"), Some(table), place)
    }

    /// Notes that a text is no TOML. `message` comes from the parser and repeats nothing of the text.
    pub(super) fn syntax(&mut self, message: &str, span: Option<Range<usize>>) {
        let place = span.map_or_else(|| self.end(), |span| self.place(span));
        let remedy = match message {
            "duplicate key" => "Keep one of the two.",
            _ => "Write: key = \"value\", one on each line, below a [section].",
        };
        let problem = format!("is no TOML here: {}", message.replace('\n', " "));
        self.faults.push(Fault { place, key: None, value: None, problem, remedy: remedy.to_owned(), nearest: None });
    }

    /// Where a span of the text begins.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let start = (0..=span.start.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        let before = &self.text[..start.unwrap_or(0)];
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        Place::Spot { file: self.file.clone(), line, column }
    }

    /// Where something that is missing can be added.
    fn end(&self) -> Place {
        self.place(self.text.len()..self.text.len())
    }
}

/// The sections in which a key of this name could stand.
pub(super) fn homes(name: &str) -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().filter(move |section| section.key(name).is_some()).map(|section| section.name)
}

fn known_sections() -> String {
    let names: Vec<_> = SECTIONS.iter().map(|section| format!("[{}]", section.name)).collect();
    format!("Known sections: {}.", names.join(", "))
}

pub(super) fn did_you_mean(nearest: Option<&String>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// A name or a path as a fault may repeat it: one line, short.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
