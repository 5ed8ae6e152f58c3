//! Sends letters: claim under a lease, ask Plaid whether it is still so, send, settle.
//!
//! A letter leaves only if its own condition still holds. If Plaid cannot be asked, the letter waits; if nothing of it is so
//! any more, it is withheld and its rungs are free again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::apply::tell;
use super::banks::Door;
use super::dispatch::Observed;
use super::paper;
use super::told::{alarm, log};
use super::traffic::Caller;
use crate::config::Config;
use crate::domain::compose::{Line, still_wanted};
use crate::domain::event::{Event, Topic};
use crate::domain::ids::ItemId;
use crate::domain::item::Item;
use crate::domain::language::Language;
use crate::mail::letter::{Letter, Occasion, Passage, Rendered};
use crate::mail::message::{Addressing, build};
use crate::mail::report::return_path;
use crate::mail::smtp::{self, Deferral, Later, Never, Outcome};
use crate::store::{Begun, ClaimedLetter, Departure, LetterOutcome, Profile, Purpose, Refusal, StoreError};

/// How many connections the mail server sees at once.
pub(super) const CONNECTIONS_MAX: usize = 16;

/// First wait after the mail server asked for patience, doubling ...
const RETRY_FIRST: SignedDuration = SignedDuration::from_mins(5);
/// ... up to this ...
const RETRY_MOST: SignedDuration = SignedDuration::from_hours(4);
/// ... until this long after the letter was composed.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(5 * 24);
/// ... if it was tried as often as this, half a day by the waits.
const TRIES_LEAST: u32 = 8;

/// A letter whose body went out without a reply is sent once more, after this.
const UNCERTAIN_RETRY: SignedDuration = SignedDuration::from_mins(5);

/// So long a letter waits for Plaid's word about all of its Items. Then it leaves without those that cannot be asked about.
const TOGETHER: SignedDuration = SignedDuration::from_hours(1);

/// Why a letter waits for Plaid; what Plaid answered follows.
const UNASKED: &str = "Plaid cannot be asked whether it is still so";

/// How soon a letter is looked at again of which a part fell away at its last moment.
pub(super) const SOON: SignedDuration = SignedDuration::from_secs(1);

/// Why a letter waits that would send its user to a bank that is down.
const BANK_DOWN: &str = "the bank is down: Plaid's institution status says that nobody can log in there";

/// Why a letter waits for the morning.
const NIGHT: &str = "it is night where the user is";

/// Whether the banks of a letter's Items are up.
enum Doors {
    /// All of them.
    Open,
    /// Some: the others' lines have to wait for another letter.
    Some { open: Vec<Line>, shut: Vec<Line> },
    /// None: the letter waits.
    None {
        /// Whose journal says so.
        item: ItemId,
        /// When to look again.
        until: Timestamp,
        /// Why.
        why: String,
    },
}

/// What is decided about a claimed letter before a word of it is said to the mail server.
enum Ready {
    /// To be sent.
    Send(Box<Post>),
    /// Settled without being sent.
    Settle(LetterOutcome),
}

/// A letter that is ready to leave.
pub(super) struct Post {
    pub(super) letter: ClaimedLetter,
    profile: Profile,
    /// What it says about each of its lines.
    pub(super) passages: Vec<Passage>,
    pub(super) rendered: Rendered,
    pub(super) language: Language,
    stop_url: String,
}

impl Post {
    pub(super) fn departure(&self, config: &Config) -> Departure {
        let (channel, to) = (config.mail.channel(), self.profile.email.clone());
        let cap = to.as_ref().and_then(|to| config.mail.daily_caps.of(to.domain()));
        Departure {
            id: self.letter.id,
            user: self.letter.user.clone(),
            channel,
            cap: cap.cloned(),
            to,
            asked_for: is_asked_for(&self.letter.lines),
            policy: config.reminders.clone(),
            default_zone: config.app.time_zone.zone().clone(),
            language: self.language.tag().to_owned(),
            subject: self.rendered.subject.clone(),
        }
    }

    /// What becomes of a letter that is kept here.
    fn written_down(&self) -> LetterOutcome {
        let (language, subject) = (self.language.tag().to_owned(), self.rendered.subject.clone());
        LetterOutcome::WrittenDown { language, subject }
    }

