//! As much of OpenAPI 3.0 as it takes to check a JSON body against Plaid's file.
//!
//! Stricter than the standard: a property that the schema does not name is a fault, for Plaid refuses unknown fields. A
//! keyword that is not understood here is a fault too, so that nothing passes unchecked.

use serde_json::{Map, Value, json};
use yaml_rust2::{Yaml, YamlLoader};

/// An OpenAPI file.
pub struct Document(Value);

impl Document {
    pub fn parse(yaml: &str) -> Self {
        let documents = YamlLoader::load_from_str(yaml).expect("the file is YAML");
        Self(as_json(&documents[0]))
    }

    /// The schema of the body that a path takes.
    pub fn request_schema(&self, path: &str) -> Option<&Value> {
        self.0["paths"].get(path)?.pointer("/post/requestBody/content/application~1json/schema")
    }

    pub fn schema(&self, name: &str) -> Option<&Value> {
        self.0["components"]["schemas"].get(name)
    }

    /// The examples of a good answer.
    pub fn answer_examples(&self, path: &str) -> Vec<&Value> {
        let examples = &self.0["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["examples"];
        examples.as_object().into_iter().flat_map(Map::values).map(|example| &example["value"]).collect()
    }

    /// The headers that carry keys and version.
    pub fn security_headers(&self) -> Vec<&str> {
        let schemes = self.0["components"]["securitySchemes"].as_object().expect("security schemes");
        schemes
            .values()
            .filter(|scheme| scheme["in"] == "header")
            .filter_map(|scheme| scheme["name"].as_str())
            .collect()
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let Some(reference) = schema.get("$ref") else { return schema };
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference into this file");
        self.resolve(self.0.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")))
    }

    /// A schema and all that it includes by `allOf`.
    fn parts<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        let included = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.parts(part));
        std::iter::once(schema).chain(included).collect()
    }
}

/// Keywords that say nothing about what is allowed.
const REMARKS: [&str; 7] = ["description", "title", "default", "example", "deprecated", "externalDocs", "allOf"];

/// What is wrong with a value, each fault with its place.
pub fn check(document: &Document, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check_at(document, schema, value, "$", &mut faults);
    faults
}

fn check_at(document: &Document, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let parts = document.parts(schema);
    if value.is_null() {
        if !parts.iter().any(|part| part["nullable"] == true) {
            faults.push(format!("{at}: null is not allowed"));
        }
        return;
    }
    for part in &parts {
        for (keyword, rule) in part.as_object().expect("schemas are objects") {
            check_keyword(document, (keyword, rule), value, at, faults);
        }
    }
    if let Some(object) = value.as_object() {
        for (name, inner) in object {
            let at = format!("{at}.{name}");
            match parts.iter().find_map(|part| part["properties"].get(name)) {
                Some(schema) => check_at(document, schema, inner, &at, faults),
                None => faults.push(format!("{at}: unknown property")),
            }
        }
    }
}

fn check_keyword(document: &Document, rule: (&str, &Value), value: &Value, at: &str, faults: &mut Vec<String>) {
    let mut fault = |what: String| faults.push(format!("{at}: {what}"));
    let length = value.as_str().map(|text| text.chars().count() as u64);
    let items = value.as_array().map(|items| items.len() as u64);
    match rule {
        ("type", expected) => {
            let fits = match expected.as_str() {
                Some("object") => value.is_object(),
                Some("array") => value.is_array(),
                Some("string") => value.is_string(),
                Some("boolean") => value.is_boolean(),
                Some("integer") => value.is_i64() || value.is_u64(),
                Some("number") => value.is_number(),
                Some(_) | None => false,
            };
            if !fits {
                fault(format!("not of type {expected}"));
            }
        }
        ("enum", allowed) if !allowed.as_array().is_some_and(|list| list.contains(value)) => {
            fault(format!("not one of {allowed}"));
        }
        ("required", names) => {
            for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if value.is_object() && value.get(name).is_none() {
                    fault(format!("{name} is missing"));
                }
            }
        }
        ("minLength", limit) if length < limit.as_u64() => fault(format!("shorter than {limit}")),
        ("maxLength", limit) if length > limit.as_u64() => fault(format!("longer than {limit}")),
        ("minItems", limit) if items < limit.as_u64() => fault(format!("fewer items than {limit}")),
        ("maxItems", limit) if items > limit.as_u64() => fault(format!("more items than {limit}")),
        ("minimum", limit) if value.as_f64() < limit.as_f64() => fault(format!("less than {limit}")),
        ("maximum", limit) if value.as_f64() > limit.as_f64() => fault(format!("more than {limit}")),
        ("format", name) => {
            let text = value.as_str().unwrap_or_default();
            let fits = match name.as_str() {
                Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
                Some("date") => text.parse::<jiff::civil::Date>().is_ok(),
                Some("url") => url::Url::parse(text).is_ok(),
                Some("double") => value.is_number(),
                Some(_) | None => false,
            };
            if !fits {
                fault(format!("no {name}"));
            }
        }
        ("items", schema) => {
            for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                check_at(document, schema, item, &format!("{at}[{i}]"), faults);
            }
        }
        ("properties" | "nullable" | "additionalProperties", _) => {}
        ("enum" | "minLength" | "maxLength" | "minItems" | "maxItems" | "minimum" | "maximum", _) => {}
        (remark, _) if REMARKS.contains(&remark) || remark.starts_with("x-") => {}
        (unknown, _) => fault(format!("the checker does not know {unknown}")),
    }
}

