//! Plaid's times, as exact as they are kept.

use jiff::Timestamp;

/// A moment in RFC 3339, in whole milliseconds: what the store keeps. With more digits the same moment, heard a second
/// time, would be later than the one that was kept, and a consent would look renewed.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_whole_milliseconds_and_what_is_none_is_nothing() {
        let shown = |text: &str| moment(text).map(|moment| moment.to_string());
        assert_eq!(shown("2026-11-23T09:00:00.123456Z").as_deref(), Some("2026-11-23T09:00:00.123Z"));
        assert_eq!(shown("2026-11-23T09:00:00Z").as_deref(), Some("2026-11-23T09:00:00Z"));
        for none in ["", "2026-11-23", "tomorrow"] {
            assert_eq!(moment(none), None, "{none}");
        }
    }
}
