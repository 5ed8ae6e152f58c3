//! `relinkd trigger`: any webhook, signed and offline, through the real HTTP path of a daemon that trusts the demo's Plaid.
//!
//! Plaid's Sandbox cannot fire all that relinkd acts on, and needs an account. The demo's Plaid signs and sends; this
//! command only tells it what. It talks to nobody but this machine, and never to a production configuration.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgGroup;
use serde_json::Value;

use self::pair::Pair;
use self::say::Answer;
use super::EXIT_USAGE;
use crate::config::{self, Environment};
use crate::demo::plaid::{SignOptions, Signature, Trigger};
use crate::demo::run::{API_KEY, Addresses};

mod pair;
mod say;

/// By how much the signature of a stale webhook is too old, and that of an early one too young: relinkd takes 5 minutes and
/// 1 minute.
const UNTIMELY_SECS: i64 = 10 * 60;

/// The daemon takes at most nine seconds for an answer, and each copy waits for the one before.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// How many copies are sent at most.
const COPIES_MAX: i64 = 100;

/// Arguments of `relinkd trigger`.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("signature").args(["bad_signature", "no_signature", "stale", "early"]),
    after_help = "\
Examples:
  relinkd trigger --demo ITEM/ERROR --item ITEM
  relinkd trigger --demo ITEM/PENDING_EXPIRATION --item ITEM --set consent_expiration_time=+6d
  relinkd trigger --demo ITEM/ERROR --item ITEM --set error.error_code=INSTITUTION_DOWN --lie
  relinkd trigger --demo ITEM/ERROR --item ITEM --out-of-order
  relinkd trigger --demo ITEM/ERROR --item ITEM --bad-signature"
)]
pub struct Args {
    /// Which webhook: Plaid's type and code, such as ITEM/ERROR.
    #[arg(value_name = "TYPE/CODE", required_unless_present = "list")]
    what: Option<Pair>,
    /// The Item that it is about. May be left out where Plaid has only one.
    #[arg(long, value_name = "ITEM")]
    item: Option<String>,
    /// Write a field of the body: NAME=VALUE. VALUE is JSON, or else text; a NAME that ends in _time takes +6d from now;
    /// a.b is a field of a field.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// Only say it: Plaid's truth stays as it is. Then the Item may be one that Plaid does not know.
    #[arg(long)]
    lie: bool,
    /// Sign it wrongly, as a forger would. What is forged is always a lie.
    #[arg(long)]
    bad_signature: bool,
    /// Do not sign it at all.
    #[arg(long)]
    no_signature: bool,
    /// Sign it ten minutes ago: older than relinkd believes.
    #[arg(long)]
    stale: bool,
    /// Sign it ten minutes ahead, as when a clock is wrong.
    #[arg(long)]
    early: bool,
    /// Send it so many times in all: the same bytes under the same signature.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=COPIES_MAX))]
    duplicate: u32,
    /// Let ITEM/LOGIN_REPAIRED, which came later, arrive first.
    #[arg(long, conflicts_with_all = ["signature", "duplicate"])]
    out_of_order: bool,
    /// Send a pair that Plaid does not document.
    #[arg(long)]
    undocumented: bool,
    /// Trigger at a running `relinkd demo`, without a configuration file.
    #[arg(long)]
    demo: bool,
    /// The first of the demo's ports, as given to `relinkd demo`.
    #[arg(long, value_name = "PORT", requires = "demo", default_value_t = super::demo::PORT)]
    port: u16,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// List the webhooks.
    #[arg(long)]
    list: bool,
}

/// Which Plaid is told, and where its webhook goes if the Item has no address.
struct Target {
    plaid: String,
    webhook: String,
    /// The command that shows what became of it.
    next: String,
}

