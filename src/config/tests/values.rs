//! What each key refuses, and what it takes.

use std::collections::BTreeSet;

use super::super::schema::SECTIONS;
use super::*;

/// A bad value of each key, and what the fault has to say about it.
const BAD: &[(&str, &str, &str)] = &[
    ("app", "name = \"\"", "app.name = \"\": is empty"),
    ("app", "name = \"1234567890123456789012345678901\"", "has 31 characters; at most 30"),
    ("app", "name = \"a\\nb\"", "holds a control character"),
    ("app", "name = 5", "app.name = 5: is a number, not a text in quotes. Write: name = \"Example\"."),
    ("app", "url = \"http://www.example.com\"", "has to begin with https:// (http is for loopback only)"),
    ("app", "url = \"example\"", "is no URL"),
    ("app", "url = \"https://user:canary@www.example.com\"", "\"https://…@www.example.com\": holds a user name"),
    ("app", "support_email = \"support\"", "needs exactly one @"),
    ("app", "locale = \"xx\"", "is a language without letters; there are letters in \"en\", \"es\""),
    (
        "app",
        "locale = \"de\"",
        "has no \"de\", which is the locale in [app]. Write: languages = [\"en\", \"es\", \"fr\", \"de\"]",
    ),
    ("app", "locale = \"English\"", "is no language tag"),
    ("app", "time_zone = \"Mars/Olympus\"", "is no time zone of the IANA database"),
    ("server", "public_url = \"https://a.example/x?y\"", "Write: public_url = \"https://a.example\"."),
    ("server", "public_url = \"http://a.example\"", "has to begin with https://"),
    ("server", "public_url = \"ftp://a.example\"", "has to begin with https://"),
    ("server", "public_url = \"https://a.example/#x\"", "holds a #"),
    ("server", "public_listen = \"8080\"", "is no IP address with a port"),
    ("server", "private_listen = \"localhost:8081\"", "is no IP address with a port"),
    ("server", "private_listen = \"127.0.0.1:8080\"", "listens where public_listen does (0.0.0.0:8080)"),
    ("server", "control_socket = \"\"", "is empty"),
    ("server", "control_socket = \"/run/relinkd/\"", "names a folder, not a file"),
    ("server", "control_socket = \"a\\u0000b\"", "holds a NUL"),
    (
        "server",
        "control_socket = \"/run/relinkd/01234567890123456789012345678901234567890123456789/01234567890123456789012345678901234567890123\"",
        "is longer than the 107 bytes that a socket's path can have",
    ),
    ("server", "trusted_proxies = [\"10.0.0.1/8\"]", "Write: 10.0.0.0/8, or 10.0.0.1 for that one."),
    ("server", "trusted_proxies = [\"::1\", \"proxy\"]", "server.trusted_proxies[1] = \"proxy\": is no IP address"),
    ("server", "trusted_proxies = [\"10.0.0.0/33\"]", "has a prefix that is no number from 0 to 32"),
    ("server", "trusted_proxies = [\"::ffff:10.0.0.1\"]", "is an IPv4 address written as IPv6"),
    ("server", "trusted_proxies = \"10.0.0.1\"", "is a text, not a list"),
    ("server", "trusted_proxies = [1]", "is a number, not a text in quotes"),
    ("plaid", "environment = \"development\"", "is none of \"sandbox\", \"production\""),
    ("plaid", "base_url = \"https://a.example/v1\"", "holds more than scheme, host and port"),
    ("plaid", "link_script_url = \"//cdn.plaid.com\"", "is no URL"),
    ("plaid", "client_id = \"\"", "plaid.client_id: is empty"),
    ("plaid", "secret = \"two words\"", "plaid.secret: holds a space"),
    ("plaid", "secret = [\"canary\"]", "plaid.secret: is a list, not a text in quotes"),
    ("plaid", "secret_file = \"x\"", "plaid.secret_file = \"x\": is given although secret is"),
    ("plaid", "country_codes = []", "is empty; at least one"),
    ("plaid", "country_codes = [\"US\", \"UK\"]", "plaid.country_codes[1] = \"UK\""),
    ("plaid", "country_codes = [\"US\", \"CA\", \"US\"]", "names a country twice"),
    ("plaid", "link_mode = \"popup\"", "is none of \"embedded\", \"hosted\""),
    ("plaid", "late_webhooks = \"drop\"", "is none of \"observe\", \"apply\""),
    ("plaid", "probe_accounts = \"yes\"", "is a text, not true or false without quotes"),
    (
        "plaid",
        "superseding_institutions = [\"a bank\"]",
        "plaid.superseding_institutions[0] = \"a bank\": holds a space",
    ),
    ("store", "path = \"\"", "is empty"),
    ("store", "path = \"/var/lib/relinkd/\"", "names a folder, not a file"),
    ("store", "path = \"a\\u0000b\"", "holds a NUL"),
    (
        "store",
        "data_key = \"Y2FuYXJ5\"",
        "store.data_key: has 6 bytes instead of 32. Write what `openssl rand -base64 32`",
    ),
    ("store", "data_key = \"canary\"", "store.data_key: is no standard base64"),
    ("store", "data_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", "is the same byte over and over"),
    ("store", "data_key_file = \"data-key\"", "is given although data_key is"),
    ("store", "data_keys_old = [\"canary\"]", "store.data_keys_old[0]: is no standard base64"),
    ("store", "data_keys_old_file = \"none\"", "cannot be read: /nowhere/none: No such file"),
    ("mail", "from = \"Example\"", "needs exactly one @"),
    ("mail", "from = \"Example <hello@localhost>\"", "has no domain name with a dot"),
    ("mail", "reply_to = \"Example <>\"", "needs exactly one @"),
    ("mail", "smtp_url = \"mail.example.com\"", "has to begin with smtp://, smtps:// or smtp+starttls://"),
    ("mail", "smtp_url = \"smtps://me:canary@mail.example\"", "username = \"…\" and password_file = \"…\"."),
    ("mail", "smtp_url = \"smtp://localhost:0\"", "has a port that is no number from 1 to 65535"),
    ("mail", "smtp_url = \"smtp://\"", "has no valid host"),
    ("mail", "smtp_url = \"smtp://a.example/path\"", "has no valid host"),
    ("mail", "username = \"canary\"", "mail.password: is missing although username is given"),
    ("mail", "password = \"canary\"", "mail.username: is missing although a password is given"),
    ("mail", "only_to = [\"example.com\"]", "is no address, no \"@domain\" and no pattern"),
    ("mail", "only_to = [\"*\"]", "is no address, no \"@domain\" and no pattern"),
    ("mail", "return_path = \"Bounces <b@example.com>\"", "mail.return_path"),
    ("mail", "postmark_login = \"canary\"", "is no user:password with a password of at least 16 characters"),
    ("mail", "mailgun_signing_key = \"\"", "is empty"),
    ("mail", "resend_signing_secret = \"canary\"", "does not begin with whsec_"),
    ("mail", "daily_caps = [\"gmail.com\"]", "is no domain and number"),
    ("mail", "languages = []", "has no \"en\", which is the locale in [app]"),
    ("mail", "languages = [\"en\", \"tlh\"]", "mail.languages[1] = \"tlh\": is a language without letters"),
    ("mail", "colour = \"blue\"", "is no colour such as \"#1f4fbf\""),
    (
        "mail",
        "colour = \"#ffd400\"",
        "is too pale for a button on white: its contrast is 1.4, and 3 is needed. Write: colour",
    ),
    ("mail", "colour = \"#7b7b7b\"", "of white text is 4.2, of dark text 4.4, and 4.5 is needed. Write: colour"),
    ("mail", "logo_file = \"logo.png\"", "mail.logo_file = \"logo.png\": cannot be read: No such file"),
    ("mail", "templates_dir = \"a\\u0000b\"", "is no folder"),
    ("mail", "postal_address = \"a\\nb\"", "holds a control character or a line break"),
    ("mail", "delivery = \"pigeon\"", "mail.delivery = \"pigeon\": is neither \"smtp\" nor \"event\""),
    ("reminders", "login_required = [\"3d\", \"30m\"]", "each duration has to be longer than the one before"),
    ("reminders", "login_required = [\"soon\"]", "reminders.login_required[0] = \"soon\": is no duration"),
    ("reminders", "pending_expiration = [\"1d\", \"7d\"]", "each duration has to be shorter than the one before"),
    ("reminders", "pending_expiration = [\"1d\", \"0s\"]", "names the deadline itself (0s)"),
    ("reminders", "new_accounts = [\"9000d\"]", "has a duration outside 0s to 366d"),
    ("reminders", "revoked = [\"1d\", \"2d\"]", "gets one letter at most"),
    ("reminders", "send_window = \"* 9-17 * * *\"", "Write: send_window = \"* * 9-17 * * *\"."),
    ("reminders", "send_window = \"0 0 9 30 2 *\"", "never matches"),
    ("reminders", "send_window = \"0 0 9 * * *\"", "opens for 1 s only, and letters need 15 minutes or more"),
    ("reminders", "send_window = \"by day\"", "is no cron expression of 6 or 7 fields"),
    ("reminders", "user_gap = \"31d\"", "is longer than 30d"),
    ("reminders", "user_gap = \"1\"", "is no duration"),
    ("plaid", "calls_per_minute = 0", "plaid.calls_per_minute = 0: has to be a whole number from 1 to 5000. Write:"),
    ("plaid", "calls_per_minute = \"1000\"", "is a text, not a whole number without quotes"),
    ("plaid", "webhook_elsewhere = \"steal\"", "is none of \"tell\", \"adopt\""),
    ("schedule", "sweep = \"17 3 * * *\"", "Write: sweep = \"0 17 3 * * *\"."),
    ("schedule", "sweep = \"0 0 0 30 2 *\"", "never matches"),
    ("schedule", "purge = \"nightly\"", "is no cron expression"),
    ("schedule", "observe_broken_every = \"1m\"", "has to be from 10m to 7d"),
    ("schedule", "observe_healthy_every = \"8d\"", "has to be from 10m to 7d"),
    ("retention", "webhook_bodies = \"1d\"", "retention.webhook_bodies = \"1d\": is shorter than 2d"),
    ("retention", "webhooks = \"7d\"", "retention.webhooks = \"7d\": is shorter than webhook_bodies"),
    ("retention", "journal = \"30d\"", "retention.journal = \"30d\": is shorter than 31d"),
    ("retention", "letters = \"30d\"", "retention.letters = \"30d\": is shorter than 31d"),
    ("retention", "sessions = \"soon\"", "retention.sessions = \"soon\": "),
    ("retention", "events = \"6d\"", "retention.events = \"6d\": is shorter than 7d"),
    ("log", "format = \"xml\"", "is none of \"text\", \"json\""),
    ("log", "level = \"loud\"", "is none of off, error"),
    ("log", "level = \"relinkd=loud\"", "is no filter"),
];