    /// What becomes of a letter that may not go.
    pub(super) fn not_begun(&self, begun: Begun, soon: Timestamp) -> LetterOutcome {
        match begun {
            Begun::Unwanted if is_asked_for(&self.letter.lines) => {
                // Nobody asks twice: what is so still leaves, and the next look says what that is.
                let why = "since a moment ago some of it is not so any more".to_owned();
                LetterOutcome::Deferred { until: soon, why, attempt: false }
            }
            Begun::Night(until) => LetterOutcome::Deferred { until, why: NIGHT.to_owned(), attempt: false },
            Begun::Full(until) => {
                let why = "the cap of the mailbox provider is used up for today: [mail] daily_caps".to_owned();
                LetterOutcome::Deferred { until, why, attempt: false }
            }
            Begun::Go | Begun::Unwanted => {
                let why = "since a moment ago it is not so any more, or the user wants no letters";
                LetterOutcome::Withheld { why: why.to_owned() }
            }
        }
    }
}

/// Why a letter does not leave at its last moment.
enum NotNow {
    /// What the store said stands elsewhere.
    Begun,
    /// The store does not answer.
    Store,
}

impl From<StoreError> for NotNow {
    fn from(error: StoreError) -> Self {
        tracing::error!("store: {error}");
        Self::Store
    }
}

impl Engine {
    /// Claims as many of the letters that are due as there are connections, and begins to send them.
    pub(super) async fn post_due(&self) -> Result<(), StoreError> {
        let room = self.letters_under_way.available_permits();
        if room == 0 {
            return Ok(());
        }
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        for letter in self.store.claim_letters(self.clock.now(), room, self.config.mail.channel()).await? {
            let turn =
                Arc::clone(&self.letters_under_way).acquire_owned().await.expect("the semaphore is never closed");
            let engine = self.clone();
            self.begin(async move {
                engine.post(letter).await;
                // The place is free before the loop looks again.
                drop(turn);
                engine.wake();
            });
        }
        Ok(())
    }

    async fn post(&self, letter: ClaimedLetter) {
        let id = letter.id;
        let (letter, outcome) = match self.make_ready(letter.clone()).await {
            Ok(Ready::Settle(outcome)) => (letter, outcome),
            Ok(Ready::Send(post)) => {
                let outcome = match &self.mail_server {
                    // Not before it is rendered: what would have been sent is what the operator wants to see.
                    _ if !self.config.mail.may_write_to(post.profile.email.as_ref()) => post.written_down(),
                    Some(server) => self.send(server, &post).await,
                    None => self.hand_over(&post).await,
                };
                (post.letter, outcome)
            }
            Err(error) => {
                let until = self.after(if error.is_of_one_row() { RETRY_MOST } else { RETRY_FIRST });
                (letter, LetterOutcome::Deferred { until, why: error.to_string(), attempt: false })
            }
        };
        let outcome = if let (LetterOutcome::Withheld { why }, true) = (&outcome, letter.uncertain > 0) {
            // Its body went out once, so it counts: the user may have read it.
            LetterOutcome::Uncertain { again_at: None, why: why.clone() }
        } else {
            outcome
        };
        log(&letter, &outcome);
        let settle = async || {
            let settled = self.store.settle_letter(letter.clone(), outcome.clone(), self.rule()).await?;
            if let Some(pause) = &settled.paused {
                alarm(pause);
            }
            if settled.resumed {
                tracing::warn!("letters go on: the mail server takes them again");
            }
            Ok(settled.told)
        };
        self.settle(&format!("letter {id}"), settle).await;
    }

