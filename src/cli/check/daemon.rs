//! The running daemon, asked over its control socket: does it take webhooks, does its loop turn, do letters leave.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::finding::{Finding, span};
use crate::store::Outgoing;

const RUNS: &str = "daemon";
const LOOP: &str = "daemon.loop";
const LETTERS: &str = "daemon.letters";

/// The daemon answers at once, or not at all.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The loop turns at least every half minute; a disk can be slow.
const TURN_SECS_MAX: i64 = 120;

/// How long a letter may be due, with none leaving, before something is stuck, in seconds.
const DUE_SECS_MAX: i64 = 600;

/// Where more is said.
const LOG: &str = "journalctl -u relinkd -n 50";

/// What of `/readyz` matters here.
#[derive(Debug, Deserialize)]
struct Readiness {
    at: Timestamp,
    store: Option<String>,
    plaid: Option<String>,
    mail: Option<String>,
    last_round_at: Option<Timestamp>,
    letters: Option<Outgoing>,
    letters_paused: Option<Paused>,
}

/// Why all letters wait.
#[derive(Debug, Deserialize)]
struct Paused {
    note: String,
    since: Timestamp,
}

/// Whether a daemon runs, and how it does.
pub(super) async fn look(socket: &Path) -> (bool, Vec<Finding>) {
    match ask(socket).await {
        Ok(ready) => (true, vec![runs(&ready), turns(&ready), sends(&ready)]),
        Err(finding) => (finding.level == super::finding::Level::Fail, vec![finding]),
    }
}

async fn ask(socket: &Path) -> Result<Readiness, Finding> {
    let shown = socket.display();
    // No authorities are loaded: nothing is encrypted here.
    let client = reqwest::Client::builder().unix_socket(socket).tls_certs_only([]).timeout(ANSWER_TIME_MAX).build();
    let client = client.map_err(|error| Finding::fail(RUNS, error.to_string(), LOG))?;
    let answer = client.get("http://relinkd/readyz").send().await.map_err(|error| match cause(&error) {
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Finding::warn(RUNS, format!("no daemon answers at {shown}")).next("systemctl start relinkd")
        }
        Some(ErrorKind::PermissionDenied) => Finding::warn(RUNS, format!("you may not ask the daemon at {shown}"))
            .next("sudo -u relinkd relinkd check --online"),
        Some(_) | None => Finding::fail(RUNS, format!("the daemon at {shown} does not answer"), LOG),
    })?;
    let garbled = |_| Finding::fail(RUNS, format!("what answers at {shown} is no relinkd of this version"), LOG);
    serde_json::from_slice(&answer.bytes().await.map_err(garbled)?)
        .map_err(|_| Finding::fail(RUNS, format!("what answers at {shown} is no relinkd of this version"), LOG))
}

fn cause(error: &reqwest::Error) -> Option<ErrorKind> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut kind = None;
    while let Some(error) = source {
        kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
        source = error.source();
    }
    kind
}

fn runs(ready: &Readiness) -> Finding {
    match (&ready.store, &ready.plaid) {
        (Some(why), _) => Finding::fail(RUNS, format!("it runs and cannot commit webhooks: {why}"), LOG),
        (None, Some(why)) => {
            Finding::warn(RUNS, format!("it takes webhooks; its last call to Plaid failed: {why}")).next(LOG)
        }
        (None, None) => Finding::pass(RUNS, "it runs and takes webhooks"),
    }
}

fn turns(ready: &Readiness) -> Finding {
    let idle = ready.last_round_at.map(|turned| ready.at.as_second() - turned.as_second());
    match idle {
        Some(secs) if secs <= TURN_SECS_MAX => {
            Finding::pass(LOOP, format!("the loop did its work {} ago", span(secs.max(0))))
        }
        Some(secs) => Finding::fail(LOOP, format!("the loop has done nothing for {}", span(secs)), LOG),
        None => Finding::fail(LOOP, "the loop has done nothing since the start", LOG),
    }
}

