//! The mail server: does it listen, encrypt and let us log in. Nothing is sent: QUIT comes before any MAIL.

use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::Finding;
use crate::config::{Config, Security, Smtp};
use crate::mail::smtp::{self, Deferral, Limits, Outcome, Stage};

const CHECK: &str = "mail.server";

/// How long looking the name up may take.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(10);

/// Shorter than for letters: somebody waits. Servers that greet late, against spam, take up to half a minute.
fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        connect: seconds(10),
        tls: seconds(10),
        greeting: seconds(35),
        hello: seconds(15),
        login: seconds(15),
        ..Limits::default()
    }
}

pub(super) async fn look(config: &Config) -> Finding {
    let (at, server) = match crate::engine::mail_server(config) {
        Ok(server) => match config.mail.smtp().zip(server) {
            Some(both) => both,
            None => return Finding::pass(CHECK, "none is needed: the application sends the letters (letter.due)"),
        },
        Err(error) => {
            let says = format!("no certificate authorities are found: {error}");
            return Finding::fail(CHECK, says, "sudo apt install ca-certificates");
        }
    };
    let looked_up = timeout(LOOKUP_TIME_MAX, lookup_host((at.host.as_str(), at.port))).await;
    if !looked_up.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some())) {
        return Finding::fail(CHECK, format!("the name {} is not found", at.host), format!("getent hosts {}", at.host));
    }
    judge(config, at, smtp::probe(&server, &limits(), &mut |_| ()).await)
}

fn judge(config: &Config, at: &Smtp, outcome: Result<(), Outcome>) -> Finding {
    let url = at.url();
    let outcome = match outcome {
        Ok(()) => return healthy(config, at),
        Err(outcome) => outcome,
    };
    match outcome {
        Outcome::Deferred { why, reply } => {
            let said = reply.map(|reply| format!(" ({reply})")).unwrap_or_default();
            Finding::fail(CHECK, format!("{url}: {why}{said}"), next(at, &why))
        }
        Outcome::Refused { stage: Stage::Login, reply, .. } => {
            let said = reply.map(|reply| format!(": {reply}")).unwrap_or_default();
            let next = match config.mail.login {
                Some(_) => "Put [mail] username and password right",
                None => "Write [mail] username and password_file",
            };
            Finding::fail(CHECK, format!("{url} refuses the login{said}"), next)
        }
        Outcome::Refused { .. } | Outcome::Accepted { .. } | Outcome::Uncertain { .. } => {
            Finding::fail(CHECK, format!("{url}: {outcome}"), by_hand(at))
        }
    }
}

fn healthy(config: &Config, at: &Smtp) -> Finding {
    let login = if config.mail.login.is_some() { " and takes the login" } else { "; no login is configured" };
    match at.security {
        Security::Tls | Security::StartTls => Finding::pass(CHECK, format!("{} answers, encrypted{login}", at.url())),
        Security::Plain if at.is_loopback => Finding::pass(CHECK, format!("{} answers{login}", at.url())),
        Security::Plain => {
            Finding::warn(CHECK, format!("{} answers{login}; the letters cross the network in clear", at.url()))
                .next(format!("Write: smtp_url = \"smtp+starttls://{}:587\"", at.host))
        }
    }
}

/// What to try about it.
fn next(at: &Smtp, why: &Deferral) -> String {
    let host = &at.host;
    match why {
        Deferral::Unreachable | Deferral::Cut(Stage::Connect, _) => format!("nc -vz {host} {}", at.port),
        Deferral::NoStartTls => format!("Write: smtp_url = \"smtps://{host}:465\", if that server has it"),
        Deferral::NoLogin => format!("Write: smtp_url = \"smtp+starttls://{host}:587\""),
        Deferral::Later(..) => "Run this again in a few minutes".to_owned(),
        Deferral::Tls(_) | Deferral::Cut(..) | Deferral::NotBegun => by_hand(at),
    }
}

/// How to see with one's own eyes what the server says.
fn by_hand(at: &Smtp) -> String {
    match at.security {
        Security::Plain => format!("nc -v {} {}", at.host, at.port),
        Security::Tls => format!("openssl s_client -connect {}", at.authority()),
        Security::StartTls => format!("openssl s_client -starttls smtp -connect {}", at.authority()),
    }
}
