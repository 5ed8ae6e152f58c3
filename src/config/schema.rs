//! Every key that the configuration knows, with the line to write for it.
//!
//! The one list from which unknown keys, environment variables and remedies are judged. What a value may be stands with
//! the section that parses it.

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text. Can be overridden by an environment variable.
    Text,
    /// A text that is no secret, but nobody's business either: never repeated in a fault. Can be overridden.
    Quiet,
    /// A whole number. Can be overridden.
    Number,
    /// true or false. Can be overridden.
    Flag,
    /// A secret, or the hash of one: never repeated, never in the environment; `x_file` names a file that holds it.
    Secret,
    /// A secret of which only the file or the value itself exists as a key (no `x_file`).
    Digest,
    /// A list of texts.
    List,
    /// A list of secrets; `x_file` names a file that holds one a line.
    SecretList,
}

impl Kind {
    /// Whether `x_file` may stand for `x`.
    pub(super) fn has_file(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList)
    }

    /// Whether a fault must not repeat the value.
    pub(super) fn is_quiet(self) -> bool {
        match self {
            Self::Quiet | Self::Secret | Self::Digest | Self::SecretList => true,
            Self::Text | Self::Number | Self::Flag | Self::List => false,
        }
    }
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A line that would be right.
    pub(super) write: &'static str,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
}

const fn key(name: &'static str, kind: Kind, write: &'static str) -> Key {
    Key { name, kind, write }
}

