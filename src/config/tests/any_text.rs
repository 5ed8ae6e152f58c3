//! No text, no change of a good text and no value makes a panic, or a fault that tells a secret.

use proptest::prelude::*;

use super::super::schema::SECTIONS;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = check(&text);
    }

    #[test]
    fn no_change_of_the_example_panics_or_tells_a_secret(
        changes in prop::collection::vec((0..EXAMPLE.len(), 0..12_usize, "[\\[\\]\"'=#\n.,{} a-z0-9äé\u{0}]{0,6}"), 1..6),
    ) {
        let mut text = format!("{EXAMPLE}\n{}", MINIMAL.split_once("[plaid]").expect("a section").1);
        for (at, cut, put) in changes {
            let start = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (start + cut..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text.replace_range(start..end.max(start), &put);
        }
        if let Err(faults) = check(&text) {
            prop_assert!(faults.iter().len() > 0);
            prop_assert!(!faults.to_string().contains("canary"), "{}", faults);
        }
    }

    #[test]
    fn no_value_panics(key in 0..64_usize, value in "[ -~äé\u{0}]{0,20}") {
        let keys: Vec<_> = SECTIONS.iter().flat_map(|section| section.keys.iter().map(|key| (section.name, key.name))).collect();
        let (section, key) = keys[key % keys.len()];
        let value = serde_json::to_string(&value).expect("JSON");
        let _ = check(&minimal_with(section, &format!("{key} = {value}")));
        let _ = check(&minimal_with(section, &format!("{key} = [{value}]")));
    }
}
