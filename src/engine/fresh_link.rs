//! A fresh link by mail, for who opened one that had ended.

use super::Engine;
use crate::domain::fresh_link::{Answer, fresh_link};
use crate::store::StoreError;

impl Engine {
    /// Somebody asks for a fresh link on the page of an old one. Whoever asks is not told whether there is anybody to write
    /// to: that is for the log.
    ///
    /// # Errors
    /// What the store says.
    pub async fn send_fresh_link(&self, token: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let zone = self.config.app.time_zone.zone().clone();
        let channel = self.config.mail.channel();
        let letter = self.clock.new_letter();
        let written = self
            .store
            .write_fresh_link(
                token,
                Box::new(move |profile, items, asked| {
                    fresh_link(&profile.for_letters(&zone, channel), items, asked, now)
                }),
                letter,
                self.rule(),
            )
            .await?;
        match written {
            Some((user, Answer::Write(_))) => {
                tracing::info!(%user, %letter, "user {user} asked for a fresh link: letter {letter}");
                self.wake();
            }
            Some((user, Answer::TooSoon)) => tracing::info!(%user, "user {user} had a fresh link a short time ago"),
            Some((user, Answer::NoItem)) => {
                tracing::info!(%user, "user {user} has nothing left to repair: no fresh link")
            }
            Some((user, Answer::Silent(why))) => {
                tracing::info!(%user, "user {user} gets no letters, so no fresh link: {why:?}");
            }
            None => {
                tracing::debug!("a fresh link was asked for with a link that never was, or of a user who is erased")
            }
        }
        Ok(())
    }
}
