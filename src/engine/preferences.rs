//! What a user chooses about letters, carried out: about all, and bank by bank.

use super::Engine;
use super::apply::tell;
use crate::domain::ids::UserId;
use crate::domain::preferences::{Choices, Letters, banks};
use crate::store::{StoreError, Wish};

/// Where these steps come from, as the journal says it.
const CAUSE: &str = "preferences page";

impl Engine {
    /// Does what a user chooses, at once. Answers the choices that would bring back what was before: none where all was so
    /// already.
    ///
    /// # Errors
    /// What the store says.
    pub async fn prefer(&self, user: &UserId, choices: &Choices) -> Result<Choices, StoreError> {
        let now = self.clock.now();
        let Some(profile) = self.store.user(user.clone()).await? else { return Ok(Choices::default()) };
        let items = self.store.items_of(user.clone()).await?;
        let mut before = Choices::default();
        let stands = Letters::to_user(profile.stopped_at, profile.snoozed_until, now);
        let all = choices.all.map(|chosen| chosen.as_of(now)).filter(|chosen| *chosen != stands);
        before.all = all.map(|_| stands);
        let mut about = Vec::new();
        for bank in banks(&items) {
            let chosen = choices.banks.iter().find(|(item, _)| bank.has(item));
            let chosen = chosen.map(|(item, chosen)| (item, chosen.as_of(now)));
            let Some((item, chosen)) = chosen.filter(|(_, chosen)| *chosen != bank.letters(now)) else { continue };
            before.banks.push((item.clone(), bank.letters(now)));
            about.extend(bank.items.iter().map(|item| (item.id.clone(), chosen.events())));
        }
        if !before.is_empty() {
            let wish = all.map(wish);
            let rule = self.rule();
            tell(&self.store.prefer(user.clone(), wish, about, CAUSE.to_owned(), rule).await?);
            tracing::info!(%user, "user {user} chose which letters to get");
            self.wake();
        }
        Ok(before)
    }
}

fn wish(chosen: Letters) -> Wish {
    match chosen {
        Letters::On => Wish::Resume,
        Letters::From(until) => Wish::SnoozeUntil(until),
        Letters::Off => Wish::Stop,
    }
}
