//! The loop: does what is due, learns when something is due next, then sleeps until then or until it is woken.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::sweep::GAP;
use crate::store::StoreError;

/// How long to rest after the store refused: a full disk does not empty itself in a hurry.
pub(super) const REST: Duration = Duration::from_secs(1);

/// The shortest sleep, if nobody wakes us.
const BREATH: SignedDuration = SignedDuration::from_millis(20);

/// How long the first webhook waits for others before the steps are taken. Its 200 has been said by then; without the wait
/// each webhook would have a round and a commit of its own, and the next webhooks would wait for that commit.
const GATHER: Duration = Duration::from_millis(10);

/// How many Items one round ticks.
const TICKS: u32 = 256;

/// Runs until relinkd is to stop. What was claimed by then goes on in its own tasks.
pub async fn run(engine: Engine) {
    let mut pulse = Pulse::of(&engine);
    while !engine.stop.is_cancelled() {
        // Registered before looking, or a wake-up between looking and sleeping would be lost.
        let woken = engine.wake.notified();
        let stood_still = pulse.beat(&engine);
        let done = round(&engine, stood_still).await;
        if done.is_ok() {
            engine.status.round_done(engine.clock.now());
        }
        match done {
            Ok(Left::More) => {}
            Ok(Left::Until(next)) => {
                // What is due and was not begun found no place: whoever gives one back wakes us, so do not spin meanwhile.
                let next = next.map(|next| next.max(engine.clock.now() + BREATH));
                tokio::select! {
                    () = woken => {}
                    () = gathered(&engine) => {}
                    () = engine.clock.sleep_towards(next) => {}
                    () = engine.stop.cancelled() => {}
                }
            }
            Err(error) => {
                tracing::error!("store: {error}");
                tokio::select! {
                    () = tokio::time::sleep(REST) => {}
                    () = engine.stop.cancelled() => {}
                }
            }
        }
    }
}

/// Waits until webhooks have come. Whatever else ends the wait begins a round too, and a round reads all that came.
async fn gathered(engine: &Engine) {
    engine.webhooks.notified().await;
    tokio::time::sleep(GATHER).await;
}

/// The wall clock and one that does not go while the machine sleeps, as they were a round ago.
struct Pulse {
    wall: Timestamp,
    running: Duration,
}

impl Pulse {
    fn of(engine: &Engine) -> Self {
        Self { wall: engine.clock.now(), running: engine.clock.monotonic() }
    }

    /// Whether the machine stood still since the last round, or its clock was set, for so long that webhooks may be missed.
    fn beat(&mut self, engine: &Engine) -> bool {
        let before = std::mem::replace(self, Self::of(engine));
        let by_the_wall = self.wall.duration_since(before.wall);
        let ran = SignedDuration::try_from(self.running.saturating_sub(before.running)).unwrap_or(SignedDuration::MAX);
        (by_the_wall - ran).abs() > GAP
    }
}

/// What a round left.
enum Left {
    /// More is due now.
    More,
    /// Nothing is due before then.
    Until(Option<Timestamp>),
}

/// Does what is due. One look tells what that is, so that a round with nothing due writes nothing.
async fn round(engine: &Engine, stood_still: bool) -> Result<Left, StoreError> {
    if stood_still {
        tracing::warn!("the machine stood still or its clock was set: webhooks may have been missed");
        engine.begin_sweep().await?;
    }
    let mut more = engine.ingest().await?;
    let (agenda, now) = (engine.store.agenda(engine.config.mail.channel()).await?, engine.clock.now());
    let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    if is_due(agenda.items) {
        let (ticked, told) = engine.store.tick(TICKS, engine.rule()).await?;
        super::apply::tell(&told);
        more |= ticked == TICKS as usize;
    }
    if is_due(agenda.release) {
        more |= engine.release_due().await?;
    }
    if is_due(agenda.users) {
        more |= engine.compose_due().await?;
    }
    if is_due(agenda.appointments) {
        engine.keep_appointments().await?;
    }
    let turn = engine.sweep(&agenda).await?;
    if is_due(agenda.effects) || is_due(turn) {
        engine.dispatch().await?;
    }
    if is_due(agenda.letters) {
        engine.post_due().await?;
    }
    let probe = engine.probe();
    // What was done may have made something else due.
    let done = is_due(agenda.items) || is_due(agenda.users) || is_due(agenda.release) || is_due(agenda.appointments);
    let mut agenda = if done { engine.store.agenda(engine.config.mail.channel()).await? } else { agenda };
    if let Err(room_at) = engine.room_for_routine() {
        agenda.effects = agenda.effects.map(|at| at.max(room_at));
    }
    if engine.letters_under_way.available_permits() == 0 {
        // Who gives a place back wakes us.
        agenda.letters = None;
    }
    let next = agenda.next().into_iter().chain(probe).chain(turn).min();
    Ok(if more { Left::More } else { Left::Until(next) })
}
