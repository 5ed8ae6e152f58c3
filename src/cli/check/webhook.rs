//! The webhook's address: does a request to it, sent as Plaid sends webhooks, come to our daemon as it was sent.
//!
//! The proof is a MAC over the body, which only a daemon with our `data_key` can make. The marker stands in the header of
//! Plaid's signature, so that a proxy is found that drops this header or writes the body anew.

use std::error::Error as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Response, redirect};
use url::Host;

use super::finding::Finding;
use crate::config::Config;
use crate::engine::clock::Clock;
use crate::store::Purpose;
use crate::store::seal::Sealer;
use crate::web::webhook::{CHECK_PROOF, CHECK_SIGNATURE, what_is_proven};

const CHECK: &str = "webhook.address";

/// As long as Plaid waits.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) async fn look(config: &Config, daemon_runs: bool) -> Finding {
    let url = config.server.public_url.join("plaid/webhook").expect("a path behind an origin");
    // Like Plaid's: indented, and with what a proxy that reads JSON would write otherwise.
    let nonce = URL_SAFE_NO_PAD.encode(Clock::system().random::<18>());
    let body =
        format!("{{\n  \"relinkd_check\": \"{nonce}\",\n  \"spaces\" :  [ 1.0,2e0 ],  \"text\": \"\\u00e9 é\"\n}}\n");
    let client = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(ANSWER_TIME_MAX);
    let client = match client.build() {
        Ok(client) => client,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "sudo apt install ca-certificates"),
    };
    let request = client.post(url.clone()).header("content-type", "application/json");
    let sent = request.header("plaid-verification", CHECK_SIGNATURE).body(body.clone()).send().await;
    match sent {
        Err(error) => unreachable(url.as_str(), &error, daemon_runs),
        Ok(answer) if is_proven(config, &answer, &body) => proven(config, url.as_str()),
        Ok(answer) => other(config, url.as_str(), &answer, daemon_runs),
    }
}

fn is_proven(config: &Config, answer: &Response, body: &str) -> bool {
    let old: Vec<[u8; 32]> = config.store.data_keys_old.iter().map(|key| *key.expose()).collect();
    let sealer = Sealer::new(config.store.data_key.expose(), &old);
    let proof = answer.headers().get(CHECK_PROOF).and_then(|proof| proof.to_str().ok());
    let proven = proof.and_then(|proof| sealer.link(Purpose::Check.name(), proof).map(|link| link.id));
    proven == Some(what_is_proven(body.as_bytes()).as_str())
}

fn proven(config: &Config, url: &str) -> Finding {
    let here = match config.server.public_url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if here && !config.plaid.is_on_this_machine() {
        return Finding::warn(
            CHECK,
            format!("{url} reaches this daemon from this machine only, and Plaid is elsewhere"),
        )
        .next("Write in [server] a public_url that the internet can reach");
    }
    Finding::pass(CHECK, format!("{url} reaches this daemon, header and body as they were sent"))
}

/// Nobody answered.
fn unreachable(url: &str, error: &reqwest::Error, daemon_runs: bool) -> Finding {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let why = if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
    let next = if daemon_runs { format!("curl -v {url}") } else { "systemctl start relinkd".to_owned() };
    let says = format!("{url} cannot be reached from here: {why}");
    Finding::fail(
        CHECK,
        if error.source().is_none() { format!("{url} cannot be reached from here") } else { says },
        next,
    )
}

/// Somebody else answered, or our daemon with something else in between.
fn other(config: &Config, url: &str, answer: &Response, daemon_runs: bool) -> Finding {
    let status = answer.status();
    let listens = config.server.public_listen;
    let to_us = format!("Let the proxy pass {url} on to {listens}");
    if answer.headers().contains_key(CHECK_PROOF) {
        let says = format!(
            "{url} reaches a relinkd, but the body was changed on the way, or its data_key is another: no webhook would be taken"
        );
        return Finding::fail(CHECK, says, format!("{to_us} with its body unchanged"));
    }
    match status.as_u16() {
        301..=308 => {
            let says = format!("{url} answers {status}, a redirect, and Plaid does not follow");
            Finding::fail(CHECK, says, "Write in [server] public_url the address that answers by itself")
        }
        401 => {
            let says = format!(
                "{url} answers {status} without a proof: another relinkd, or a proxy that drops the header Plaid-Verification"
            );
            Finding::fail(CHECK, says, format!("{to_us} with its headers"))
        }
        502..=504 if !daemon_runs => Finding::fail(
            CHECK,
            format!("{url}: a proxy answers {status}, and no daemon runs"),
            "systemctl start relinkd",
        ),
        502..=504 => {
            Finding::fail(CHECK, format!("{url}: a proxy answers {status}, which does not reach the daemon"), to_us)
        }
        _ => Finding::fail(CHECK, format!("{url}: something else answers, {status}"), to_us),
    }
}