    /// Asks Plaid about each Item of the letter, and looks whether the letter is still wanted.
    async fn make_ready(&self, mut letter: ClaimedLetter) -> Result<Ready, StoreError> {
        if letter.uncertain > 1 {
            let why = "sent twice, and no reply either time".to_owned();
            return Ok(Ready::Settle(LetterOutcome::Uncertain { again_at: None, why }));
        }
        let (mut unasked, mut mute) = (Vec::new(), None);
        let is_tried = letter.note.as_ref().is_some_and(|note| note.starts_with(UNASKED));
        let has_patience = !is_tried || self.clock.now().duration_since(letter.composed_at) < TOGETHER;
        for line in &letter.lines {
            if let Observed::Failed { again_at, why } =
                self.observe_now(Caller::Letter, &line.item, &format!("letter {}", letter.id)).await?
            {
                unasked.push(line.clone());
                if has_patience || unasked.len() == letter.lines.len() {
                    return self.wait(&letter, &line.item, again_at, format!("{UNASKED}: {why}")).await;
                }
                mute.get_or_insert((line.item.clone(), again_at, format!("{UNASKED}: {why}")));
            }
        }
        let written = self.store.written(&letter).await?;
        let Some(profile) = written.profile else { return Ok(withheld("the user is erased")) };
        let now = self.clock.now();
        let user = profile.for_letters(self.config.app.time_zone.zone(), self.config.mail.channel());
        let policy = &self.config.reminders;
        let (wanted, unwanted): (Vec<Line>, Vec<Line>) = letter.lines.iter().cloned().partition(|line| {
            let item = written.items.get(&line.item).filter(|_| !unasked.contains(line));
            item.is_some_and(|item| still_wanted(line, item, &user, now, policy))
        });
        if let (true, Some((item, again_at, why))) = (wanted.is_empty(), mute) {
            return self.wait(&letter, &item, again_at, why).await;
        }
        if wanted.is_empty() {
            return Ok(withheld("nothing of what it says is so any more, or the user wants no letters"));
        }
        let is_asked_for = is_asked_for(&wanted);
        match policy.send_window.opens_at(now, &user.time_zone) {
            _ if is_asked_for => {}
            Some(until) if until > now => {
                let why = NIGHT.to_owned();
                return Ok(Ready::Settle(LetterOutcome::Deferred { until, why, attempt: false }));
            }
            Some(_) => {}
            None => return Ok(withheld("the send window never opens again")),
        }
        let doors = self.doors(&wanted, &written.items).await?;
        let (wanted, shut) = match doors {
            Doors::Open => (wanted, Vec::new()),
            Doors::Some { open, shut } => (open, shut),
            Doors::None { item, until, why } => return self.wait(&letter, &item, until, why).await,
        };
        let unwanted: Vec<Line> = unwanted.into_iter().chain(shut).collect();
        if !unwanted.is_empty() {
            tell(&self.store.drop_lines(letter.id, unwanted, self.rule()).await?);
        }
        letter.lines = wanted;
        Ok(self.render(letter, profile, &written.items))
    }

    fn render(&self, letter: ClaimedLetter, profile: Profile, items: &HashMap<ItemId, Item>) -> Ready {
        let language = self.config.language(profile.locale.as_ref());
        let policy = &self.config.reminders;
        let stop_url = self.public(&format!("unsubscribe/{}", self.store.link_token(Purpose::Stop, &letter.link_id)));
        let passages: Vec<Passage> =
            letter.lines.iter().filter_map(|line| paper::passage(line, items.get(&line.item)?, policy)).collect();
        let paper = Letter {
            brand: paper::brand(&self.config),
            occasion: if is_asked_for(&letter.lines) { Occasion::FreshLink } else { Occasion::Due },
            recipient_name: profile.name.as_ref().map(|name| name.as_str().to_owned()),
            language,
            time_zone: profile.for_letters(self.config.app.time_zone.zone(), self.config.mail.channel()).time_zone,
            passages: passages.clone(),
            repair_url: self.repair_url(&letter.link_id),
            stop_url: stop_url.clone(),
        };
        match paper.render(&self.templates) {
            Ok(rendered) => Ready::Send(Box::new(Post { letter, profile, passages, rendered, language, stop_url })),
            Err(error) => {
                tracing::error!(letter = %letter.id, "letter {}: {error}", letter.id);
                Ready::Settle(LetterOutcome::Bounced { why: error.to_string(), refusal: Refusal::Letter })
            }
        }
    }

