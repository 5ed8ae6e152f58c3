//! `relinkd keys`: which data key still seals what, and new keys.

use std::path::Path;
use std::process::ExitCode;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{self, Client, Connection, Failure};
use super::print::Print;
use super::table::{Fit, Table, minute_if};
use crate::engine::clock::Clock;
use crate::store::Left;

/// What API keys begin with, so that whoever finds one knows what it is, and scanners of repositories find it.
const PREFIX: &str = "rlk_";

/// How many random bytes a key has.
const KEY_BYTES: usize = 32;

/// Arguments of `relinkd keys`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says which data key seals, what is still sealed with former ones, and which of them can be removed.
    Status,
    /// Makes a new key and prints it, once; it is kept nowhere. Asks no daemon.
    Generate(Generate),
}

/// Which key.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// A key for `[store] data_key`, instead of one for the API.
    #[arg(long)]
    pub data: bool,
}

/// A data key as the API shows it.
#[derive(Debug, Deserialize)]
struct DataKey {
    key_id: String,
    seals: bool,
    configured: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    left: Option<Left>,
    can_be_removed: bool,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    match &args.command {
        Command::Status => client::run(config, &args.connection, async |client, print| status(client, print).await),
        Command::Generate(generate) => {
            let mut print = Print::new(args.connection.json);
            let key = Clock::system().random();
            client::finish(generated(generate, &key, &mut print).and_then(|()| print.finish()))
        }
    }
}

async fn status(client: &Client, print: &mut Print) -> Result<(), Failure> {
    let answer = client.get("/v1/keys").await?;
    if print.is_json() {
        let page: Value = answer.read()?;
        let keys = page["data"].as_array().cloned().unwrap_or_default();
        return keys.iter().try_for_each(|key| print.line(&key.to_string()));
    }
    #[derive(Deserialize)]
    struct Page {
        data: Vec<DataKey>,
    }
    let Page { data } = answer.read()?;
    print.table(&table(&data))?;
    for key in data.iter().filter(|key| key.can_be_removed) {
        print.note(&format!("Key {} can be removed from [store] data_keys_old now.", key.key_id));
    }
    Ok(())
}

fn table(keys: &[DataKey]) -> Table {
    let mut table = Table::new(&[
        ("KEY", Fit::Whole),
        ("USE", Fit::Whole),
        ("STILL SEALED WITH IT", Fit::Text(20)),
        ("SINCE", Fit::Rank(2)),
        ("UNTIL", Fit::Rank(1)),
    ]);
    for key in keys {
        let (how, left) = match (&key.left, key.seals) {
            (_, true) => ("seals", "everything new".to_owned()),
            (_, false) if key.since.is_none() => ("never used", "nothing".to_owned()),
            (None, false) => ("opens", "being counted".to_owned()),
            (Some(left), false) => ("opens", if key.can_be_removed { "nothing".to_owned() } else { about(left) }),
        };
        let how = if key.configured { how } else { "missing" };
        table.row([key.key_id.clone(), how.to_owned(), left, minute_if(key.since), minute_if(key.until)]);
    }
    table
}

fn about(left: &Left) -> String {
    if left.is_empty() { "nothing more; a moment".to_owned() } else { left.to_string() }
}

fn generated(generate: &Generate, key: &[u8; KEY_BYTES], print: &mut Print) -> Result<(), Failure> {
    if generate.data {
        let key = STANDARD.encode(key);
        print.line(&if print.is_json() { json!({ "data_key": key }).to_string() } else { key })?;
        print.note("Keep a copy where neither the store nor its backups are: without it the store cannot be read.");
        return Ok(());
    }
    let (key, sha256) = api_key(key);
    if print.is_json() {
        return print.line(&json!({ "key": key, "key_sha256": sha256 }).to_string());
    }
    print.line(&key)?;
    print.line(&format!("key_sha256 = \"{sha256}\""))?;
    print.note(
        "The key is for the application, and shown only now. The second line goes below [[api.keys]], with name and scope.",
    );
    Ok(())
}

/// A key for the API and its SHA-256, in hexadecimal digits.
fn api_key(bytes: &[u8; KEY_BYTES]) -> (String, String) {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = format!("{PREFIX}{}", hexadecimal(bytes));
    let sha256 = hexadecimal(digest(&SHA256, key.as_bytes()).as_ref());
    (key, sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_key_for_the_api_is_one_that_the_configuration_takes() {
        let (key, sha256) = api_key(&[0xa5; KEY_BYTES]);
        assert_eq!(key.len(), PREFIX.len() + 64);
        let minimal = include_str!("../config/tests/minimal.toml");
        let read = |line: String| {
            let text = format!("{minimal}\n[[api.keys]]\nname = \"app\"\nscope = \"write\"\n{line}\n");
            let config = config::from_text(&text, "relinkd.toml", std::iter::empty(), Path::new("/nowhere"));
            config.expect("a configuration").api_keys[0].sha256
        };
        assert_eq!(read(format!("key = \"{key}\"")), read(format!("key_sha256 = \"{sha256}\"")));
    }

    #[test]
    fn the_status_of_keys() {
        let key = |id: &str, more: Value| -> DataKey {
            let mut key = json!({
                "key_id": id, "seals": false, "configured": true, "since": "2026-11-23T09:00:00Z",
                "until": "2026-11-24T09:00:00Z", "left": {}, "can_be_removed": false,
            });
            key.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            serde_json::from_value(key).expect("a key")
        };
        let keys = [
            key("11111111", json!({ "can_be_removed": true })),
            key("22222222", json!({ "left": { "users": 1, "items": 20, "webhooks": 30000 } })),
            key("33333333", json!({ "left": null })),
            key("44444444", json!({ "seals": true, "until": null, "left": null })),
            key("55555555", json!({ "since": null, "until": null, "can_be_removed": true })),
        ];
        insta::assert_snapshot!("keys_in_a_pipe", table(&keys).render(None).text);
        insta::assert_snapshot!("keys_on_80_columns", table(&keys).render(Some(80)).text);
    }
}