/// Triggers, and says what was sent and answered: exit code 0 if the daemon answered as it should, 1 if not or if nothing
/// could be sent, 2 for bad usage or configuration.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    if args.list {
        print!("{}", pair::list());
        return ExitCode::SUCCESS;
    }
    let asked = trigger_of(args).and_then(|trigger| Ok((trigger, target(config, args)?)));
    let (trigger, target) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let trigger = Trigger { url: Some(target.webhook.clone()), ..trigger };
    match super::runtime().block_on(ask(&target.plaid, &trigger)) {
        Ok(answer) if args.json => {
            println!("{}", say::json(&answer, &trigger));
            say::code(&answer, &trigger)
        }
        Ok(answer) => {
            print!("{}", say::text(&answer, &trigger, &target.next));
            say::code(&answer, &trigger)
        }
        Err(why) => {
            eprintln!("{}", why.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// What the demo's Plaid is told.
fn trigger_of(args: &Args) -> Result<Trigger, String> {
    let pair = args.what.as_ref().ok_or("which webhook?")?;
    if !args.undocumented && !pair.is_documented() {
        return Err(pair.unknown());
    }
    let signature = if args.bad_signature {
        Signature::Broken
    } else if args.no_signature {
        Signature::Missing
    } else {
        Signature::Good
    };
    let iat_offset_secs = match (args.stale, args.early) {
        (true, _) => -UNTIMELY_SECS,
        (_, true) => UNTIMELY_SECS,
        (false, false) => 0,
    };
    Ok(Trigger {
        webhook_type: pair.webhook_type.clone(),
        webhook_code: pair.code.clone(),
        item_id: args.item.clone(),
        url: None,
        set: args.set.iter().cloned().collect(),
        lie: args.lie || signature != Signature::Good,
        overtaken: args.out_of_order,
        sign: SignOptions { iat_offset_secs, signature, duplicates: args.duplicate - 1 },
    })
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("is not NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// The demo's Plaid, by the demo's ports or by a configuration that trusts it.
fn target(path: &Path, args: &Args) -> Result<Target, String> {
    if args.demo {
        let Addresses { public, private, plaid, .. } =
            Addresses::from_port(args.port).map_err(|error| error.to_string())?;
        // The demo has no configuration that tells the other commands where its daemon is.
        let next = format!("curl -H 'Authorization: Bearer {API_KEY}' http://{private}/v1/webhooks");
        let webhook = format!("http://{public}/plaid/webhook");
        return Ok(Target { plaid: format!("http://{plaid}"), webhook, next });
    }
    let config = config::load(path, super::environment()).map_err(|faults| {
        format!("{faults}\nTo trigger at a running `relinkd demo`, which has no such file, add --demo.")
    })?;
    let file = path.display();
    match config.plaid.environment {
        Environment::Sandbox => {}
        Environment::Production => {
            return Err(format!(
                "{file} is a production configuration ([plaid] environment), and what is triggered is made up. Name a \
                 configuration for the Sandbox with --config FILE, or add --demo for a running `relinkd demo`."
            ));
        }
    }
    let plaid = config.plaid.base_url.origin().ascii_serialization();
    if !config.plaid.is_on_this_machine() {
        return Err(format!(
            "{file} trusts {plaid} ([plaid] base_url), and only a Plaid on this machine says what it is told. Start `relinkd \
             demo` and add --demo, or name a configuration with --config FILE whose base_url is the demo's Plaid."
        ));
    }
    let mut listens = config.server.public_listen;
    if listens.ip().is_unspecified() {
        listens.set_ip(if listens.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    Ok(Target { plaid, webhook: format!("http://{listens}/plaid/webhook"), next: "relinkd webhooks list".to_owned() })
}

/// Tells the demo's Plaid. What is not its answer is an error that names the remedy.
async fn ask(plaid: &str, trigger: &Trigger) -> Result<Answer, String> {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.timeout(ANSWER_TIME_MAX).build().map_err(|error| error.to_string())?;
    let answer = client.post(format!("{plaid}/demo/trigger")).json(trigger).send().await;
    let answer =
        answer.map_err(|_| format!("No Plaid answers at {plaid}. Start `relinkd demo`, and add --demo here."))?;
    let (status, body) = (answer.status(), answer.bytes().await.unwrap_or_default());
    if status.is_success()
        && let Ok(answer) = serde_json::from_slice(&body)
    {
        return Ok(answer);
    }
    match serde_json::from_slice(&body) {
        Ok(refused) => Err(say::refused(&refused, trigger)),
        Err(_) => Err(format!(
            "What listens at {plaid} is no Plaid of relinkd's demo (it answered {status}). Start `relinkd demo`, and add \
             --demo here."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_or_else_text() {
        let value = |text: &str| setting(text).map(|(_, value)| value.to_string());
        assert_eq!(value("a=null").as_deref(), Ok("null"));
        assert_eq!(value("a={\"b\": 1}").as_deref(), Ok("{\"b\":1}"));
        assert_eq!(value("a=+6d").as_deref(), Ok("\"+6d\""));
        assert_eq!(value("a=b=c").as_deref(), Ok("\"b=c\""));
        assert_eq!(value("a=").as_deref(), Ok("\"\""));
        assert!(setting("=a").is_err() && setting("a").is_err());
    }
}
