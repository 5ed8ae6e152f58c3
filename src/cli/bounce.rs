//! `relinkd bounce`: takes a report of failed delivery or of abuse from a mail server's pipe.
//!
//! The help says how such a pipe is made, and docs/operations.md says more. A mail server that pipes understands the exit
//! codes of sysexits.h, so this command has one more than the others.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use super::client::{self, Client, Connection, Failure, with_query};
use super::print::Print;
use super::runtime;
use crate::mail::report::REPORT_BYTES_MAX;

/// `EX_TEMPFAIL`: the mail server keeps the report and tries again.
const TRY_AGAIN: u8 = 75;

/// How mail servers are told, for the help.
const SET_UP: &str = "\
With [mail] return_path = \"bounces@example.com\" reports go to bounces+ID@example.com, with the id of a letter.

Postfix, with recipient_delimiter = + in main.cf: an alias, in a file that belongs to the user of the daemon:
  bounces: \"|/usr/bin/relinkd bounce\"
or a transport in master.cf, to which transport_maps leads bounces@example.com:
  relinkd  unix  -  n  n  -  1  pipe
    user=relinkd argv=/usr/bin/relinkd bounce --sent-to ${original_recipient}

Exim: a transport, of a router with local_parts = bounces and local_part_suffix = +*:
  driver = pipe
  command = /usr/bin/relinkd bounce
  user = relinkd
  envelope_to_add

It has to run as the user of the daemon, for whom alone the control socket is open.

Exit codes: 0 taken, also where it is about no letter of relinkd's; 1 failed; 2 bad usage or
configuration; 75 the daemon cannot take it now, so the mail server keeps it and tries again.";

/// Arguments of `relinkd bounce`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SET_UP)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// The address to which the report came. Without it the report's own heads are read, also those that mail servers add:
    /// Delivered-To, X-Original-To, Envelope-To.
    #[arg(long, value_name = "ADDRESS")]
    pub sent_to: Option<String>,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    let mut print = Print::new(args.connection.json);
    let done = runtime().block_on(async {
        let client = Client::connect(config, &args.connection)?;
        take(&client, &mut print, args).await
    });
    let keep = match &done {
        Err(Failure::Unreachable(_)) => true,
        Err(Failure::Refused { status, .. }) => status.is_server_error(),
        Err(Failure::Configuration(_) | Failure::Usage(_) | Failure::Failed(_) | Failure::Unread) | Ok(()) => false,
    };
    let code = client::finish(done.and_then(|()| print.finish()));
    if keep { ExitCode::from(TRY_AGAIN) } else { code }
}

async fn take(client: &Client, print: &mut Print, args: &Args) -> Result<(), Failure> {
    let mut raw = Vec::new();
    let limit = u64::try_from(REPORT_BYTES_MAX).unwrap_or(u64::MAX);
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut raw);
    read.map_err(|error| Failure::Failed(format!("the report cannot be read from standard input: {error}")))?;
    if raw.is_empty() {
        return Err(Failure::Usage("no report: give it on standard input, as a mail server's pipe does".to_owned()));
    }
    let path = with_query("/v1/bounces", &[("sent_to", args.sent_to.as_deref())]);
    let answer = client.post_mail(&path, raw).await?;
    if print.is_json() {
        return print.line(answer.json());
    }
    Ok(())
}
