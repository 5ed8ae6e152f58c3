//! Every kind of page in every language, in the eyes of a browser.
//!
//! What is missing is skipped, aloud: with `TEST_REQUIRE_BROWSER` set it fails.

use std::collections::BTreeSet;

use relinkd::domain::language::Language;
use relinkd::web::page::sample::{embedded, every_page};
use serde_json::json;

use crate::browser::{tools, walk};

/// A name that is long and has a long word, which a narrow window has to break.
const NAME: &str = "Hypothekenkreditgenossenschaftsbank of the Northern Territories and the Islands";

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_every_language_can_be_used_by_everybody() {
    let Some(tools) = tools() else { return };
    let (mut pages, mut seen) = (Vec::new(), BTreeSet::new());
    for language in Language::ALL {
        for name in [Some(NAME), None] {
            for (kind, page) in every_page(language, &embedded(), name) {
                // Many a page names no bank.
                if seen.insert(page.html().to_owned()) {
                    // The same page with other words is only measured.
                    let closely = name.is_some();
                    let tag = language.tag();
                    let name = format!("{kind} of {}, {tag}", name.map_or("a bank", |_| "a named bank"));
                    pages.push(json!({ "name": name, "language": tag, "html": page.html(), "closely": closely }));
                }
            }
        }
    }
    let count = pages.len();
    let walked = walk(&tools, "pages", json!({ "pages": pages })).await;
    assert_eq!((walked.steps.len(), walked.looks), (count, count as u64));
}
