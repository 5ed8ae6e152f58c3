//! The whole configuration: what faults say, and what the environment may do.

use std::fs;
use std::net::SocketAddr;

use jiff::SignedDuration;
use secrecy::ExposeSecret as _;

use super::*;

mod any_text;
mod control_socket;
mod example;
mod secrets;
mod values;

const MINIMAL: &str = include_str!("tests/minimal.toml");
const EXAMPLE: &str = include_str!("../../config.example.toml");

/// A key for the store that is the text `canary-data-key-0123456789abcdef`.
const DATA_KEY: &str = "Y2FuYXJ5LWRhdGEta2V5LTAxMjM0NTY3ODlhYmNkZWY=";

fn check(text: &str) -> Result<Config, Faults> {
    check_with(text, &[])
}

fn check_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Faults> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    from_text(text, "relinkd.toml", variables, Path::new("/nowhere"))
}

fn faults(text: &str) -> String {
    check(text).expect_err("faults").to_string()
}

fn faults_with(text: &str, variables: &[(&str, &str)]) -> String {
    check_with(text, variables).expect_err("faults").to_string()
}

/// The minimal file with this line in place of the key's own, if it has one there.
fn minimal_with(section: &str, line: &str) -> String {
    let key = line.split(" =").next().expect("a key");
    let header = format!("[{section}]");
    let mut lines = Vec::new();
    let mut here = false;
    for old in MINIMAL.lines() {
        if old.starts_with('[') {
            here = old == header;
        }
        if !(here && old.starts_with(&format!("{key} ="))) {
            lines.push(old.to_owned());
        }
        if old == header {
            lines.push(line.to_owned());
        }
    }
    if !MINIMAL.contains(&header) {
        lines.extend([header, line.to_owned()]);
    }
    lines.join("\n")
}

