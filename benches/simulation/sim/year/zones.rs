//! One time zone for each of the 38 offsets from UTC that clocks somewhere in the world are set to in their winter.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub const ZONES: [&str; 38] = [
    "Etc/GMT+12",
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "Pacific/Marquesas",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Noronha",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Asia/Riyadh",
    "Asia/Tehran",
    "Asia/Dubai",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Dhaka",
    "Asia/Yangon",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Australia/Eucla",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Noumea",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Tongatapu",
    "Pacific/Kiritimati",
];

/// The offsets in winter, in seconds: all of them distinct, or there are fewer than zones.
pub fn winter_offsets() -> BTreeSet<i32> {
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let solstices = [at("2026-06-21T12:00:00Z"), at("2026-12-21T12:00:00Z")];
    let winter = |name: &str| {
        let zone = TimeZone::get(name).expect("a zone");
        solstices.map(|at| zone.to_offset(at).seconds()).into_iter().min().expect("two")
    };
    ZONES.into_iter().map(winter).collect()
}
