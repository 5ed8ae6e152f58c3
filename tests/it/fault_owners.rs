//! The table of fault owners against what Plaid documents: the project's notes of Plaid's error pages (facts.md, section 4.2)
//! and Plaid's own OpenAPI file. Neither is part of this project: where one is absent its test says so and passes; with
//! `TEST_REQUIRE_SHARED` set it fails instead.

use std::collections::BTreeSet;
use std::path::Path;

use relinkd::plaid::fault::{Owner, TABLE};

const SHARED: &str = "../shared/plaid";

/// A file of the folder beside the project, or nothing where it is absent and nobody insists on it.
fn shared(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHARED).join(name);
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Some(text);
    }
    let required = std::env::vars_os().any(|(name, _)| name == "TEST_REQUIRE_SHARED");
    assert!(!required, "TEST_REQUIRE_SHARED is set, and {} is not there", path.display());
    crate::process::say(&format!(
        "SKIPPED: {} is not there, so the table of faults is not held against it",
        path.display()
    ));
    None
}

fn owner(code: &str) -> Option<Owner> {
    TABLE.iter().find(|row| row.code == code).map(|row| row.owner)
}

fn is_code(text: &str) -> bool {
    text.len() > 3 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The groups of section 4.2, each with its codes: rows without a name go on with the group above.
fn groups(facts: &str) -> Vec<(String, Vec<String>)> {
    let from = facts.find("### 4.2 ").expect("the section");
    let section = facts[from..].split("\nOther facts").next().expect("its table");
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let mut columns = row.split('|').skip(1).map(str::trim);
        let (name, codes) = (columns.next().expect("a group"), columns.next().expect("codes"));
        if !name.is_empty() {
            groups.push((name.replace('*', ""), Vec::new()));
        }
        let (_, all) = groups.last_mut().expect("the first row has a name");
        all.extend(quoted(codes).filter(|code| is_code(code)).map(str::to_owned));
    }
    groups
}

/// Who may own the codes of a group. Two codes that update mode cures need a product that only the application knows.
fn fits(group: &str, code: &str, owner: Owner) -> bool {
    match group {
        "Update mode fixes it" if ["MANUAL_VERIFICATION_REQUIRED", "ADDITIONAL_CONSENT_REQUIRED"].contains(&code) => {
            owner == Owner::Operator
        }
        "Update mode fixes it" | "User must act at the bank first, then update mode/Link" => {
            matches!(owner, Owner::User { .. })
        }
        "New Item needed" => matches!(owner, Owner::NewItem | Owner::UserWithdrew | Owner::Gone),
        "Retry later, do not mail the user" => matches!(owner, Owner::Bank | Owner::Plaid),
        "Permanent at the bank" | "Operator's fault" => owner == Owner::Operator,
        "Only inside Link" | "Race" => owner == Owner::Nobody,
        other => panic!("a group of which nothing is expected yet: {other}"),
    }
}

#[test]
fn every_code_of_the_notes_has_the_owner_that_they_say() {
    let Some(facts) = shared("facts.md") else { return };
    let groups = groups(&facts);
    assert_eq!(groups.len(), 8, "{groups:?}");
    assert!(groups.iter().map(|(_, codes)| codes.len()).sum::<usize>() >= 50, "{groups:?}");
    for (group, codes) in groups {
        for code in codes {
            let owner = owner(&code).unwrap_or_else(|| panic!("{code} ({group}) has no owner"));
            assert!(fits(&group, &code, owner), "{code} ({group}): {owner:?}");
        }
    }
}

/// Codes stand in Plaid's file as examples of `error_code`, and in sentences as "`X` error".
#[test]
fn every_code_of_plaids_own_file_has_an_owner() {
    let Some(file) = shared("openapi-subset.yml") else { return };
    let examples = file.lines().filter_map(|line| line.trim().strip_prefix("error_code: "));
    let parts: Vec<&str> = file.split('`').collect();
    let in_sentences = parts.windows(2).filter(|pair| pair[1].starts_with(" error")).map(|pair| pair[0]);
    let codes: BTreeSet<&str> = examples.chain(in_sentences).filter(|code| is_code(code)).collect();
    assert!(codes.len() >= 5, "{codes:?}");
    let unowned: Vec<&str> = codes.into_iter().filter(|code| owner(code).is_none()).collect();
    assert_eq!(unowned, Vec::<&str>::new());
}
