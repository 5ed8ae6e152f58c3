//! Webhooks, from the wire to the Items' steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::Result;
use crate::domain::ids::ItemId;
use crate::store::inbox::{Known, ListedWebhook, Meaning, NewWebhook, Unless, Unread, Verdict, WebhookFilter};
use crate::store::steps::{Rule, Told};
use crate::store::{Backlog, Inner, Receipt, Store, inbox, items, links, seal, steps, writer};

/// Where in `meta` it stands how far Plaid's list of webhooks was read.
const EVENTS_CURSOR: &str = "webhook_events_cursor";

impl Store {
    /// Appends a verified webhook. When this answers, it is on disk.
    ///
    /// # Errors
    /// [`Overloaded`](crate::store::StoreError::Overloaded) at once if too much waits; otherwise what SQLite says.
    pub async fn append_webhook(&self, webhook: NewWebhook) -> Result<()> {
        self.threads.write_one(move |connection| inbox::append(connection, &webhook)).await
    }

    /// The oldest webhooks that wait to be read.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn unread_webhooks(&self, limit: u32) -> Result<Vec<Unread>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| inbox::unread(connection, &inner.sealer, limit)).await
    }

    /// Applies what webhooks mean, each whole or not at all: one that fails is noted and does not stop the others.
    ///
    /// # Errors
    /// A full disk, an I/O error, what the commit says: then none of them is settled.
    pub async fn settle_webhooks(&self, verdicts: Vec<Verdict>, rule: Arc<Rule>) -> Result<Vec<Told>> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            drop_strangers(connection, &inner, verdicts.len())?;
            for verdict in &verdicts {
                let apply = |connection: &Connection| {
                    let mut news = Vec::new();
                    let cause = format!("webhook {}", verdict.id);
                    apply_verdict(connection, &inner.sealer, verdict, &cause, &rule, &mut news)?;
                    Ok(news)
                };
                let applied = match &verdict.meaning {
                    // One statement happens or does not. Most webhooks are of this kind, and a savepoint copies every page
                    // that changes in it.
                    Meaning::Nothing { .. } => apply(connection),
                    Meaning::Item { .. } | Meaning::Session { .. } => writer::in_savepoint(connection, apply),
                };
                match applied {
                    Ok(news) => told.extend(news),
                    // Not the webhook's fault: none is settled, and all are read again.
                    Err(error) if connection.is_autocommit() || !error.is_of_one_row() => return Err(error),
                    Err(error) => {
                        tracing::error!(webhook = verdict.id, "webhook {} is not applied: {error}", verdict.id);
                        inbox::settle(connection, verdict, None, "noted", Some(&error.to_string()), rule.now)?;
                    }
                }
            }
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// Those of these webhooks of Plaid's list that did not come by themselves and were not caught up with before.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn missed(&self, listed: Vec<ListedWebhook>) -> Result<Vec<ListedWebhook>> {
        self.threads
            .read(move |connection| {
                let mut missed = Vec::new();
                for webhook in listed {
                    if !inbox::is_known(connection, &webhook)? {
                        missed.push(webhook);
                    }
                }
                Ok(missed)
            })
            .await
    }

    /// Appends webhooks of Plaid's list, and notes where the list goes on. Says how many are new.
    ///
    /// # Errors
    /// What SQLite says: then none of them is there, and the list goes on where it did.
    pub async fn catch_up(&self, listed: Vec<ListedWebhook>, cursor: Option<String>, now: Timestamp) -> Result<usize> {
        let inner = Arc::clone(&self.inner);
        let first = self.webhook_ids(listed.len());
        self.threads
            .write(move |connection| {
                let mut added = 0;
                for (id, webhook) in (first..).zip(&listed) {
                    added += usize::from(inbox::catch_up(connection, &inner.sealer, webhook, id, now)?);
                }
                if let Some(cursor) = &cursor {
                    connection.execute(
                        "insert into meta (name, value) values (?1, ?2) on conflict do update set value = excluded.value",
                        (EVENTS_CURSOR, cursor.as_bytes()),
                    )?;
                }
                Ok(added)
            })
            .await
    }

    /// Where Plaid's list goes on, if it was read before.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn events_cursor(&self) -> Result<Option<String>> {
        self.threads
            .read(|connection| {
                let mut statement = connection.prepare_cached("select value from meta where name = ?1")?;
                let cursor: Option<Vec<u8>> = statement.query_row([EVENTS_CURSOR], |row| row.get(0)).optional()?;
                Ok(cursor.and_then(|cursor| String::from_utf8(cursor).ok()))
            })
            .await
    }

    /// When the newest webhook was signed that named an Item; nothing if none is kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn newest_webhook_of(&self, item: ItemId) -> Result<Option<Timestamp>> {
        self.threads.read(move |connection| inbox::newest_of(connection, &item)).await
    }

    /// How the inbox stands.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn backlog(&self) -> Result<Backlog> {
        let dropped = self.inner.strangers_dropped.load(Ordering::Relaxed);
        self.threads.read(move |connection| Ok(Backlog { dropped, ..inbox::backlog(connection)? })).await
    }

    /// A page of webhooks and what became of them, after a given one in the order of the list.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn receipts(&self, filter: WebhookFilter, after: Option<i64>, limit: u32) -> Result<Vec<Receipt>> {
        self.threads.read(move |connection| inbox::list(connection, &filter, after, limit)).await
    }

    /// One webhook: what became of it, and what it says.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn webhook(&self, id: i64) -> Result<Option<(Receipt, Unread)>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| inbox::one(connection, &inner.sealer, id)).await
    }

    /// Applies a webhook again, because somebody says so.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn replay(&self, verdict: Verdict, rule: Rule) -> Result<Vec<Told>> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let (mut told, cause) = (Vec::new(), format!("replay of webhook {}", verdict.id));
            apply_verdict(connection, &inner.sealer, &verdict, &cause, &rule, &mut told)?;
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// The Item of the Link session with this Link token, if the token was made here.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn item_of_link_token(&self, link_token: String) -> Result<Option<ItemId>> {
        let inner = Arc::clone(&self.inner);
        let query = move |connection: &Connection| links::item_of_token(connection, &inner.sealer, &link_token);
        Ok(self.threads.read(query).await?.map(|(_, item)| item))
    }

    /// Whether a row can be committed now.
    ///
    /// # Errors
    /// What SQLite says: disk full, I/O error, too much waits.
    pub async fn probe(&self, now: Timestamp) -> Result<()> {
        self.threads
            .write_one(move |connection| {
                connection.execute(
                    "insert into meta (name, value) values ('probe', ?1) on conflict do update set value = excluded.value",
                    [now.to_string().into_bytes()],
                )?;
                Ok(())
            })
            .await
    }
}

