//! One section of the configuration as written, asked key by key.
//!
//! Each question names a key and how to parse its value; the answer is the parsed value, or nothing and a fault that is
//! noted. A secret comes from the file itself or from the file that `x_file` names. Does not know what a value may be.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place, shown};
use super::schema::{self, Key, Kind, nearest};
use super::written::{VARIABLE_PREFIX, Written, did_you_mean, homes, kind_of, printable};

/// The largest file that can hold a secret, in bytes. Only keeps a mistaken path (a disk, a pipe without end) from
/// hanging us.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a value is not what its key takes.
pub(super) struct Wrong {
    /// A fragment whose subject is the key.
    pub(super) problem: String,
    /// What to do about it.
    pub(super) remedy: Remedy,
}

/// What to do about a wrong value.
pub(super) enum Remedy {
    /// Write the line that the list of keys has for this one.
    Usual,
    /// Write this value.
    Value(String),
    /// What this sentence says.
    Sentence(String),
}

impl<T: ToString> From<T> for Wrong {
    fn from(problem: T) -> Self {
        Self { problem: problem.to_string(), remedy: Remedy::Usual }
    }
}

impl Wrong {
    pub(super) fn with_remedy(problem: impl ToString, remedy: impl ToString) -> Self {
        Self { problem: problem.to_string(), remedy: Remedy::Sentence(remedy.to_string()) }
    }

    pub(super) fn with_value(problem: impl ToString, value: impl ToString) -> Self {
        Self { problem: problem.to_string(), remedy: Remedy::Value(value.to_string()) }
    }
}

/// A text from the file, a variable, or a secret's file. No `Debug`: it can be a secret.
pub(super) struct Given {
    pub(super) text: String,
    pub(super) at: Position,
}

/// What a fault about a value has to say besides the problem.
#[derive(Clone)]
pub(super) struct Position {
    place: Place,
    key: String,
    value: Option<String>,
}

/// One section, asked key by key.
pub(super) struct Section<'w, 't> {
    written: &'w mut Written<'t>,
    spec: &'static schema::Section,
    label: String,
    table: Option<&'t DeTable<'t>>,
    /// Where the section begins, or where it could be added.
    place: Place,
    /// Known keys that an unknown one was probably meant to be: they are not reported as missing too.
    meant: BTreeSet<String>,
}

impl<'w, 't> Section<'w, 't> {
    pub(super) fn new(
        written: &'w mut Written<'t>,
        spec: &'static schema::Section,
        label: String,
        table: Option<&'t DeTable<'t>>,
        place: Place,
    ) -> Self {
        let mut section = Self { written, spec, label, table, place, meant: BTreeSet::new() };
        section.check_keys();
        section
    }

    /// A section whose place holds something else, which is noted: nothing in it is missing besides.
    pub(super) fn unreadable(written: &'w mut Written<'t>, spec: &'static schema::Section, place: Place) -> Self {
        let meant = spec.names().into_iter().collect();
        Self { written, spec, label: spec.name.to_owned(), table: None, place, meant }
    }

    fn check_keys(&mut self) {
        let names = self.spec.names();
        for (name, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let written = name.get_ref().as_ref();
            if names.iter().any(|name| name == written) {
                continue;
            }
            let near = nearest(written, names.iter().cloned());
            let home = homes(written).find(|_| near.is_none());
            let (problem, remedy) = match (&near, &home) {
                (Some(near), _) => {
                    let key = self.spec.key(near).or_else(|| self.spec.key(near.trim_end_matches("_file")));
                    (
                        format!("is no key of [{}]", self.spec.name),
                        format!("Write: {}.", key.map_or(near.as_str(), |key| key.write)),
                    )
                }
                (None, Some(home)) => (format!("is a key of [{home}]"), format!("Write it below [{home}].")),
                (None, None) => {
                    (format!("is no key of [{}]", self.spec.name), format!("Known here: {}.", names.join(", ")))
                }
            };
            let problem = format!("{problem}{}", did_you_mean(near.as_ref()));
            let place = self.written.place(name.span());
            let key = format!("{}.{}", self.label, printable(written));
            self.meant.extend(near.iter().map(|near| near.trim_end_matches("_file").to_owned()));
            let known = near.or_else(|| home.map(|home| format!("{home}.{written}")));
            self.written.unknown(place, key, problem, remedy, known);
        }
    }