    async fn send(&self, server: &smtp::Connections, post: &Post) -> LetterOutcome {
        let (letter, mail) = (&post.letter, &self.config.mail);
        let Some(email) = &post.profile.email else { return post.written_down() };
        let path = mail.return_path.as_ref().map(|address| return_path(address.as_str(), letter.id));
        let addressing = Addressing {
            letter: letter.id,
            earlier: &letter.references,
            date: self.clock.now(),
            from_name: mail.from.name.as_deref().unwrap_or(&self.config.app.name),
            from_address: mail.from.address.as_str(),
            return_path: path.as_deref(),
            reply_to: Some(mail.reply_to.as_ref().map_or(&self.config.app.support_email, |to| &to.address).as_str()),
            to_name: post.profile.name.as_ref().map(crate::domain::contact::PersonName::as_str),
            to_address: email.as_str(),
            language: post.language,
            stop_url: &post.stop_url,
            logo: mail.logo.as_ref(),
        };
        let message = match build(&post.rendered, &addressing) {
            Ok(message) => message,
            Err(error) => return LetterOutcome::Bounced { why: error.to_string(), refusal: Refusal::Letter },
        };
        let mut begun = Begun::Go;
        let begin = async || {
            begun = self.store.start_data(post.departure(&self.config), self.clock.now()).await?;
            if begun == Begun::Go { Ok(()) } else { Err(NotNow::Begun) }
        };
        let outcome = server.send(message.envelope(), &message.formatted(), begin).await;
        self.keep_connections();
        match begun {
            Begun::Go => self.outcome(post, outcome),
            Begun::Unwanted | Begun::Night(_) | Begun::Full(_) => post.not_begun(begun, self.after(SOON)),
        }
    }