/// The sections that are tables, in the order of the example file.
pub(super) const SECTIONS: [Section; 10] = [
    Section {
        name: "app",
        keys: &[
            key("name", Kind::Text, r#"name = "Example""#),
            key("url", Kind::Text, r#"url = "https://www.example.com""#),
            key("support_email", Kind::Text, r#"support_email = "support@example.com""#),
            key("locale", Kind::Text, r#"locale = "en""#),
            key("time_zone", Kind::Text, r#"time_zone = "Europe/Berlin""#),
        ],
    },
    Section {
        name: "server",
        keys: &[
            key("public_url", Kind::Text, r#"public_url = "https://repair.example.com""#),
            key("public_listen", Kind::Text, r#"public_listen = "0.0.0.0:8080""#),
            key("private_listen", Kind::Text, r#"private_listen = "127.0.0.1:8081""#),
            key("control_socket", Kind::Text, r#"control_socket = "/run/relinkd/control.sock""#),
            key("trusted_proxies", Kind::List, r#"trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]"#),
        ],
    },
    Section {
        name: "plaid",
        keys: &[
            key("environment", Kind::Text, r#"environment = "sandbox" or environment = "production""#),
            key("base_url", Kind::Text, r#"base_url = "https://sandbox.plaid.com""#),
            key(
                "link_script_url",
                Kind::Text,
                r#"link_script_url = "https://cdn.plaid.com/link/v2/stable/link-initialize.js""#,
            ),
            key("client_id", Kind::Quiet, r#"client_id = "…", as Plaid's dashboard shows it"#),
            key(
                "secret",
                Kind::Secret,
                r#"secret_file = "plaid-secret", or secret = "…" as Plaid's dashboard shows it"#,
            ),
            key("country_codes", Kind::List, r#"country_codes = ["US"]"#),
            key("link_mode", Kind::Text, r#"link_mode = "embedded" or link_mode = "hosted""#),
            key("late_webhooks", Kind::Text, r#"late_webhooks = "observe" or late_webhooks = "apply""#),
            key("calls_per_minute", Kind::Number, "calls_per_minute = 1000"),
            key("probe_accounts", Kind::Flag, "probe_accounts = false or probe_accounts = true"),
            key("superseding_institutions", Kind::List, r#"superseding_institutions = ["ins_56"]"#),
            key("webhook_elsewhere", Kind::Text, r#"webhook_elsewhere = "tell" or webhook_elsewhere = "adopt""#),
        ],
    },
    Section {
        name: "store",
        keys: &[
            key("path", Kind::Text, r#"path = "/var/lib/relinkd/relinkd.db""#),
            key(
                "data_key",
                Kind::Secret,
                r#"data_key_file = "data-key", or data_key = "…", with what `openssl rand -base64 32` prints"#,
            ),
            key("data_keys_old", Kind::SecretList, r#"data_keys_old_file = "data-keys-old", or data_keys_old = ["…"]"#),
        ],
    },
    Section {
        name: "mail",
        keys: &[
            key("from", Kind::Text, r#"from = "Example <hello@example.com>""#),
            key("reply_to", Kind::Text, r#"reply_to = "Example Support <support@example.com>""#),
            key("smtp_url", Kind::Text, r#"smtp_url = "smtp+starttls://mail.example.com:587""#),
            key("delivery", Kind::Text, r#"delivery = "smtp" or delivery = "event""#),
            key("username", Kind::Quiet, r#"username = "…", as the mail provider gave it"#),
            key("password", Kind::Secret, r#"password_file = "smtp-password", or password = "…""#),
            key("only_to", Kind::List, r#"only_to = ["@example.com"]"#),
            key("return_path", Kind::Text, r#"return_path = "bounces@example.com""#),
            key("postmark_login", Kind::Secret, r#"postmark_login_file = "postmark-login", with user:password"#),
            key("mailgun_signing_key", Kind::Secret, r#"mailgun_signing_key_file = "mailgun-signing-key""#),
            key(
                "resend_signing_secret",
                Kind::Secret,
                r#"resend_signing_secret_file = "resend-signing-secret", or resend_signing_secret = "whsec_…""#,
            ),
            key("daily_caps", Kind::List, r#"daily_caps = ["gmail.com 4000"]"#),
            key("postal_address", Kind::Text, r#"postal_address = "Example Inc., 1 Example Street, Example City""#),
            key("languages", Kind::List, r#"languages = ["en", "es", "fr"]"#),
            key("colour", Kind::Text, r##"colour = "#1f4fbf""##),
            key("logo_file", Kind::Text, r#"logo_file = "logo.png""#),
            key("templates_dir", Kind::Text, r#"templates_dir = "templates""#),
        ],
    },
    Section { name: "api", keys: &[] },
    Section {
        name: "reminders",
        keys: &[
            key("login_required", Kind::List, r#"login_required = ["30m", "3d", "7d", "14d"]"#),
            key("pending_expiration", Kind::List, r#"pending_expiration = ["7d", "1d"]"#),
            key("new_accounts", Kind::List, r#"new_accounts = ["1d"]"#),
            key("revoked", Kind::List, r#"revoked = [] or revoked = ["1d"]"#),
            key("send_window", Kind::Text, r#"send_window = "* * 9-17 * * *""#),
            key("user_gap", Kind::Text, r#"user_gap = "24h""#),
        ],
    },
    Section {
        name: "schedule",
        keys: &[
            key("sweep", Kind::Text, r#"sweep = "0 17 3 * * *""#),
            key("purge", Kind::Text, r#"purge = "0 41 4 * * *""#),
            key("observe_broken_every", Kind::Text, r#"observe_broken_every = "6h""#),
            key("observe_healthy_every", Kind::Text, r#"observe_healthy_every = "24h""#),
        ],
    },
    Section {
        name: "retention",
        keys: &[
            key("webhook_bodies", Kind::Text, r#"webhook_bodies = "30d""#),
            key("webhooks", Kind::Text, r#"webhooks = "90d""#),
            key("journal", Kind::Text, r#"journal = "90d""#),
            key("letters", Kind::Text, r#"letters = "730d""#),
            key("sessions", Kind::Text, r#"sessions = "90d""#),
            key("events", Kind::Text, r#"events = "90d""#),
        ],
    },
    Section {
        name: "log",
        keys: &[
            key("format", Kind::Text, r#"format = "text" or format = "json""#),
            key("level", Kind::Text, r#"level = "info""#),
        ],
    },
];

/// One entry of the list `[[api.keys]]`, the only one that `[api]` holds.
pub(super) const API_KEY: Section = Section {
    name: "api.keys",
    keys: &[
        key("name", Kind::Text, r#"name = "backend""#),
        key("key", Kind::Secret, r#"key_file = "api-key", or key = "…" with what `openssl rand -hex 32` prints"#),
        key("key_sha256", Kind::Digest, r#"key_sha256 = "…", 64 hexadecimal digits"#),
        key("scope", Kind::Text, r#"scope = "read" or scope = "write""#),
    ],
};

impl Section {
    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Every name that may stand in this section, `x_file` included.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |key: &Key| {
            let file = key.kind.has_file().then(|| format!("{}_file", key.name));
            std::iter::once(key.name.to_owned()).chain(file)
        };
        if self.name == "api" { vec!["keys".to_owned()] } else { self.keys.iter().flat_map(name).collect() }
    }
}

/// Of these names the one that was probably meant: few letters differ, in comparison with its length.
pub(super) fn nearest(written: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    // A name of this length is no slip of the pen, and the distance is quadratic work.
    if written.len() > 100 {
        return None;
    }
    let written = written.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = || SECTIONS.iter().map(|section| section.name.to_owned());
        assert_eq!(nearest("mial", names()), Some("mail".to_owned()));
        assert_eq!(nearest("Plaid", names()), Some("plaid".to_owned()));
        assert_eq!(nearest("reminder", names()), Some("reminders".to_owned()));
        assert_eq!(nearest("database", names()), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), names()), None);
    }
}