fn sends(ready: &Readiness) -> Finding {
    let Some(letters) = ready.letters else { return Finding::fail(LETTERS, "the letters cannot be counted", LOG) };
    let ago = |at: Timestamp| ready.at.as_second() - at.as_second();
    if let Some(pause) = &ready.letters_paused {
        let says = format!("all letters have been waiting for {}: {}", span(ago(pause.since).max(0)), pause.note);
        return Finding::fail(LETTERS, says, "relinkd pause show");
    }
    let last = letters
        .last_sent_at
        .map_or("none has left yet".to_owned(), |at| format!("the last one left {} ago", span(ago(at))));
    let overdue = letters.due_since.map(ago).filter(|secs| *secs > DUE_SECS_MAX);
    let is_sending = letters.last_sent_at.is_some_and(|at| ago(at) <= DUE_SECS_MAX);
    match (&ready.mail, overdue) {
        (Some(why), _) => Finding::fail(
            LETTERS,
            format!("the last letter that was tried did not leave: {why}; {last}"),
            "relinkd letters list",
        ),
        (None, Some(secs)) if !is_sending => {
            Finding::fail(LETTERS, format!("a letter has been due for {}, and none leaves; {last}", span(secs)), LOG)
        }
        (None, Some(_) | None) => {
            let waiting = match letters.waiting {
                0 => "no letter waits".to_owned(),
                1 => "1 letter waits for its time".to_owned(),
                many => format!("{many} letters wait for their time"),
            };
            Finding::pass(LETTERS, format!("{waiting}; {last}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    fn ready() -> Readiness {
        Readiness {
            at: at(0),
            store: None,
            plaid: None,
            mail: None,
            last_round_at: Some(at(-5)),
            letters: Some(Outgoing { waiting: 2, due_since: Some(at(3600)), last_sent_at: Some(at(-7200)) }),
            letters_paused: None,
        }
    }

    #[test]
    fn a_healthy_daemon_passes() {
        let ready = ready();
        let said = [runs(&ready), turns(&ready), sends(&ready)].map(|finding| (finding.level, finding.says));
        assert_eq!(said[1], (Level::Pass, "the loop did its work 5 s ago".to_owned()));
        assert_eq!(said[2], (Level::Pass, "2 letters wait for their time; the last one left 2 h ago".to_owned()));
        assert_eq!(said[0].0, Level::Pass);
    }

    #[test]
    fn a_loop_that_stands_still_fails() {
        assert_eq!(turns(&Readiness { last_round_at: Some(at(-120)), ..ready() }).level, Level::Pass);
        assert_eq!(turns(&Readiness { last_round_at: Some(at(-121)), ..ready() }).level, Level::Fail);
        assert_eq!(turns(&Readiness { last_round_at: None, ..ready() }).level, Level::Fail);
    }

    #[test]
    fn a_pause_fails_and_says_why_and_where_more_is_said() {
        let paused =
            Paused { note: "9 of the last 200 letters came back or were refused".to_owned(), since: at(-7200) };
        let finding = sends(&Readiness { letters_paused: Some(paused), ..ready() });
        assert_eq!(finding.level, Level::Fail);
        assert_eq!(
            finding.says,
            "all letters have been waiting for 2 h: 9 of the last 200 letters came back or were refused"
        );
        assert_eq!(finding.next.as_deref(), Some("relinkd pause show"));
    }

    #[test]
    fn letters_that_are_due_and_do_not_leave_fail() {
        let letters = |due: i64, sent: Option<i64>| {
            let letters = Outgoing { waiting: 1, due_since: Some(at(due)), last_sent_at: sent.map(at) };
            sends(&Readiness { letters: Some(letters), ..ready() }).level
        };
        assert_eq!(letters(-601, None), Level::Fail);
        assert_eq!(letters(-601, Some(-601)), Level::Fail);
        assert_eq!(letters(-601, Some(-5)), Level::Pass, "many are due, and they leave one after the other");
        assert_eq!(letters(-600, None), Level::Pass);
        assert_eq!(sends(&Readiness { mail: Some("nobody there".to_owned()), ..ready() }).level, Level::Fail);
        assert_eq!(runs(&Readiness { store: Some("disk full".to_owned()), ..ready() }).level, Level::Fail);
        assert_eq!(runs(&Readiness { plaid: Some("no answer".to_owned()), ..ready() }).level, Level::Warn);
    }
}
