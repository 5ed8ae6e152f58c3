//! The loop: does what is due, learns when something is due next, then sleeps until then or until it is woken.

use std::time::Duration;

use jiff::SignedDuration;

use super::Engine;
use crate::store::StoreError;

/// How long to rest after the store refused: a full disk does not empty itself in a hurry.
const REST: Duration = Duration::from_secs(1);

/// The shortest sleep, if nobody wakes us.
const BREATH: SignedDuration = SignedDuration::from_millis(20);

/// How many Items one round ticks.
const TICKS: u32 = 256;

/// Runs until relinkd is to stop. What was claimed by then goes on in its own tasks.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        // Registered before looking, or a wake-up between looking and sleeping would be lost.
        let woken = engine.wake.notified();
        let next = match round(&engine).await {
            Ok(true) => continue,
            Ok(false) => engine.store.next_due().await,
            Err(error) => Err(error),
        };
        match next {
            Ok(next) => {
                // What is due and was not begun found no place: whoever gives one back wakes us, so do not spin meanwhile.
                let next = next.map(|next| next.max(engine.clock.now() + BREATH));
                tokio::select! {
                    () = woken => {}
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

/// Does what is due. Says whether more is.
async fn round(engine: &Engine) -> Result<bool, StoreError> {
    let mut more = engine.ingest().await?;
    let (ticked, told) = engine.store.tick(TICKS, engine.rule()).await?;
    super::apply::tell(&told);
    more |= ticked == TICKS as usize;
    more |= engine.compose_due().await?;
    engine.dispatch().await?;
    engine.post_due().await?;
    Ok(more)
}