    /// Sees to it that connections to the mail server which carry no more letters are hung up. One task is enough.
    fn keep_connections(&self) {
        if self.keeps_connections.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = self.clone();
        self.begin(async move {
            let Some(server) = &engine.mail_server else { return };
            loop {
                tokio::select! {
                    () = tokio::time::sleep(smtp::IDLE_MAX / 4) => {}
                    () = engine.stop.cancelled() => {}
                }
                // Before the look, so that whoever keeps a connection after it begins another task.
                engine.keeps_connections.store(false, Ordering::Release);
                if engine.stop.is_cancelled() {
                    return server.close_all().await;
                }
                let any_left = server.close_idle().await;
                if !any_left || engine.keeps_connections.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
    }

    /// What the dialogue with the mail server means for the letter.
    fn outcome(&self, post: &Post, outcome: Outcome) -> LetterOutcome {
        let letter = &post.letter;
        let why = outcome.to_string();
        match outcome {
            Outcome::Accepted { reply } => {
                self.status.letter_left(self.clock.now());
                LetterOutcome::Accepted { reply: reply.to_string() }
            }
            Outcome::Deferred { why: deferral, .. } => {
                self.status.mail_failed(&why);
                let until = self.clock.retry_at(letter.attempts, RETRY_FIRST, RETRY_MOST);
                // A pause may have kept it for as long: then it has been tried a few times only.
                let is_too_late = until.duration_since(letter.composed_at) > GIVE_UP && letter.attempts >= TRIES_LEAST;
                // While others arrive it is this letter or its recipient, and not the sender, whatever is said.
                let others_arrive = self.status.letters_leave(self.clock.now());
                match deferral {
                    Deferral::Later(Later::Sender, _) if !(is_too_late && others_arrive) => {
                        LetterOutcome::SenderAtFault { until, why }
                    }
                    _ if is_too_late => {
                        let why = format!("given up after five days: {why}");
                        LetterOutcome::Bounced { why, refusal: Refusal::Mailbox }
                    }
                    Deferral::Later(..)
                    | Deferral::Unreachable
                    | Deferral::Cut(..)
                    | Deferral::Tls(_)
                    | Deferral::NoStartTls
                    | Deferral::NoLogin
                    | Deferral::NotBegun => LetterOutcome::Deferred { until, why, attempt: true },
                }
            }
            Outcome::Refused { why: Never::Sender, reply, stage } => {
                // It says nothing about the recipient: all letters wait until it is put right.
                self.outcome(post, Outcome::Deferred { why: Deferral::Later(Later::Sender, stage), reply })
            }
            Outcome::Refused { why: Never::RateLimited, reply, stage } => {
                self.outcome(post, Outcome::Deferred { why: Deferral::Later(Later::RateLimited, stage), reply })
            }
            Outcome::Refused { why: Never::RecipientGone, .. } => {
                let refusal = post.profile.email.clone().map_or(Refusal::Letter, Refusal::Gone);
                LetterOutcome::Bounced { why, refusal }
            }
            Outcome::Refused { why: Never::MailboxFull, .. } => {
                LetterOutcome::Bounced { why, refusal: Refusal::Mailbox }
            }
            Outcome::Refused { why: Never::Policy | Never::Other, .. } => {
                self.status.mail_failed(&why);
                LetterOutcome::Bounced { why, refusal: Refusal::Letter }
            }
            Outcome::Uncertain { .. } => {
                let again_at = (letter.uncertain == 0).then(|| self.after(UNCERTAIN_RETRY));
                LetterOutcome::Uncertain { again_at, why }
            }
        }
    }

    /// Which lines send their user to a bank that is up. "It works again" sends nobody there, and whoever asked for a fresh
    /// link learns on its page that the bank is down.
    async fn doors(&self, lines: &[Line], items: &HashMap<ItemId, Item>) -> Result<Doors, StoreError> {
        let (mut open, mut shut, mut none) = (Vec::new(), Vec::new(), None);
        for line in lines {
            let door = match (line.topic, items.get(&line.item)) {
                (Topic::Reminder { .. }, Some(item)) => self.door(Caller::Letter, item).await?,
                (Topic::Reminder { .. } | Topic::WorksAgain | Topic::FreshLink, _) => Door::Open,
            };
            let (until, why) = match door {
                Door::Open => {
                    open.push(line.clone());
                    continue;
                }
                Door::Shut { until } => (until, BANK_DOWN.to_owned()),
                Door::Unasked { until, why } => (until, format!("Plaid cannot be asked whether the bank is up: {why}")),
            };
            none.get_or_insert_with(|| Doors::None { item: line.item.clone(), until, why });
            shut.push(line.clone());
        }
        Ok(match none {
            None => Doors::Open,
            Some(none) if open.is_empty() => none,
            Some(_) => Doors::Some { open, shut },
        })
    }

    /// Nobody is written to without Plaid's word, nor sent to a bank that is down: the letter waits, longer the longer it has
    /// waited, and says so once in the Item's journal.
    async fn wait(
        &self,
        letter: &ClaimedLetter,
        item: &ItemId,
        again_at: Timestamp,
        why: String,
    ) -> Result<Ready, StoreError> {
        let waited = self.clock.now().duration_since(letter.composed_at);
        if waited > GIVE_UP {
            return Ok(withheld(&format!("it waited for five days: {why}")));
        }
        if letter.note.as_ref() != Some(&why) {
            let event = Event::LetterWaits { letter: letter.id, why: why.clone() };
            self.step(item, vec![event], &format!("letter {}", letter.id)).await?;
        }
        // As long as it has waited already, within the limits of all questions: the waits double, and nobody counts.
        let patience = waited.clamp(super::observe::RETRY_FIRST, super::observe::RETRY_MOST);
        let until = again_at.max(self.after(patience));
        Ok(Ready::Settle(LetterOutcome::Deferred { until, why, attempt: false }))
    }

    pub(super) fn after(&self, wait: SignedDuration) -> Timestamp {
        self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// An address below the public one.
    #[must_use]
    pub fn public(&self, path: &str) -> String {
        paper::address(&self.config, path)
    }

    /// The path of an address below the public one.
    #[must_use]
    pub fn public_path(&self, path: &str) -> String {
        format!("{}/{path}", self.config.server.public_url.path().trim_end_matches('/'))
    }

    /// The address of the repair page behind a link.
    #[must_use]
    pub fn repair_url(&self, link_id: &str) -> String {
        self.public(&format!("repair/{}", self.store.link_token(Purpose::Repair, link_id)))
    }
}

fn withheld(why: &str) -> Ready {
    Ready::Settle(LetterOutcome::Withheld { why: why.to_owned() })
}

/// Whether somebody asked for the letter on the page of an older one.
pub(super) fn is_asked_for(lines: &[Line]) -> bool {
    lines.iter().any(|line| line.topic == Topic::FreshLink)
}
