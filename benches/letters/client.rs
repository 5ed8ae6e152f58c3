//! The application's side: registers everybody, and lets the letters go.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::daemon::API_KEY;
use crate::population;

/// Rows a request.
const BATCH: usize = 1000;

/// Who asks.
pub struct Client {
    http: reqwest::Client,
    address: String,
}

impl Client {
    /// A client of the daemon that said this.
    pub fn of(hello: &Value) -> anyhow::Result<Self> {
        let address = hello["address"].as_str().context("the daemon does not say where it listens")?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { http, address: format!("http://{address}") })
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.address)).bearer_auth(API_KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Imports the users and their Items.
    pub async fn import(&self, count: usize) -> anyhow::Result<()> {
        self.import_rows("users", count, population::user).await?;
        self.import_rows("items", count, population::item).await
    }

    async fn import_rows(&self, kind: &str, count: usize, row: impl Fn(usize) -> Value) -> anyhow::Result<()> {
        for from in (0..count).step_by(BATCH) {
            let rows: Vec<Value> = (from..count.min(from + BATCH)).map(&row).collect();
            let wanted = rows.len();
            let answer = self.call(Method::POST, &format!("/v1/import/{kind}"), Some(json!({ "rows": rows }))).await?;
            let outcomes = answer["data"].as_array().context("outcomes")?;
            let new = outcomes.iter().filter(|outcome| outcome["outcome"] == "new").count();
            ensure!(new == wanted, "of {wanted} {kind} {new} are new: {:?}", outcomes.first());
        }
        Ok(())
    }

    /// Waits until Plaid was asked about every Item, and every user waits for the release of letters.
    pub async fn wait_for_all_held(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let waits = self.call(Method::GET, "/v1/letters/release", None).await?["held_users"].as_u64();
            if waits == Some(count as u64) {
                return Ok(());
            }
            ensure!(begun.elapsed() < patience, "the Items are not observed in time: {waits:?} of {count}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Lets all letters go.
    pub async fn release(&self) -> anyhow::Result<()> {
        self.call(Method::PUT, "/v1/letters/release", Some(json!({ "all": true }))).await.map(drop)
    }

    /// Ends the pause that holds them back.
    pub async fn end_pause(&self) -> anyhow::Result<()> {
        self.call(Method::POST, "/v1/pause/end", Some(json!({ "lift": false }))).await.map(drop)
    }
}
