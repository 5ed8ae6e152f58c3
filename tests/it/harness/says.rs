//! What happens at Plaid in a story, and what Plaid says about it.

use std::time::{Duration, Instant};

use relinkd::demo::plaid::{Act, Delivery, Item, Sent, SignOptions};
use rusqlite::Connection;
use serde_json::Value;

use super::{LOOK_EVERY, World};
use crate::process::LIMIT;

/// How long a webhook may lie between its answer 503 and the disk: the daemon answers so before its writer gives up,
/// and disks stand still for half a minute.
const KEPT_WITHIN: Duration = Duration::from_secs(35);

impl World {
    /// Something happens to an Item, and Plaid says what it says about it.
    pub async fn says(&self, item: &Item, act: Act) {
        let before = self.last_webhook();
        let sent = self.plaid.act(&item.id, act, Delivery::Send).await.expect("the Item is there");
        let sent = sent.expect("Plaid sends a webhook");
        self.arrives(sent, before, SignOptions::default()).await;
    }

    /// Something happens to an Item, and nobody hears of it.
    pub async fn secretly(&self, item: &Item, act: Act) {
        self.plaid.act(&item.id, act, Delivery::Lose).await.expect("the Item is there");
    }

    /// Plaid says these words, whatever the truth is.
    pub async fn plaid_says(&self, body: Value) -> Sent {
        self.plaid_says_signed(body, SignOptions::default()).await
    }

    pub async fn plaid_says_signed(&self, body: Value, sign: SignOptions) -> Sent {
        let before = self.last_webhook();
        let sent = self.plaid.send_webhook(&self.webhook_url(), body, sign).await;
        self.arrives(sent, before, sign).await
    }

    /// The login of an Item breaks.
    pub async fn breaks(&self, item: &Item) {
        self.says(item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
    }

    /// Waits until a webhook is on disk, and what it causes is done. One that the daemon could not keep in time, on a
    /// disk that stood still, it may keep later; if it does not, Plaid says it again.
    async fn arrives(&self, mut sent: Sent, before: i64, sign: SignOptions) -> Sent {
        let began = Instant::now();
        while sent.status() != Some(200) {
            assert!(matches!(sent.status(), None | Some(503)), "{sent:?}");
            if self.is_kept_after_all(before).await {
                break;
            }
            assert!(began.elapsed() < LIMIT * 2, "{sent:?}");
            let body = serde_json::from_str(&sent.body).expect("it was JSON");
            sent = self.plaid.send_webhook(&self.webhook_url(), body, sign).await;
        }
        self.quiet().await;
        sent
    }

    async fn is_kept_after_all(&self, before: i64) -> bool {
        let began = Instant::now();
        while began.elapsed() < KEPT_WITHIN {
            if self.last_webhook() > before {
                return true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        false
    }

    fn last_webhook(&self) -> i64 {
        let last = |store: Connection| store.query_row("select coalesce(max(id), 0) from inbox", [], |row| row.get(0));
        last(self.look()).expect("a number")
    }
}
