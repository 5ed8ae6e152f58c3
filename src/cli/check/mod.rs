//! `relinkd check`: is the configuration valid, and if not, what is to be written instead.
//!
//! With `--online` it is the doctor too: it looks at the whole chain from Plaid to the mailbox. One file looks at one link of
//! it and gives findings; nothing is sent, no Item is asked about, and the store is not opened.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use self::dns::Resolver;
use self::finding::Finding;
use super::EXIT_USAGE;
use crate::config::{Config, Faults};

mod daemon;
mod dns;
mod finding;
mod mail;
mod plaid;
mod sender;
mod store;
mod webhook;

/// Arguments of `relinkd check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Also look at the whole chain: Plaid, the webhook's address, the mail server, the sender's domain, the store, the daemon.
    #[arg(long)]
    pub online: bool,
    /// The selector under which your mail server signs letters (DKIM).
    #[arg(long, requires = "online", value_name = "NAME")]
    pub dkim_selector: Option<String>,
    /// Ask this DNS server, not the system's: IP or IP:PORT.
    #[arg(long, requires = "online", value_name = "IP", value_parser = dns_server)]
    pub dns: Option<SocketAddr>,
}

fn dns_server(text: &str) -> Result<SocketAddr, &'static str> {
    let with_port = text.parse::<IpAddr>().map(|ip| (ip, 53).into());
    text.parse().or(with_port).map_err(|_| "is no IP address, with or without a port")
}

/// Checks the configuration and says how it is: exit code 0 if it is valid, 2 if not; with `--online` 1 if it is valid and
/// something else does not work.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    let result = super::load(config);
    let mut said = say(config, args, &result);
    if let (true, Ok(valid)) = (args.online, &result) {
        let findings = super::runtime().block_on(look(valid, args));
        said.add(valid, args, &findings);
    }
    // Nobody listens any more if this fails, and the exit code says the same.
    let _ = io::stdout().write_all(said.stdout.as_bytes());
    let _ = io::stderr().write_all(said.stderr.as_bytes());
    ExitCode::from(said.code)
}

struct Said {
    stdout: String,
    stderr: String,
    code: u8,
}

/// Looks at everything at once, and tells it in the order of the chain.
async fn look(config: &Config, args: &Args) -> Vec<Finding> {
    let resolver = args.dns.map_or_else(Resolver::of_the_system, Resolver::at);
    let domain = config.mail.from.address.domain();
    let socket = config.control_socket();
    let daemon_and_webhook = async {
        let (runs, findings) = daemon::look(&socket).await;
        (findings, webhook::look(config, runs).await)
    };
    let (plaid, (daemon, webhook), mail, sender) = tokio::join!(
        plaid::look(config),
        daemon_and_webhook,
        mail::look(config),
        sender::look(domain, args.dkim_selector.as_deref(), &resolver),
    );
    let mut all = plaid;
    all.push(webhook);
    all.extend(store::look(&config.store.path));
    all.extend(daemon);
    all.push(mail);
    // Where the application sends, its domain is not the one of `from`.
    all.extend(sender.into_iter().filter(|_| config.mail.smtp().is_some()));
    all
}

impl Said {
    /// Adds what the doctor found.
    fn add(&mut self, config: &Config, args: &Args, findings: &[Finding]) {
        let ok = finding::none_failed(findings);
        self.code = u8::from(!ok);
        if args.json {
            let said =
                json!({ "valid": true, "faults": [], "warnings": config.warnings, "ok": ok, "checks": findings });
            self.stdout = format!("{said}\n");
        } else {
            self.stdout.push_str(&finding::text(findings));
        }
    }
}

fn say(config: &Path, args: &Args, result: &Result<Config, Faults>) -> Said {
    let code = if result.is_ok() { 0 } else { EXIT_USAGE };
    let mut said = Said { stdout: String::new(), stderr: String::new(), code };
    match result {
        Ok(config) if args.json => {
            said.stdout = format!("{}\n", json!({ "valid": true, "faults": [], "warnings": config.warnings }));
        }
        Err(faults) if args.json => {
            said.stdout = format!("{}\n", json!({ "valid": false, "faults": faults, "warnings": [] }));
        }
        Ok(valid) => {
            said.stdout = format!("{}: configuration is valid\n", config.display());
            for warning in &valid.warnings {
                said.stderr.push_str(&format!("warning: {warning}\n"));
            }
        }
        Err(faults) => {
            let count = faults.iter().len();
            let noun = if count == 1 { "fault" } else { "faults" };
            said.stderr = format!("{faults}\n{count} {noun}. relinkd does not start with this configuration.\n");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config;

    const VALID: &str = include_str!("../../config/tests/minimal.toml");

    fn said(text: &str, json: bool) -> Said {
        let result = config::from_text(text, "relinkd.toml", std::iter::empty(), Path::new("/nowhere"));
        let args = Args { json, online: false, dkim_selector: None, dns: None };
        say(&PathBuf::from("relinkd.toml"), &args, &result)
    }

    #[test]
    fn a_valid_configuration_is_said_to_be_so() {
        let said = said(VALID, false);
        assert_eq!((said.code, said.stdout.as_str()), (0, "relinkd.toml: configuration is valid\n"));
        insta::assert_snapshot!(said.stderr, @r#"warning: relinkd.toml:22:1: api.keys: is missing, so nobody can use the API. Write: [[api.keys]], and below it name, key_file and scope."#);
    }

    #[test]
    fn faults_go_to_stderr_and_are_counted() {
        let said = said(&VALID.replace("\"smtp://localhost\"", "\"localhost\""), false);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""));
        insta::assert_snapshot!(said.stderr, @r#"
relinkd.toml:21:12: mail.smtp_url = "localhost": has to begin with smtp://, smtps:// or smtp+starttls://. Write: smtp_url = "smtp+starttls://mail.example.com:587".
1 fault. relinkd does not start with this configuration.
"#);
    }

    #[test]
    fn json_is_one_object_on_stdout() {
        let valid = said(VALID, true);
        assert_eq!((valid.code, valid.stderr.as_str()), (0, ""));
        let valid: serde_json::Value = serde_json::from_str(&valid.stdout).expect("JSON");
        assert_eq!(valid["valid"], true);
        assert_eq!(valid["warnings"].as_array().map(Vec::len), Some(1));
        let faulty = said(&VALID.replace("smtp_url", "smtp_ulr"), true);
        assert_eq!((faulty.code, faulty.stderr.as_str()), (2, ""));
        insta::assert_snapshot!(faulty.stdout, @r#"{"faults":[{"column":1,"file":"relinkd.toml","key":"mail.smtp_ulr","line":21,"nearest":"smtp_url","problem":"is no key of [mail]; did you mean smtp_url?","remedy":"Write: smtp_url = \"smtp+starttls://mail.example.com:587\".","value":null}],"valid":false,"warnings":[]}"#);
    }
}
