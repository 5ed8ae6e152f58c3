//! What letters are made of: who writes and the templates, as the configuration says, and what there is to say of an Item.
//! Called by the command line too, which shows letters and tries templates out.

use crate::config::Config;
use crate::domain::colour::Colour;
use crate::domain::compose::Line;
use crate::domain::event::Topic;
use crate::domain::item::{Deadline, ExpiryReason, Item, Kind};
use crate::domain::language::Language;
use crate::domain::policy::Policy;
use crate::mail::letter::{Brand, ButtonColours, COLOUR, Letter, Message, Passage, Templates};
use crate::mail::sample;
use crate::mail::words::TemplateFault;

/// Who writes, as the configuration says.
#[must_use]
pub fn brand(config: &Config) -> Brand {
    let (app, mail) = (&config.app, &config.mail);
    Brand {
        name: app.name.clone(),
        url: app.url.to_string(),
        support_email: app.support_email.as_str().to_owned(),
        postal_address: mail.postal_address.clone(),
        colour: colour(config),
        logo: mail.logo.clone(),
    }
}

/// An address below the public one.
#[must_use]
pub fn address(config: &Config, path: &str) -> String {
    format!("{}/{path}", config.server.public_url.as_str().trim_end_matches('/'))
}

/// A letter of a kind with invented facts, as the configuration would have it: its brand, and links that lead where all
/// its links lead, so that the operator sees the host that users are to trust. Nothing if there is no such kind.
#[must_use]
pub fn sample(config: &Config, kind: &str, language: Language) -> Option<Letter> {
    let letter = sample::letter(kind, brand(config), language)?;
    let link = |page: &str| address(config, &format!("{page}/{}", sample::DEAD_TOKEN));
    Some(Letter { repair_url: link("repair"), stop_url: link("unsubscribe"), ..letter })
}

/// The colours of a button, in letters and on pages.
#[must_use]
pub fn button(config: &Config) -> ButtonColours {
    ButtonColours::of(colour(config))
}

fn colour(config: &Config) -> Colour {
    config.mail.colour.unwrap_or(COLOUR)
}

/// The templates of all letters, the operator's tried out.
///
/// # Errors
/// Every fault of the operator's templates.
pub fn templates(config: &Config) -> Result<Templates, Vec<TemplateFault>> {
    let (languages, folder) = (&config.mail.languages, config.mail.templates_dir.as_deref());
    let templates = Templates::load(languages, folder)?;
    if folder.is_some() {
        sample::check(&templates, &brand(config), languages)?;
    }
    Ok(templates)
}

/// What a letter says about an Item, as it is now.
pub(super) fn passage(line: &Line, item: &Item, policy: &Policy) -> Option<Passage> {
    let about = match line.topic {
        Topic::WorksAgain => None,
        Topic::Reminder { kind, .. } => Some(kind),
        Topic::FreshLink => Kind::ALL.into_iter().find(|kind| item.open(*kind).is_some()),
    };
    let message = match about {
        None => Message::WorksAgain,
        Some(Kind::LoginRequired) if is_last(line, item, policy) => Message::LoginRequiredLast,
        Some(Kind::LoginRequired) => Message::LoginRequired,
        Some(Kind::NewAccounts) => Message::NewAccounts,
        Some(Kind::Revoked) => Message::AccessWithdrawn,
        Some(Kind::PendingExpiration) => {
            let expiry = &item.expiry.as_ref()?.what;
            let on = match expiry.deadline {
                Deadline::Known(at) => Some(at),
                Deadline::Assumed(_) => None,
            };
            match expiry.why {
                ExpiryReason::ConsentEnds => Message::ConsentEnds { on },
                ExpiryReason::BankMoves => Message::BankMoves { on },
                ExpiryReason::Unsaid => Message::ConnectionEnds { on },
            }
        }
    };
    Some(Passage { bank: item.institution.as_ref().and_then(|bank| bank.name.clone()), message })
}

/// Whether no rung follows. The first letter that its reader gets never says so, whatever kept the others: a pause, a bank
/// that was down, a ladder of one rung.
fn is_last(line: &Line, item: &Item, policy: &Policy) -> bool {
    let had_letters = item.open(Kind::LoginRequired).is_some_and(|episode| episode.letters > 0);
    match line.topic {
        Topic::Reminder { rung, .. } => had_letters && rung.saturating_add(1) >= policy.login_required.len(),
        Topic::WorksAgain | Topic::FreshLink => false,
    }
}
