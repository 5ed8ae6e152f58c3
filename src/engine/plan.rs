//! Questions about what would be: what a user will be written, and what a webhook would do once more. They run the same rules
//! as the real thing, and commit nothing.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Engine;
use super::apply::tell;
use crate::domain::compose::{Channel, Circumstances, Delay, Line, Quiet, Silence, quiet};
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Topic};
use crate::domain::ids::{ItemId, UserId};
use crate::domain::item::{Item, Kind, State};
use crate::domain::plan::{Plan, Then, plan};
use crate::store::{Meaning, Outlook, Pause, StoreError, Verdict};

/// How far ahead a preview looks: no ladder of the defaults is longer.
pub const PREVIEW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What a user will be written.
#[derive(Clone, Debug, Serialize)]
pub struct UserPlan {
    user_id: UserId,
    underway: bool,
    /// When the letter that is on its way is tried, and why not before, where it was put off.
    underway_until: Option<Timestamp>,
    underway_why: Option<String>,
    /// What holds all letters back: then none of these leaves before it ends.
    pause: Option<Pause>,
    letters: Vec<PlannedLetter>,
    then: PlannedThen,
}

#[derive(Clone, Debug, Serialize)]
struct PlannedLetter {
    at: Timestamp,
    lines: Vec<PlannedLine>,
}

#[derive(Clone, Debug, Serialize)]
struct PlannedLine {
    item_id: ItemId,
    episode: u32,
    topic: &'static str,
    kind: Option<Kind>,
    rung: Option<u8>,
}

/// Why no more: a wait until a moment, or a silence.
#[derive(Clone, Debug, Serialize)]
struct PlannedThen {
    why: Why,
    until: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Why {
    Delay(Delay),
    Silence(Silence),
}

/// What a webhook would do if it were applied once more.
#[derive(Debug, Serialize)]
pub struct Preview {
    webhook_id: i64,
    item_id: Option<ItemId>,
    /// `apply` what it says, `ask` Plaid about the Item, `park` it until the Item is registered, or `nothing`.
    action: &'static str,
    note: Option<&'static str>,
    steps: Vec<PreviewStep>,
    /// What the Item's user will be written then.
    plan: Option<UserPlan>,
}

#[derive(Debug, Serialize)]
struct PreviewStep {
    event: Event,
    state_before: State,
    state_after: State,
    effects: Vec<Effect>,
}

impl Engine {
    /// What a user will be written until a moment. Nothing for a user who is unknown or erased.
    ///
    /// # Errors
    /// What the store says.
    pub async fn plan(&self, user: UserId, ahead: SignedDuration) -> Result<Option<UserPlan>, StoreError> {
        let now = self.clock.now();
        let Some(outlook) = self.outlook(user, now).await? else { return Ok(None) };
        let circumstances = self.circumstances(&outlook, now).await?;
        Ok(Some(self.plan_of(&outlook, &circumstances, now, ahead)))
    }

    /// Why an Item has nothing to say to its user now; nothing if it has.
    ///
    /// # Errors
    /// What the store says.
    pub async fn quiet(&self, item: &Item) -> Result<Option<Quiet>, StoreError> {
        let now = self.clock.now();
        let policy = &self.config.reminders;
        let Some(outlook) = self.outlook(item.user.clone(), now).await? else {
            return Ok(quiet(item, &[], &Circumstances::default(), now, policy));
        };
        let circumstances = self.circumstances(&outlook, now).await?;
        Ok(quiet(item, &outlook.sent, &circumstances, now, policy))
    }

    /// Applies a kept webhook once more, or only says what that would do. Nothing if there is no such webhook.
    ///
    /// What was applied before is not applied again: months later it may be long over, and the user would hear of it twice.
    /// Plaid is asked about its Item instead, which tells what is so.
    ///
    /// # Errors
    /// What the store says.
    pub async fn replay(&self, id: i64, dry_run: bool) -> Result<Option<Preview>, StoreError> {
        let Some((receipt, unread)) = self.store.webhook(id).await? else { return Ok(None) };
        let verdict = self.judge_again(&receipt, &unread);
        let preview = self.preview(&verdict).await?;
        if !dry_run && preview.action != "nothing" {
            tell(&self.store.replay(verdict, self.rule()).await?);
            self.wake();
        }
        Ok(Some(preview))
    }