fn as_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Hash(members) => {
            let text = |key: &Yaml| key.as_str().map(str::to_owned);
            let number = |key: &Yaml| key.as_i64().map(|number| number.to_string());
            let name = |key: &Yaml| text(key).or_else(|| number(key)).expect("a key is a text or a number");
            Value::Object(members.iter().map(|(key, value)| (name(key), as_json(value))).collect())
        }
        Yaml::Array(items) => items.iter().map(as_json).collect(),
        Yaml::String(text) => json!(text),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(text) => json!(text.parse::<f64>().expect("a number")),
        Yaml::Boolean(truth) => json!(truth),
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("nothing that JSON has"),
    }
}

/// A file in which each rule stands once.
const SMALL: &str = r"
paths: {}
components:
  schemas:
    Name: { type: string, minLength: 2, maxLength: 4 }
    Base: { type: object, properties: { name: { $ref: '#/components/schemas/Name' } }, required: [name] }
    Whole:
      allOf:
      - $ref: '#/components/schemas/Base'
      - type: object
        properties:
          country: { type: string, enum: [US, 'NO'] }
          list: { type: array, minItems: 1, maxItems: 2, items: { type: integer, minimum: 1, maximum: 9 } }
          when: { type: string, format: date-time, nullable: true }
          where: { type: string, format: url }
          flag: { type: boolean }
          odd: { type: string, pattern: x }
";

#[test]
fn the_checker_finds_each_kind_of_fault() {
    let document = Document::parse(SMALL);
    let schema = document.schema("Whole").expect("there");
    let good = json!({ "name": "abc", "country": "NO", "list": [1, 9], "when": null, "where": "https://a.example/",
        "flag": true });
    assert_eq!(check(&document, schema, &good), Vec::<String>::new());
    let table = [
        ("name", Value::Null, "$.name: null is not allowed"),
        ("name", json!(7), "$.name: not of type \"string\""),
        ("name", json!("a"), "$.name: shorter than 2"),
        ("name", json!("abcde"), "$.name: longer than 4"),
        ("country", json!("XX"), "$.country: not one of [\"US\",\"NO\"]"),
        ("list", json!([]), "$.list: fewer items than 1"),
        ("list", json!([1, 2, 3]), "$.list: more items than 2"),
        ("list", json!([0]), "$.list[0]: less than 1"),
        ("list", json!([10]), "$.list[0]: more than 9"),
        ("list", json!([1.5]), "$.list[0]: not of type \"integer\""),
        ("when", json!("soon"), "$.when: no \"date-time\""),
        ("where", json!("here"), "$.where: no \"url\""),
        ("flag", json!("true"), "$.flag: not of type \"boolean\""),
        ("extra", json!(1), "$.extra: unknown property"),
        ("odd", json!("x"), "$.odd: the checker does not know pattern"),
    ];
    for (name, value, expected) in table {
        let mut bad = good.clone();
        bad[name] = value;
        let faults = check(&document, schema, &bad);
        assert!(faults.iter().any(|fault| fault == expected), "{expected}: {faults:?}");
    }
    let faults = check(&document, schema, &json!({ "flag": true }));
    assert_eq!(faults, ["$: name is missing"]);
}
