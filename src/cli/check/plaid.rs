//! Plaid: are the keys right, and is it the same time there. One call that touches no Item.

use jiff::Timestamp;

use super::finding::{Finding, span};
use crate::config::{Config, Environment};
use crate::engine::clock::Clock;
use crate::plaid::client::{CallError, Client, Options, Probe};

const KEYS: &str = "plaid.keys";
const CLOCK: &str = "plaid.clock";

/// How far this clock may be behind Plaid's, in seconds: a webhook signed later than this ahead is not applied.
const BEHIND_SECS_MAX: i64 = 60;

/// How far it may be ahead, in seconds: a webhook signed longer ago is not applied.
const AHEAD_SECS_MAX: i64 = 300;

/// What is worth a word, in seconds. Plaid tells whole seconds, and its answer takes a while.
const SKEW_SECS_TOLD: i64 = 10;

/// How to set a clock right.
const SET_CLOCK: &str = "sudo timedatectl set-ntp true";

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let options = Options {
        base_url: config.plaid.base_url.clone(),
        client_id: config.plaid.client_id.clone(),
        secret: config.plaid.secret.clone(),
    };
    let client = match Client::new(&options) {
        Ok(client) => client,
        Err(error) => return vec![Finding::fail(KEYS, error.to_string(), "sudo apt install ca-certificates")],
    };
    let clock = Clock::system();
    let before = clock.now();
    let Probe { outcome, date } = client.probe().await;
    let after = clock.now();
    let mut findings = vec![keys(config, outcome.as_ref())];
    findings.extend(date.map(|date| time(date, before, after)));
    findings
}

fn keys(config: &Config, outcome: Result<&(), &CallError>) -> Finding {
    let environment = config.plaid.environment.as_str();
    let origin = config.plaid.base_url.origin().ascii_serialization();
    if let Some(other) = other_environment(config) {
        let says = format!("[plaid] environment is {environment}, and base_url is that of {other}: {origin}");
        return Finding::fail(KEYS, says, "Leave [plaid] base_url out");
    }
    let error = match outcome {
        Ok(()) => return Finding::pass(KEYS, format!("{origin} takes the client id and the secret for {environment}")),
        Err(error) => error,
    };
    let reach = format!("curl -v {origin}");
    let next = match error {
        CallError::Credentials(_) => {
            format!(
                "Copy client id and the secret for {environment} from https://dashboard.plaid.com/developers/keys into [plaid]"
            )
        }
        CallError::Unreachable { .. } | CallError::TimedOut => reach,
        CallError::RateLimited { .. } => "Run this again in a minute".to_owned(),
        CallError::PlaidDown { .. } => "Look at https://status.plaid.com".to_owned(),
        CallError::Unreadable { .. } => reach,
        CallError::Refused(error) => format!("Look at https://plaid.com/docs/errors/ for {}", error.error_code),
    };
    Finding::fail(KEYS, format!("{origin}: {error}"), next)
}

/// Plaid's other environment, if the address is that one's.
fn other_environment(config: &Config) -> Option<&'static str> {
    let host = config.plaid.base_url.host_str()?.strip_suffix(".plaid.com")?;
    let all = [Environment::Sandbox, Environment::Production];
    all.into_iter().find(|other| *other != config.plaid.environment && other.as_str() == host).map(Environment::as_str)
}

/// Compares Plaid's clock with ours, which went on between question and answer.
fn time(date: Timestamp, before: Timestamp, after: Timestamp) -> Finding {
    // Plaid's second lasts until the next one.
    let ahead = before.as_second() - date.as_second() - 1;
    let behind = date.as_second() - after.as_second();
    let apart = ahead.max(behind).max(0);
    let says = |how: &str| format!("this machine's clock is {} {how} Plaid's", span(apart));
    if behind > BEHIND_SECS_MAX {
        Finding::fail(CLOCK, format!("{}: no webhook is applied", says("behind")), SET_CLOCK)
    } else if ahead > AHEAD_SECS_MAX {
        Finding::fail(CLOCK, format!("{}: no webhook is applied", says("ahead of")), SET_CLOCK)
    } else if apart > SKEW_SECS_TOLD {
        let how = if behind > ahead { "behind" } else { "ahead of" };
        Finding::warn(CLOCK, says(how)).next(SET_CLOCK)
    } else {
        Finding::pass(CLOCK, "this machine's clock and Plaid's agree")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_clock_is_wrong_where_webhooks_are_refused() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let level = |ours: i64| time(at(0), at(ours), at(ours + 1)).level;
        for (ours, expected) in [
            (0, Level::Pass),
            (9, Level::Pass),
            (-9, Level::Pass),
            (15, Level::Warn),
            (-15, Level::Warn),
            (-61, Level::Warn),
            (-62, Level::Fail),
            (301, Level::Warn),
            (302, Level::Fail),
            (86_400, Level::Fail),
        ] {
            assert_eq!(level(ours), expected, "{ours} s");
        }
        let finding = time(at(0), at(-400), at(-399));
        assert_eq!(finding.says, "this machine's clock is 6 min behind Plaid's: no webhook is applied");
    }
}
