//! `relinkd demo`: the whole story on this machine, without configuration, account or network.

use std::process::ExitCode;

use crate::config::{Log, LogFormat};
use crate::demo::run::{API_KEY, Addresses, Demo};

/// The first of the demo's ports, unless told otherwise.
pub const PORT: u16 = 4600;

/// Arguments of `relinkd demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The first of four ports in a row on 127.0.0.1; 0 for any that are free.
    #[arg(long, default_value_t = PORT)]
    pub port: u16,
    /// What the daemon logs, in the syntax of RUST_LOG.
    #[arg(long, default_value = "info")]
    pub log: String,
}

/// Runs the demo until it is told to stop.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let log = Log { format: LogFormat::Text, level: args.log.clone() };
    if let Err(error) = super::logging::start(&log) {
        eprintln!("--log: {error}");
        return ExitCode::from(super::EXIT_USAGE);
    }
    match super::runtime().block_on(demo(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relinkd demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &Args) -> anyhow::Result<()> {
    let mut signals = super::Signals::listen()?;
    let addresses = if args.port == 0 { Addresses::any() } else { Addresses::from_port(args.port)? };
    let demo = Demo::start(addresses).await?;
    println!("{}", welcome(&demo));
    demo.break_some().await?;
    let passing = demo.let_time_pass();
    tokio::select! {
        () = signals.told_to_stop() => {}
        () = passing => {}
    }
    println!("The demo ends; everything that it wrote is gone.");
    demo.stop().await;
    Ok(())
}

fn welcome(demo: &Demo) -> String {
    format!(
        "
relinkd demo: five users, seven bank connections, nothing real. Everything runs on this machine.

  Plaid      {plaid}/
             What is really so. Break something here: a login, a consent, a whole bank.
  Mailbox    {mailbox}/
             The letters that relinkd sends. In a few seconds there are some.
  relinkd    {private}/v1/items
             The API: curl -H 'Authorization: Bearer {API_KEY}' {private}/v1/items

Try this:
  1. Open the mailbox, open a letter, press its button, and repair the bank on the page that opens.
  2. Look at the API: the Item is healthy, and the mailbox has \"it works again\". No more letters come.
  3. Break all three banks of user-4: one letter. Stop the letters at its foot: none.
  4. Let three days pass, with the button on Plaid's page: the reminders of what is still broken.
{trigger}Ctrl-C ends it.
",
        plaid = demo.plaid.url(),
        mailbox = demo.mailbox.url(),
        private = demo.private_url(),
        trigger = trigger_line(demo.daemon.public_address().port(), &demo.plaid.url()),
    )
}

/// How to say anything as Plaid: by the first port, where the ports are in a row.
fn trigger_line(first: u16, plaid: &str) -> String {
    let in_a_row = Addresses::from_port(first).is_ok_and(|addresses| plaid == format!("http://{}", addresses.plaid));
    let port = if first == PORT { String::new() } else { format!(" --port {first}") };
    let line = format!("  5. Say anything as Plaid, rightly signed or not: relinkd trigger --demo{port} ITEM/ERROR\n");
    if in_a_row { line } else { String::new() }
}