#[test]
fn the_minimal_file_gives_all_defaults() {
    let config = check(MINIMAL).expect("valid");
    assert_eq!(config.app.language.tag(), "en");
    assert_eq!(config.app.time_zone.as_str(), "UTC");
    assert_eq!(config.server.public_listen, SocketAddr::from(([0, 0, 0, 0], 8080)));
    assert_eq!(config.server.private_listen, SocketAddr::from(([127, 0, 0, 1], 8081)));
    assert_eq!(config.plaid.base_url.as_str(), "https://sandbox.plaid.com/");
    assert_eq!(config.plaid.secret.expose_secret(), "canary-plaid-secret");
    assert_eq!(config.store.path, Path::new("/nowhere/relinkd.db"));
    assert_eq!(config.store.data_key.expose(), b"canary-data-key-0123456789abcdef");
    assert_eq!(config.mail.smtp().expect("a mail server").port, 25);
    assert_eq!(config.reminders, Policy::default());
    assert_eq!(config.log, Log { format: LogFormat::Text, level: "info".to_owned() });
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    insta::assert_debug_snapshot!(warnings, @r#"
[
    "relinkd.toml:22:1: api.keys: is missing, so nobody can use the API. Write: [[api.keys]], and below it name, key_file and scope.",
]
"#);
}

#[test]
fn five_faults_are_five() {
    let text = r#"
[app]
name = "A name that Plaid Link has no room for"
url = "www.example.com"
support_email = "support@example.com"

[server]
public_url = "https://repair.example.com/relinkd"

[plaid]
enviroment = "sandbox"
client_id = "5f0c0ffee0c0ffee0c0ffee0"
secret = 12345678
country_codes = ["US"]

[store]
path = "relinkd.db"
data_key = "Y2FuYXJ5LWRhdGEta2V5LTAxMjM0NTY3ODlhYmNkZWY="

[mail]
from = "Example <hello@example.com>"
smtp_url = "smtp://localhost"
"#;
    assert_eq!(check(text).expect_err("faults").iter().len(), 5);
    insta::assert_snapshot!(faults(text), @r#"
relinkd.toml:3:8: app.name = "A name that Plaid Link has no room for": has 38 characters; at most 30 are allowed. Write: name = "Example".
relinkd.toml:4:7: app.url = "www.example.com": is no URL: relative URL without a base. Write: url = "https://www.example.com".
relinkd.toml:8:14: server.public_url = "https://repair.example.com/relinkd": holds more than scheme, host and port. Write: public_url = "https://repair.example.com".
relinkd.toml:11:1: plaid.enviroment: is no key of [plaid]; did you mean environment? Write: environment = "sandbox" or environment = "production".
relinkd.toml:13:10: plaid.secret: is a number, not a text in quotes. Write: secret_file = "plaid-secret", or secret = "…" as Plaid's dashboard shows it.
"#);
}

#[test]
fn an_empty_file_names_all_that_is_needed() {
    insta::assert_snapshot!(faults(""), @r#"
relinkd.toml:1:1: app.name: is missing. Write below [app]: name = "Example".
relinkd.toml:1:1: app.url: is missing. Write below [app]: url = "https://www.example.com".
relinkd.toml:1:1: app.support_email: is missing. Write below [app]: support_email = "support@example.com".
relinkd.toml:1:1: server.public_url: is missing. Write below [server]: public_url = "https://repair.example.com".
relinkd.toml:1:1: plaid.environment: is missing. Write below [plaid]: environment = "sandbox" or environment = "production".
relinkd.toml:1:1: plaid.client_id: is missing. Write below [plaid]: client_id = "…", as Plaid's dashboard shows it.
relinkd.toml:1:1: plaid.secret: is missing. Write below [plaid]: secret_file = "plaid-secret", or secret = "…" as Plaid's dashboard shows it.
relinkd.toml:1:1: plaid.country_codes: is missing. Write below [plaid]: country_codes = ["US"].
relinkd.toml:1:1: store.path: is missing. Write below [store]: path = "/var/lib/relinkd/relinkd.db".
relinkd.toml:1:1: store.data_key: is missing. Write below [store]: data_key_file = "data-key", or data_key = "…", with what `openssl rand -base64 32` prints.
relinkd.toml:1:1: mail.from: is missing. Write below [mail]: from = "Example <hello@example.com>".
relinkd.toml:1:1: mail.smtp_url: is missing. Write below [mail]: smtp_url = "smtp+starttls://mail.example.com:587".
"#);
}

#[test]
fn misspelt_names_name_the_nearest() {
    let misspelt = MINIMAL
        .replace("[mail]", "[mial]")
        .replace("client_id", "client-id")
        .replace("support_email", "suport_email")
        .replace("public_url", "trusted_proxy = []\nsmtp_url = \"\"\nnonsense = 1\npublic_url");
    let misspelt = format!("time_zone = \"UTC\"\nflavour = 1\n{misspelt}\n[relay_]\n[database]\n");
    insta::assert_snapshot!(faults(&misspelt), @r#"
relinkd.toml:1:1: time_zone: stands above any section. Write it below [app].
relinkd.toml:2:1: flavour: is no section and stands in none. Known sections: [app], [server], [plaid], [store], [mail], [api], [reminders], [schedule], [retention], [log].
relinkd.toml:6:1: app.suport_email: is no key of [app]; did you mean support_email? Write: support_email = "support@example.com".
relinkd.toml:9:1: server.trusted_proxy: is no key of [server]; did you mean trusted_proxies? Write: trusted_proxies = ["127.0.0.1", "10.0.0.0/8"].
relinkd.toml:10:1: server.smtp_url: is a key of [mail]. Write it below [mail].
relinkd.toml:11:1: server.nonsense: is no key of [server]. Known here: public_url, public_listen, private_listen, control_socket, trusted_proxies.
relinkd.toml:16:1: plaid.client-id: is no key of [plaid]; did you mean client_id? Write: client_id = "…", as Plaid's dashboard shows it.
relinkd.toml:24:2: mial: is no section; did you mean mail? Write: [mail].
relinkd.toml:28:2: relay_: is no section. Known sections: [app], [server], [plaid], [store], [mail], [api], [reminders], [schedule], [retention], [log].
relinkd.toml:29:2: database: is no section. Known sections: [app], [server], [plaid], [store], [mail], [api], [reminders], [schedule], [retention], [log].
"#);
    let nearest: Vec<_> =
        check(&misspelt).expect_err("faults").iter().map(|fault| fault.nearest.clone().unwrap_or_default()).collect();
    insta::assert_debug_snapshot!(nearest, @r#"
[
    "app.time_zone",
    "",
    "support_email",
    "trusted_proxies",
    "mail.smtp_url",
    "",
    "client_id",
    "mail",
    "",
    "",
]
"#);
}

#[test]
fn api_keys_are_hashed_unique_and_long() {
    let long = "canary-0123456789-0123456789-0123456789";
    let key = |lines: &str| format!("{MINIMAL}\n[[api.keys]]\n{lines}\n");
    let good = key(&format!("name = \"a\"\nkey = \"{long}\"\nscope = \"read\""));
    let config = check(&good).expect("valid");
    assert!(config.warnings.is_empty());
    assert_eq!(config.api_keys[0].scope, Scope::Read);
    let hex: String = config.api_keys[0].sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    // From `printf %s KEY | sha256sum`.
    assert_eq!(hex, "67d68322e65eb3c6496891d624eef715d26a03edb08a07c2bb16a26c4a556c45");
    let bad = format!(
        "{good}
[[api.keys]]\nname = \"a\"\nkey_sha256 = \"{hex}\"\nscope = \"write\"
[[api.keys]]\nname = \"b\"\nkey = \"canary\"\nscope = \"admin\"
[[api.keys]]\nname = \"c\"\nkey = \"{long}\"\nkey_sha256 = \"{hex}\"\nscope = \"read\"
[[api.keys]]\nname = \"d\"\nkey_sha256 = \"canary\"\nscop = \"read\"
[[api.keys]]"
    );
    insta::assert_snapshot!(faults(&bad), @r#"
relinkd.toml:29:8: api.keys[1].name = "a": is that of api.keys[0] too. Choose another one.
relinkd.toml:29:8: api.keys[1].name = "a": has the same key as api.keys[0]. Make another key: `openssl rand -hex 32`.
relinkd.toml:34:7: api.keys[2].key: has 6 characters; at least 32 are needed. Write: key_file = "api-key", or key = "…" with what `openssl rand -hex 32` prints.
relinkd.toml:35:9: api.keys[2].scope = "admin": is none of "read", "write". Write: scope = "read" or scope = "write".
relinkd.toml:39:14: api.keys[3].key_sha256: is given although the key is. Keep one of the two.
relinkd.toml:43:14: api.keys[4].key_sha256: is not made of 64 hexadecimal digits. Write: key_sha256 = "…", 64 hexadecimal digits.
relinkd.toml:44:1: api.keys[4].scop: is no key of [api.keys]; did you mean scope? Write: scope = "read" or scope = "write".
relinkd.toml:45:1: api.keys[5].name: is missing. Write: name = "backend".
relinkd.toml:45:1: api.keys[5].key: is missing. Write: key_file = "api-key", or key = "…" with what `openssl rand -hex 32` prints.
relinkd.toml:45:1: api.keys[5].scope: is missing. Write: scope = "read" or scope = "write".
"#);
    insta::assert_snapshot!(faults(&format!("{MINIMAL}\n[api]\nkeys = [\"canary\"]\nkey = 1\n")), @r#"
relinkd.toml:24:1: api.keys: is no list of tables. Write: [[api.keys]] on a line of its own, and below it name, key_file and scope.
relinkd.toml:25:1: api.key: is no key of [api]; did you mean keys? Write: keys.
"#);
}

#[test]
fn the_environment_overrides_what_is_no_secret_and_no_list() {
    let config = check_with(
        MINIMAL,
        &[
            ("HOME", "/root"),
            ("RELINKD_MAIL__SMTP_URL", "smtps://mail.example.com"),
            ("RELINKD_REMINDERS__USER_GAP", "48h"),
            ("RELINKD_APP__NAME", "Other"),
        ],
    )
    .expect("valid");
    let smtp = config.mail.smtp().expect("a mail server");
    assert_eq!((smtp.host.as_str(), smtp.port), ("mail.example.com", 465));
    assert_eq!(config.reminders.user_gap, SignedDuration::from_hours(48));
    assert_eq!(config.app.name, "Other");
    let from_nothing = MINIMAL.replace("[mail]", "").replace("from = ", "").replace("smtp_url = ", "");
    assert!(check(&from_nothing).is_err());
    insta::assert_snapshot!(
        faults_with(
            MINIMAL,
            &[
                ("RELINKD_MAIL__SMTP_ULR", "canary"),
                ("RELINKD_MAIL_SMTP_URL", "canary"),
                ("RELINKD_", "canary"),
                ("relinkd_mail__smtp_url", "not ours"),
                ("RELINKD_PLAID__SECRET", "canary"),
                ("RELINKD_PLAID__COUNTRY_CODES", "US"),
                ("RELINKD_APP__LOCALE", "xx"),
                ("RELINKD_PLAID__CLIENT_ID", "ca nary"),
                ("RELINKD_API__KEYS", "canary"),
            ]
        ),
        @r#"
RELINKD_: names no key of the configuration. Write: RELINKD_SECTION__KEY, with two underscores and in capitals.
RELINKD_API__KEYS: names no key of the configuration. Write: RELINKD_SECTION__KEY, with two underscores and in capitals.
RELINKD_APP__LOCALE: app.locale = "xx": is a language without letters; there are letters in "en", "es", "fr", "da", "nl", "et", "de", "hi", "it", "lv", "lt", "no", "pl", "pt", "ro", "sv", "vi". Write: locale = "en".
RELINKD_MAIL_SMTP_URL: names no key of the configuration; did you mean RELINKD_MAIL__SMTP_URL? Write: RELINKD_MAIL__SMTP_URL.
RELINKD_MAIL__SMTP_ULR: names no key of the configuration; did you mean RELINKD_MAIL__SMTP_URL? Write: RELINKD_MAIL__SMTP_URL.
RELINKD_PLAID__CLIENT_ID: plaid.client_id: holds a space, a line break or another character that no credential of Plaid's has. Write: client_id = "…", as Plaid's dashboard shows it.
RELINKD_PLAID__COUNTRY_CODES: plaid.country_codes: is a list, which only the file can hold. Write below [plaid]: country_codes = ["US"].
RELINKD_PLAID__SECRET: plaid.secret: is a secret, which the environment does not keep. Write: RELINKD_PLAID__SECRET_FILE=<path of a file that holds it>.
"#
    );
}

#[test]
fn a_variable_can_give_a_required_key_that_the_file_lacks() {
    let without = MINIMAL.replace("smtp_url = \"smtp://localhost\"\n", "");
    assert!(check(&without).is_err());
    assert!(check_with(&without, &[("RELINKD_MAIL__SMTP_URL", "smtp://localhost")]).is_ok());
}

#[test]
fn a_password_in_clear_is_a_warning_in_the_sandbox_and_a_fault_in_production() {
    let open =
        minimal_with("mail", "smtp_url = \"smtp://mail.example.com\"") + "\nusername = \"u\"\npassword = \"canary\"\n";
    let warnings = check(&open).expect("valid").warnings;
    assert!(
        warnings.iter().any(|warning| warning.to_string().contains("sends the password over the network in clear"))
    );
    let production = open.replace("\"sandbox\"", "\"production\"");
    let said = faults(&production);
    assert!(said.contains("mail.smtp_url = \"smtp://mail.example.com\": sends the password"), "{said}");
    // Told at once, although [plaid] is not whole.
    assert!(faults(&production.replace("client_id", "#")).contains("sends the password"));
    assert!(check(&production.replace("smtp://mail.example.com", "smtp://127.0.0.1")).is_ok());
    assert!(check(&production.replace("smtp://", "smtps://")).is_ok());
}

#[test]
fn what_is_no_toml_is_told_with_line_and_column_and_nothing_of_the_text() {
    let text = MINIMAL
        .replace("name = \"Example\"", "name = \"Example\"\nname = \"canary\"\nlocale = \"xx\"")
        .replace("secret = \"canary-plaid-secret\"", "secret = canary-plaid-secret")
        .replace("smtp_url = ", "smtp_url ");
    insta::assert_snapshot!(faults(&text), @r#"
relinkd.toml:3:1: is no TOML here: duplicate key. Keep one of the two.
relinkd.toml:4:10: app.locale: is a language without letters; there are letters in "en", "es", "fr", "da", "nl", "et", "de", "hi", "it", "lv", "lt", "no", "pl", "pt", "ro", "sv", "vi". Write: locale = "en".
relinkd.toml:14:10: is no TOML here: string values must be quoted, expected literal string. Write: key = "value", one on each line, below a [section].
relinkd.toml:23:10: is no TOML here: key with no value, expected `=`. Write: key = "value", one on each line, below a [section].
"#);
    insta::assert_snapshot!(faults("[app"), @r#"relinkd.toml:1:5: is no TOML here: unclosed table, expected `]`. Write: key = "value", one on each line, below a [section]."#);
    insta::assert_snapshot!(faults("{ \"app\": \"canary\" }"), @r#"relinkd.toml:1:1: is no TOML here: invalid key-value pair, expected key. Write: key = "value", one on each line, below a [section]."#);
}

#[test]
fn a_section_that_is_something_else_is_one_fault() {
    insta::assert_snapshot!(faults(&format!("app = \"canary\"\n{}", MINIMAL.split_once("\n\n").expect("sections").1)), @r#"relinkd.toml:1:1: app: is a text, not a section. Write: [app] on a line of its own, and its keys below."#);
    insta::assert_snapshot!(faults(&MINIMAL.replace("[app]", "[[app]]")), @r#"relinkd.toml:1:3: app: is a list, not a section. Write: [app] on a line of its own, and its keys below."#);
}

#[test]
fn places_count_characters_from_one() {
    let text = "# ä\r\n[app]\r\nname = \"ä\", ü = 5\r\n";
    let said = faults(text);
    assert!(said.starts_with("relinkd.toml:3:11: "), "{said}");
    let text = minimal_with("app", "\"naïve\" = 1");
    assert!(faults(&text).starts_with("relinkd.toml:2:1: app.naïve: "), "{}", faults(&text));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("relinkd.toml");
    let said = |path: &Path| load(path, std::iter::empty()).expect_err("faults").to_string();
    assert!(said(&path).contains("cannot be read: No such file"), "{}", said(&path));
    assert!(said(folder.path()).contains("cannot be read: "), "{}", said(folder.path()));
    fs::write(&path, [b'#', 0xff]).expect("written");
    assert!(said(&path).contains("it is not UTF-8 from byte 1 on"), "{}", said(&path));
    fs::write(&path, MINIMAL).expect("written");
    assert_eq!(load(&path, std::iter::empty()).expect("valid").store.path, folder.path().join("relinkd.db"));
}

#[test]
fn a_mailbox_providers_cap_holds_only_where_letters_go_by_mail() {
    let by_mail = check(MINIMAL).expect("no fault");
    assert!(by_mail.mail.daily_caps.of("gmail.com").is_some(), "there is one without a word");
    for caps in ["", "\ndaily_caps = [\"gmail.com 7\"]"] {
        let by_event = check(&minimal_with("mail", &format!("delivery = \"event\"{caps}"))).expect("no fault");
        assert_eq!(by_event.mail.daily_caps.of("gmail.com"), None);
    }
}