    async fn preview(&self, verdict: &Verdict) -> Result<Preview, StoreError> {
        let nothing = |item_id: Option<ItemId>, note| Preview {
            webhook_id: verdict.id,
            item_id,
            action: "nothing",
            note: Some(note),
            steps: Vec::new(),
            plan: None,
        };
        let (id, events) = match &verdict.meaning {
            Meaning::Nothing { item, note } => return Ok(nothing(item.clone(), note)),
            Meaning::Item { item, events, .. } => (item.clone(), events.clone()),
            Meaning::Session { link_token, event } => match self.store.item_of_link_token(link_token.clone()).await? {
                None => return Ok(nothing(None, "names a Link token that was not made here")),
                Some(item) => (item, vec![event.clone()]),
            },
        };
        let Some(record) = self.store.item(id.clone()).await?.filter(|record| record.item.removed.is_none()) else {
            let note = "the Item is not registered: it is kept until it is";
            return Ok(Preview { action: "park", ..nothing(Some(id), note) });
        };
        let action = if events == [Event::Suspected] { "ask" } else { "apply" };
        let rule = self.rule();
        let mut item = record.item;
        let mut steps = Vec::new();
        for event in events {
            let step = (rule.decide)(&item, &event).step;
            let (state_before, state_after) = (item.state(), step.item.state());
            steps.push(PreviewStep { event, state_before, state_after, effects: step.effects });
            item = step.item;
        }
        let plan = self.plan_with(item).await?;
        Ok(Preview { webhook_id: verdict.id, item_id: Some(id), action, note: None, steps, plan })
    }

    /// What a user will be written if one of the user's Items were as given.
    async fn plan_with(&self, item: Item) -> Result<Option<UserPlan>, StoreError> {
        let now = self.clock.now();
        let Some(mut outlook) = self.outlook(item.user.clone(), now).await? else { return Ok(None) };
        for known in outlook.items.iter_mut().filter(|known| known.id == item.id) {
            *known = item.clone();
        }
        let circumstances = self.circumstances(&outlook, now).await?;
        Ok(Some(self.plan_of(&outlook, &circumstances, now, PREVIEW)))
    }

    /// All that decides on letters to a user, in the way in which they are brought.
    async fn outlook(&self, id: UserId, now: Timestamp) -> Result<Option<Outlook>, StoreError> {
        let mail = &self.config.mail;
        let mut outlook = self.store.outlook(id, mail.daily_caps.clone(), now).await?;
        if let (Channel::Event, Some(outlook)) = (mail.channel(), &mut outlook) {
            outlook.pause = None;
        }
        Ok(outlook)
    }

    async fn circumstances(&self, outlook: &Outlook, now: Timestamp) -> Result<Circumstances, StoreError> {
        let mut held = self.store.held_banks(now).await?;
        held.extend(self.banks.down(now));
        let provider_full_until = outlook.provider_full_until;
        Ok(Circumstances { underway: outlook.underway.is_some(), held, provider_full_until })
    }

    fn plan_of(
        &self,
        outlook: &Outlook,
        circumstances: &Circumstances,
        now: Timestamp,
        ahead: SignedDuration,
    ) -> UserPlan {
        let user = outlook.profile.for_letters(self.config.app.time_zone.zone(), self.config.mail.channel());
        let end = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
        let policy = &self.config.reminders;
        let plan = plan(&user, &outlook.items, &outlook.sent, circumstances, (now, end), policy);
        shown(outlook, plan, now)
    }
}

fn shown(outlook: &Outlook, plan: Plan, now: Timestamp) -> UserPlan {
    let then = match plan.then {
        Then::Later { until, why } => PlannedThen { why: Why::Delay(why), until: Some(until) },
        Then::Nothing(why) => PlannedThen { why: Why::Silence(why), until: None },
    };
    let letters = plan.letters.into_iter();
    let letters = letters.map(|letter| PlannedLetter { at: letter.at, lines: letter.lines.iter().map(line).collect() });
    let put_off = outlook.underway.as_ref().filter(|letter| letter.due_at.is_some_and(|at| at > now));
    UserPlan {
        user_id: outlook.profile.id.clone(),
        underway: plan.underway,
        underway_until: put_off.and_then(|letter| letter.due_at),
        underway_why: put_off.and_then(|letter| letter.note.clone()),
        pause: outlook.pause.clone(),
        letters: letters.collect(),
        then,
    }
}

fn line(line: &Line) -> PlannedLine {
    let (topic, kind, rung) = match line.topic {
        Topic::Reminder { kind, rung } => ("reminder", Some(kind), Some(rung)),
        Topic::WorksAgain => ("works_again", None, None),
        Topic::FreshLink => ("fresh_link", None, None),
    };
    PlannedLine { item_id: line.item.clone(), episode: line.episode, topic, kind, rung }
}