#[test]
fn each_bad_value_is_one_fault_that_says_why() {
    for (section, line, expected) in BAD {
        let text = minimal_with(section, line);
        let faults = check(&text).expect_err(line);
        assert_eq!(faults.iter().len(), 1, "{line}:\n{faults}");
        let said = faults.to_string();
        assert!(said.contains(expected), "{line}:\n{said}");
        assert!(!said.contains("canary"), "{line}:\n{said}");
    }
}

#[test]
fn each_key_has_a_bad_value_in_the_table() {
    let tried: BTreeSet<String> =
        BAD.iter().map(|(section, line, _)| format!("{section}.{}", line.split(" =").next().expect("a key"))).collect();
    for section in SECTIONS.iter().filter(|section| section.name != "api") {
        for key in section.keys {
            let name = format!("{}.{}", section.name, key.name);
            assert!(tried.contains(&name), "{name}");
        }
    }
}

#[test]
fn what_is_allowed_and_unusual_is_taken() {
    for (section, line) in [
        ("app", "url = \"http://localhost:3000/\""),
        ("server", "public_url = \"http://127.0.0.1:8080/\""),
        ("server", "public_url = \"http://[::1]:8080\""),
        ("server", "trusted_proxies = [\"::1\", \"fd00::/8\", \"0.0.0.0/0\"]"),
        ("server", "private_listen = \"[::1]:0\""),
        ("plaid", "base_url = \"http://localhost:9000\""),
        ("reminders", "login_required = []"),
        ("reminders", "revoked = [\"1d\"]"),
        ("reminders", "user_gap = \"0s\""),
        ("mail", "only_to = [\"@example.com\", \"qa+*@*.example\"]"),
        ("log", "level = \"info,relinkd::mail=debug\""),
    ] {
        assert!(check(&minimal_with(section, line)).is_ok(), "{line}");
    }
}
