//! The templates, the style and the script, as they are put together into one page.
//!
//! Everything is inside the page, under a nonce: a page is one request, and before the press it calls no other address.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use url::Url;

use super::View;
use super::words::{Words, fill};
use crate::mail::letter::ButtonColours;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters"));
    // The names end in .html, which is what makes the engine escape.
    for (name, source) in [
        ("layout.html", include_str!("templates/layout.html")),
        ("notice.html", include_str!("templates/notice.html")),
        ("repair.html", include_str!("templates/repair.html")),
        ("back.html", include_str!("templates/back.html")),
        ("preferences.html", include_str!("templates/preferences.html")),
    ] {
        environment.add_template(name, source).expect("every template is rendered by a test");
    }
    // For one page alone: the others are to stay small.
    environment.add_template("preferences.css", include_str!("preferences.css")).expect("it has no places");
    environment
});

static STYLE: LazyLock<String> = LazyLock::new(|| lean(include_str!("page.css")));
static SCRIPT: LazyLock<String> = LazyLock::new(|| lean(include_str!("page.js")));

/// The script of the pages that have one.
pub(super) fn script() -> &'static str {
    &SCRIPT
}

/// Without the lines that are a comment as a whole, and without indentation.
fn lean(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// One page. `own` is what its template needs beyond the frame.
pub(super) fn render(template: &str, own: &Value, view: &View<'_>, words: &Words) -> String {
    let brand = view.brand;
    let say = |text: &str| fill(text, &[("brand", &brand.name)]);
    let frame = context! {
        language => words.language.tag(),
        nonce => view.nonce.as_str(),
        css => STYLE.as_str(),
        colours => colours(&brand.button),
        brand => context! {
            name => &brand.name,
            url => brand.url.as_str(),
            shown_url => shown(&brand.url),
            support_email => &brand.support_email,
        },
        own_way => say(&words.frame.own_way),
        help => say(&words.frame.help),
    };
    let template = ENVIRONMENT.get_template(template).expect("the name is a constant of this module's callers");
    let page = template.render(context! { ..own.clone(), ..frame });
    page.expect("every page is rendered by a test, and strictly")
}

/// The brand's colours, for the style: by day, and by night.
fn colours(button: &ButtonColours) -> String {
    let ButtonColours { day, day_ink, night, night_ink } = button;
    format!(
        ":root{{--act:{day};--act-text:{day_ink}}}\n\
         @media (prefers-color-scheme:dark){{:root{{--act:{night};--act-text:{night_ink}}}}}"
    )
}

/// An address as a person would type it.
fn shown(url: &Url) -> &str {
    let text = url.as_str();
    text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/')
}
