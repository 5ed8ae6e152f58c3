//! `relinkd webhooks catch-up`: fetches the webhooks that Plaid sent and that never came, portion by portion.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Failure, moment};
use super::print::Print;
use super::table::second;

/// From when on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// From this moment on, at most seven days ago, such as 2026-12-01T09:00:00Z. Without it from where the list was left,
    /// or the first time from as far back as Plaid keeps.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
}

/// What a portion came to, or all of them together.
#[derive(Debug, Default, Deserialize)]
struct CaughtUp {
    listed: u64,
    known: u64,
    caught_up: u64,
    unreadable: u64,
    until: Option<Timestamp>,
    more: bool,
    gap: bool,
}

/// Has the daemon fetch portions until Plaid lists no more.
pub(super) async fn act(client: &Client, print: &mut Print, args: &Args) -> Result<(), Failure> {
    let mut all = CaughtUp::default();
    let mut body = json!({ "since": args.since });
    loop {
        let answer = client.post("/v1/webhooks/catch-up", &body).await?;
        if print.is_json() {
            print.line(answer.json())?;
        }
        let portion: CaughtUp = answer.read()?;
        all.add(&portion);
        if !portion.more {
            break;
        }
        print.note(&format!("{} webhooks so far …", all.listed));
        // The daemon has noted where this portion ended.
        body = json!({});
    }
    if print.is_json() { Ok(()) } else { print.text(&said(&all)) }
}

impl CaughtUp {
    fn add(&mut self, portion: &Self) {
        self.listed += portion.listed;
        self.known += portion.known;
        self.caught_up += portion.caught_up;
        self.unreadable += portion.unreadable;
        self.until = self.until.max(portion.until);
        self.gap |= portion.gap;
    }
}

fn said(all: &CaughtUp) -> String {
    let mut text = match (all.listed, all.until) {
        (0, _) | (_, None) => "Plaid lists nothing new.\n".to_owned(),
        (listed, Some(until)) => {
            format!("Plaid lists {listed} webhooks, the last of {}: {} were here, ", second(until), all.known)
        }
    };
    if all.listed > 0 && all.until.is_some() {
        text += &match all.caught_up {
            0 => "none was missed.\n".to_owned(),
            count => format!("{count} had been missed and are in the inbox now.\nNext: relinkd webhooks list\n"),
        };
    }
    if all.unreadable > 0 {
        text += &format!("{} could not be read and were passed over: is there a newer relinkd?\n", all.unreadable);
    }
    if all.gap {
        text += "The place where the list was left is older than the seven days that Plaid keeps: what was sent in between is \
                 in no list. What can be asked is found by the sweep.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(listed: u64, caught_up: u64, unreadable: u64, gap: bool) -> String {
        let until = Timestamp::from_second(1_795_424_400).ok().filter(|_| listed > unreadable);
        let known = listed - caught_up - unreadable;
        said(&CaughtUp { listed, known, caught_up, unreadable, until, more: false, gap })
    }

    #[test]
    fn what_it_came_to() {
        let all =
            [words(0, 0, 0, false), words(7, 0, 0, false), words(7, 3, 0, false), words(9, 3, 2, true)].join("\n");
        insta::assert_snapshot!(all, @"
        Plaid lists nothing new.

        Plaid lists 7 webhooks, the last of 2026-11-23 09:00:00Z: 7 were here, none was missed.

        Plaid lists 7 webhooks, the last of 2026-11-23 09:00:00Z: 4 were here, 3 had been missed and are in the inbox now.
        Next: relinkd webhooks list

        Plaid lists 9 webhooks, the last of 2026-11-23 09:00:00Z: 4 were here, 3 had been missed and are in the inbox now.
        Next: relinkd webhooks list
        2 could not be read and were passed over: is there a newer relinkd?
        The place where the list was left is older than the seven days that Plaid keeps: what was sent in between is in no list. What can be asked is found by the sweep.
        ");
    }
}