    fn key(&self, name: &str) -> &'static Key {
        self.spec.key(name).expect("sections ask for keys of the list")
    }

    fn position(&self, name: &str, place: Place, value: Option<String>) -> Position {
        Position { place, key: format!("{}.{name}", self.label), value }
    }

    /// A value of this key, parsed; a fault if it is missing or wrong.
    pub(super) fn required<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, W>,
    ) -> Option<T> {
        match self.text(name) {
            Found::Given(given) => self.parsed(name, given, parse),
            Found::Faulty => None,
            Found::Missing => self.missing(name),
        }
    }

    /// A value of this key, parsed; nothing if it is missing, a fault if it is wrong.
    pub(super) fn optional<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, W>,
    ) -> Option<T> {
        match self.text(name) {
            Found::Given(given) => self.parsed(name, given, parse),
            Found::Faulty | Found::Missing => None,
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        self.optional(name, |text| {
            let problem = || format!("has to be a whole number from {} to {}", bounds.start(), bounds.end());
            text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(problem)
        })
    }

    /// true or false.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.optional(name, |text| text.parse().map_err(|_| "is neither true nor false"))
    }

    /// A secret, from the file itself or from the file that `x_file` names; a fault if it is missing or wrong.
    pub(super) fn required_secret<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, W>,
    ) -> Option<T> {
        match self.secret(name) {
            Found::Given(given) => self.parsed(name, given, parse),
            Found::Faulty => None,
            Found::Missing => self.missing(name),
        }
    }

    /// A secret, from the file itself or from the file that `x_file` names; nothing if it is missing, a fault if it is
    /// wrong.
    pub(super) fn optional_secret<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, W>,
    ) -> Option<T> {
        match self.secret(name) {
            Found::Given(given) => self.parsed(name, given, parse),
            Found::Faulty | Found::Missing => None,
        }
    }

    /// A list, each entry parsed for itself; nothing if it is missing or anything in it is wrong.
    pub(super) fn list<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, W>,
    ) -> Option<Vec<T>> {
        // A list that was not closed swallows the lines below: what is wrong with its entries only seems so.
        let value = self.table?.get(name).filter(|_| !self.written.is_broken)?;
        let Some(entries) = value.get_ref().as_array() else {
            self.wrong_type(name, value, "a list");
            return None;
        };
        let mut parsed = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let position = format!("{name}[{index}]");
            match self.text_of(name, &position, entry) {
                Found::Given(given) => parsed.extend(self.parsed(name, given, &parse)),
                Found::Faulty | Found::Missing => {}
            }
        }
        (parsed.len() == entries.len()).then_some(parsed)
    }

    /// A list of secrets, from the file itself or one a line from the file that `x_file` names.
    pub(super) fn secret_list<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, W>,
    ) -> Option<Vec<T>> {
        let file = format!("{name}_file");
        let given = match self.text(&file) {
            Found::Missing => return self.list(name, parse),
            Found::Faulty => return None,
            Found::Given(given) if self.has(name) => {
                self.both(name, given.at);
                return None;
            }
            Found::Given(given) => self.read(name, given)?,
        };
        let lines: Vec<_> = given.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut parsed = Vec::new();
        for line in &lines {
            let line = Given { text: (*line).to_owned(), at: given.at.clone() };
            parsed.extend(self.parsed(name, line, &parse));
        }
        (parsed.len() == lines.len()).then_some(parsed)
    }

    /// Whether a key stands in the section or in the environment.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name)) || self.variable(name).is_some()
    }

    /// Notes what is wrong with a key that was parsed, or with how it goes together with another one.
    pub(super) fn fault(&mut self, name: &str, wrong: impl Into<Wrong>) {
        let at = self.where_is(name);
        let fault = self.make_fault(name, at, wrong.into());
        self.written.faults.push(fault);
    }

    /// Notes what is allowed and not wise.
    pub(super) fn warn(&mut self, name: &str, wrong: impl Into<Wrong>) {
        let at = self.where_is(name);
        let warning = self.make_fault(name, at, wrong.into());
        self.written.warnings.push(warning);
    }

    /// A path, read from the folder of the configuration file.
    pub(super) fn beside_file(&self, path: &str) -> PathBuf {
        self.written.base_dir.join(path)
    }

    /// The tree below the section's name, if there is one.
    pub(super) fn table(&self) -> Option<&'t DeTable<'t>> {
        self.table
    }

    fn parsed<T, W: Into<Wrong>>(
        &mut self,
        name: &str,
        given: Given,
        parse: impl FnOnce(&str) -> Result<T, W>,
    ) -> Option<T> {
        match parse(&given.text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let fault = self.make_fault(name, given.at, wrong.into());
                self.written.faults.push(fault);
                None
            }
        }
    }

    fn make_fault(&self, name: &str, at: Position, wrong: Wrong) -> Fault {
        let remedy = match wrong.remedy {
            Remedy::Usual => format!("Write: {}.", self.key(name).write),
            Remedy::Value(value) if at.key.ends_with(']') => format!("Write: {}.", shown(&value)),
            Remedy::Value(value) => format!("Write: {name} = {}.", shown(&value)),
            Remedy::Sentence(sentence) => sentence,
        };
        Fault { place: at.place, key: Some(at.key), value: at.value, problem: wrong.problem, remedy, nearest: None }
    }

    /// Notes that a required key is missing.
    pub(super) fn missing<T>(&mut self, name: &str) -> Option<T> {
        if !self.meant.contains(name) && !self.written.is_broken {
            let remedy = match self.table.is_some() {
                true => format!("Write: {}.", self.key(name).write),
                false => format!("Write below [{}]: {}.", self.spec.name, self.key(name).write),
            };
            let at = self.position(name, self.place.clone(), None);
            let fault = self.make_fault(name, at, Wrong::with_remedy("is missing", remedy));
            self.written.faults.push(fault);
        }
        None
    }

    fn both(&mut self, name: &str, at: Position) {
        let wrong = Wrong::with_remedy(format!("is given although {name} is"), format!("Keep {name}_file only."));
        let fault = self.make_fault(name, at, wrong);
        self.written.faults.push(fault);
    }

    fn where_is(&self, name: &str) -> Position {
        if self.variable(name).is_some() {
            return self.position(name, self.variable_place(name), None);
        }
        let value = self.table.and_then(|table| table.get(name));
        let place = value.map_or_else(|| self.place.clone(), |value| self.written.place(value.span()));
        let shown = value.and_then(|value| self.shown(name, value.get_ref()));
        self.position(name, place, shown)
    }

    fn variable(&self, name: &str) -> Option<&String> {
        self.written.variables.get(&(self.spec.name, name.to_owned()))
    }

    fn variable_place(&self, name: &str) -> Place {
        Place::Variable { variable: format!("{VARIABLE_PREFIX}{}__{name}", self.spec.name).to_uppercase() }
    }

    fn is_quiet(&self, name: &str) -> bool {
        // `x_file` holds a path, which is there to be read.
        self.spec.key(name).is_some_and(|key| key.kind.is_quiet())
    }

    fn shown(&self, name: &str, value: &DeValue<'_>) -> Option<String> {
        match value {
            _ if self.is_quiet(name) || self.written.is_broken => None,
            DeValue::String(text) => Some(shown(text)),
            DeValue::Integer(number) => Some(printable(&number.to_string())),
            DeValue::Float(number) => Some(printable(&number.to_string())),
            DeValue::Boolean(yes) => Some(yes.to_string()),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    fn text(&mut self, name: &str) -> Found {
        if let Some(text) = self.variable(name).cloned() {
            let shown = (!self.is_quiet(name)).then(|| shown(&text));
            return Found::Given(Given { at: self.position(name, self.variable_place(name), shown), text });
        }
        match self.table.and_then(|table| table.get(name)) {
            Some(value) => self.text_of(name, name, value),
            None => Found::Missing,
        }
    }

    fn text_of(&mut self, name: &str, position: &str, value: &'t Spanned<DeValue<'t>>) -> Found {
        let kind = self.spec.key(name).map_or(Kind::Text, |key| key.kind);
        let text = match (kind, value.get_ref()) {
            (Kind::Number, DeValue::Integer(number)) => number.to_string(),
            (Kind::Flag, DeValue::Boolean(flag)) => flag.to_string(),
            (Kind::Flag, _) => return self.not(name, value, "true or false without quotes"),
            (Kind::Number, _) => return self.not(name, value, "a whole number without quotes"),
            (_, DeValue::String(text)) => text.to_string(),
            (_, _) => return self.not(name, value, "a text in quotes"),
        };
        let place = self.written.place(value.span());
        let shown = self.shown(name, value.get_ref());
        Found::Given(Given { text, at: self.position(position, place, shown) })
    }

    fn not(&mut self, name: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Found {
        self.wrong_type(name, value, expected);
        Found::Faulty
    }

    fn wrong_type(&mut self, name: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let at = self.position(name, self.written.place(value.span()), self.shown(name, value.get_ref()));
        let problem = format!("is {}, not {expected}", kind_of(value.get_ref()));
        let base = name.trim_end_matches("_file");
        let fault = self.make_fault(if self.spec.key(name).is_some() { name } else { base }, at, problem.into());
        self.written.faults.push(fault);
    }

    fn secret(&mut self, name: &str) -> Found {
        let file = format!("{name}_file");
        match self.text(&file) {
            Found::Missing => self.text(name),
            Found::Faulty => Found::Faulty,
            Found::Given(given) if self.has(name) => {
                self.both(name, given.at);
                Found::Faulty
            }
            Found::Given(given) => self.read(name, given).map_or(Found::Faulty, Found::Given),
        }
    }

    /// Reads the file that `given` names. A relative path is looked up among systemd's credentials if there are any,
    /// else beside the configuration file.
    fn read(&mut self, name: &str, mut given: Given) -> Option<Given> {
        let folder = self.written.credentials.as_ref().unwrap_or(&self.written.base_dir);
        let path = folder.join(&given.text);
        match read_secret(&path) {
            Ok(text) => return Some(Given { text, at: given.at }),
            Err(why) => {
                let shown = printable(&path.display().to_string());
                let mut wrong = Wrong::from(format!("cannot be read: {shown}: {why}"));
                if looks_like_a_secret(&given.text) {
                    given.at.value = None;
                    wrong.problem = "takes the path of a file, and seems to hold the secret itself".to_owned();
                }
                let fault = self.make_fault(name, given.at, wrong);
                self.written.faults.push(fault);
            }
        }
        None
    }
}

enum Found {
    Given(Given),
    /// There is something, and its fault is noted.
    Faulty,
    Missing,
}

fn read_secret(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_FILE_BYTES_MAX} bytes"));
    }
    // Editors and `echo` end a file with a newline, which is no part of the secret. Only one: a secret may end with
    // others.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// A key pasted where a path belongs must not come back in the fault: long, without a dot or a leading slash, and mixed
/// as only chance mixes.
fn looks_like_a_secret(text: &str) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-!".contains(&b));
    let has_digit = text.bytes().any(|b| b.is_ascii_digit());
    text.len() >= 20 && is_plain && has_digit && !text.starts_with('/')
}