/// Now and then deletes the webhooks of strangers that are too many: whoever is Plaid's customer can have them sent here.
fn drop_strangers(connection: &Connection, inner: &Inner, coming: usize) -> Result<()> {
    let noted = inner.noted.fetch_add(coming as u64, Ordering::Relaxed);
    if noted % inbox::STRANGERS_COUNT_EVERY + (coming as u64) < inbox::STRANGERS_COUNT_EVERY {
        return Ok(());
    }
    let dropped = inbox::drop_strangers(connection)?;
    if dropped > 0 {
        inner.strangers_dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        let most = inbox::STRANGERS_MAX;
        tracing::warn!(
            dropped,
            "{dropped} webhooks of Items that are not registered are deleted: only {most} are kept"
        );
    }
    Ok(())
}

fn apply_verdict(
    connection: &Connection,
    sealer: &seal::Sealer,
    verdict: &Verdict,
    cause: &str,
    rule: &Rule,
    told: &mut Vec<Told>,
) -> Result<()> {
    match &verdict.meaning {
        Meaning::Nothing { item, note } => {
            inbox::settle(connection, verdict, item.as_ref(), "noted", Some(note), rule.now)
        }
        Meaning::Session { link_token, event } => {
            let Some((session, item)) = links::item_of_token(connection, sealer, link_token)? else {
                let note = "names a Link token that was not made here";
                return inbox::settle(connection, verdict, None, "noted", Some(note), rule.now);
            };
            links::finish_session(connection, session, rule.now)?;
            if let Some(loaded) = items::load(connection, &item)? {
                steps::take(connection, rule, &loaded, event, cause, told)?;
            }
            inbox::settle(connection, verdict, Some(&item), "applied", None, rule.now)
        }
        Meaning::Item { item, events, unless } => {
            let registered = items::load(connection, item)?.filter(|item| item.removed.is_none());
            let Some(mut loaded) = registered else { return park(connection, verdict, item, rule.now) };
            let caught_up = matches!(unless, Some(Unless { known: Known::Since { .. }, .. }));
            let cause = if caught_up { format!("{cause}{}", steps::CAUGHT_UP) } else { cause.to_owned() };
            let known = match unless {
                Some(Unless { known: Known::SameBytes, .. }) => inbox::seen_before(connection, verdict.id)?,
                Some(Unless { known: Known::Since { at, said, cured }, .. }) => {
                    steps::happened_since(connection, &loaded.id, *at, said, cured)?
                }
                None => false,
            };
            for event in unless.as_ref().filter(|_| known).map_or(events, |unless| &unless.then) {
                loaded = steps::take(connection, rule, &loaded, event, &cause, told)?;
            }
            inbox::settle(connection, verdict, Some(item), "applied", None, rule.now)
        }
    }
}

fn park(connection: &Connection, verdict: &Verdict, item: &ItemId, now: Timestamp) -> Result<()> {
    if inbox::may_park(connection, item)? {
        inbox::settle(connection, verdict, Some(item), "parked", Some("the Item is not registered"), now)
    } else {
        let note = "the Item is not registered, and too many webhooks of such Items are kept already";
        inbox::settle(connection, verdict, Some(item), "noted", Some(note), now)
    }
}
