//! The application's side: imports, and asks for lists.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::daemon::API_KEY;
use crate::population::{bank_id, item_id, user_id, users};
use crate::report::Latencies;

/// Rows a request.
const BATCH: usize = 1000;

/// Requests on their way at once: while one is written, the next is read.
const IN_FLIGHT: usize = 2;

/// What answers without the store: what of a time is the machine's own business.
pub const NOTHING: &str = "nothing (/healthz)";

/// How often each list is asked for.
const LOOKS: usize = 400;

/// How often somebody else writes during an import.
const OTHERS_EVERY: Duration = Duration::from_millis(50);

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

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.address)).bearer_auth(API_KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Imports rows, and says how long others waited for their writes meanwhile, in milliseconds.
    pub async fn import(
        &self,
        kind: &str,
        expected: &str,
        count: usize,
        row: impl Fn(usize) -> Value,
    ) -> anyhow::Result<Vec<f64>> {
        let path = format!("/v1/import/{kind}");
        let batches = stream::iter((0..count).step_by(BATCH)).map(|from| {
            let rows: Vec<Value> = (from..count.min(from + BATCH)).map(&row).collect();
            let path = &path;
            async move {
                let wanted = rows.len();
                let answer = self.call(reqwest::Method::POST, path, Some(json!({ "rows": rows }))).await?;
                let outcomes = answer["data"].as_array().context("outcomes")?;
                let as_expected = outcomes.iter().filter(|outcome| outcome["outcome"] == expected).count();
                ensure!(as_expected == wanted, "of {wanted} rows {as_expected} are {expected}: {:?}", outcomes.first());
                anyhow::Ok(())
            }
        });
        let all = batches.buffered(IN_FLIGHT).try_collect::<Vec<()>>();
        let (done, others) = (std::cell::Cell::new(false), async |done: &std::cell::Cell<bool>| {
            let mut waits = Vec::new();
            while !done.get() {
                let begun = Instant::now();
                let body = json!({ "email": "somebody@example.com" });
                self.call(reqwest::Method::PUT, "/v1/users/somebody-else", Some(body)).await?;
                waits.push(begun.elapsed().as_secs_f64() * 1000.0);
                tokio::time::sleep(OTHERS_EVERY).await;
            }
            anyhow::Ok(waits)
        });
        let importing = async {
            let imported = all.await;
            done.set(true);
            imported
        };
        let (imported, waits) = tokio::join!(importing, others(&done));
        imported?;
        waits
    }

    /// How long lists and lookups take, by name.
    pub async fn lists(&self, items: usize) -> anyhow::Result<Vec<(String, Latencies)>> {
        let mut all = Vec::new();
        all.push(self.asked(NOTHING, |_| "/healthz".to_owned()).await?);
        let any = |look: usize| item_id(look * 7919 % items);
        all.push(self.asked("one Item", |look| format!("/v1/items/{}", any(look))).await?);
        all.push(self.asked("all, first page", |_| "/v1/items".to_owned()).await?);
        all.push(self.asked("all, deep page", |look| format!("/v1/items?cursor={}", any(look))).await?);
        for state in ["healthy", "login_required", "pending_expiration", "new_accounts", "revoked", "removed"] {
            let first = |_| format!("/v1/items?state={state}");
            all.push(self.asked(&format!("state {state}, first page"), first).await?);
            let deep = |look| format!("/v1/items?state={state}&cursor={}", any(look));
            all.push(self.asked(&format!("state {state}, deep page"), deep).await?);
        }
        let user = |look: usize| format!("/v1/items?user_id={}", user_id(look * 7919 % users(items)));
        all.push(self.asked("of a user", user).await?);
        let large = |_| "/v1/items?institution_id=ins_0".to_owned();
        all.push(self.asked("the largest bank, first page", large).await?);
        let deep = |look| format!("/v1/items?institution_id=ins_0&cursor={}", any(look));
        all.push(self.asked("the largest bank, deep page", deep).await?);
        let bank = |look: usize| format!("/v1/items?institution_id={}", bank_id(look * 7919 % items));
        all.push(self.asked("a bank, first page", bank).await?);
        for state in ["healthy", "login_required", "revoked"] {
            let both = |look| format!("/v1/items?institution_id=ins_0&state={state}&cursor={}", any(look));
            all.push(self.asked(&format!("the largest bank and state {state}, deep page"), both).await?);
            let small = |_| format!("/v1/items?institution_id=ins_11000&state={state}");
            all.push(self.asked(&format!("a small bank and state {state}"), small).await?);
        }
        all.push(self.asked("the journal of an Item", |look| format!("/v1/items/{}/journal", any(look))).await?);
        Ok(all)
    }

    async fn asked(&self, name: &str, path: impl Fn(usize) -> String) -> anyhow::Result<(String, Latencies)> {
        let mut times = Vec::with_capacity(LOOKS);
        for look in 0..LOOKS {
            let path = path(look);
            let begun = Instant::now();
            self.http
                .get(format!("{}{path}", self.address))
                .bearer_auth(API_KEY)
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        Ok((name.to_owned(), Latencies(times)))
    }
}
