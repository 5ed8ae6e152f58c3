//! The names of the API in words: why there is a letter, why there is none, what a step was about.

use serde_json::Value;

/// Why a user is not written to now, or not any more. A name that is not known here is said as it is.
#[must_use]
pub fn why(name: &str) -> &str {
    match name {
        "not_due" => "no reminder is due before then",
        "user_gap" => "the user had a letter a short time ago ([reminders] user_gap)",
        "gathering" => "another Item's reminder is due within minutes: one letter for both",
        "send_window" => "letters leave by day only where the user is ([reminders] send_window)",
        "snoozed" => "the user asked for a pause",
        "provider_full" => "the mailbox provider takes no more today",
        "nothing_due" => "no reminder is left to write",
        "held" => "found broken at the import: waits for `relinkd letters release`",
        "stopped" => "the user stopped all letters",
        "no_address" => "the user has no address: `relinkd users set USER --email ADDRESS`",
        "suppressed" => "the address takes no letters: it bounced or complained",
        "underway" => "a letter is on its way already",
        "window_never_opens" => "the send window never opens again ([reminders] send_window)",
        other => other,
    }
}

/// Why an Item has nothing to say to its user now.
#[must_use]
pub fn quiet(name: &str) -> &str {
    match name {
        "removed" => "the Item is gone",
        "token" => "its access token is not proven, or Plaid does not take it",
        "superseded" => "its repair would break a newer Item of the same user",
        "impaired" => "the bank or Plaid is down: the user could do nothing about it",
        "held" => "found broken at its import: waits for `relinkd letters release`",
        "snoozed" => "letters about it pause, or its user stopped them: `relinkd items resume ITEM` ends that",
        "sound" => "nothing is open that the user could do something about",
        "not_due" => "the next reminder is not due yet",
        "ladder_ended" => "every reminder of this episode was written ([reminders])",
        "bank_fails" => {
            "several logins broke at this bank at once: that is the bank's fault, and letters wait for up to six hours"
        }
        "capped" => "it had its six letters of these 30 days",
        other => other,
    }
}

/// An event of the journal: its name, and what it says.
#[must_use]
pub fn event(event: &Value) -> String {
    let Some((name, what)) = event.as_object().and_then(|object| object.iter().next()) else {
        return event.as_str().unwrap_or_default().to_owned();
    };
    let mut said = Vec::new();
    facts("", what, &mut said);
    if said.is_empty() { name.clone() } else { format!("{name} ({})", said.join(", ")) }
}

/// What was to be done after a step. Changes of state are told by the states.
#[must_use]
pub fn effects(effects: &Value) -> String {
    let list = effects.as_array().map(Vec::as_slice).unwrap_or_default();
    let said = list.iter().filter_map(|effect| {
        if effect.get("observe").is_some() {
            return Some("asks Plaid".to_owned());
        }
        if effect.get("ask_session").is_some() {
            return Some("asks Plaid how Link ended".to_owned());
        }
        let notice = effect.get("tell")?;
        notice.get("state_changed").is_none().then(|| format!("tells {}", event(notice)))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// What a letter says about an Item.
#[must_use]
pub fn topic(topic: &str, kind: Option<&str>, rung: Option<u8>) -> String {
    match (topic, kind, rung) {
        ("reminder", Some(kind), Some(rung)) => format!("reminder {} of {kind}", u16::from(rung) + 1),
        ("works_again", _, _) => "it works again".to_owned(),
        ("fresh_link", _, _) => "a fresh link".to_owned(),
        _ => topic.to_owned(),
    }
}

/// The plain values in a value, each with its name.
fn facts(name: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::String(text) if name.is_empty() => into.push(text.clone()),
        Value::String(text) => into.push(format!("{name} {text}")),
        Value::Bool(_) | Value::Number(_) => into.push(format!("{name} {value}")),
        Value::Array(list) => list.iter().for_each(|value| facts(name, value, into)),
        Value::Object(members) => members.iter().for_each(|(name, value)| facts(name, value, into)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::compose::{Delay, Quiet, Silence};

    /// Where the words of a name are looked up.
    type Words = fn(&str) -> &str;

    /// Every reason, and where its words are.
    fn names() -> Vec<(Value, Words)> {
        let delays =
            [Delay::NotDue, Delay::UserGap, Delay::Gathering, Delay::SendWindow, Delay::Snoozed, Delay::ProviderFull];
        let silences = [
            Silence::NothingDue,
            Silence::Held,
            Silence::Stopped,
            Silence::NoAddress,
            Silence::Suppressed,
            Silence::Underway,
            Silence::WindowNeverOpens,
        ];
        let quiets = [
            Quiet::Removed,
            Quiet::Token,
            Quiet::Superseded,
            Quiet::Impaired,
            Quiet::Held,
            Quiet::Snoozed,
            Quiet::Sound,
            Quiet::NotDue,
            Quiet::LadderEnded,
            Quiet::BankFails,
            Quiet::Capped,
        ];
        let delays = delays.into_iter().map(|delay| (json!(delay), why as Words));
        let silences = silences.into_iter().map(|silence| (json!(silence), why as Words));
        let quiets = quiets.into_iter().map(|reason| (json!(reason), quiet as Words));
        delays.chain(silences).chain(quiets).collect()
    }

    #[test]
    fn every_reason_has_words() {
        for (name, words) in names() {
            let name = name.as_str().expect("a name");
            assert_ne!(words(name), name, "{name} is not said in words");
        }
    }

    #[test]
    fn a_step_is_said_with_what_it_knows() {
        let broke = json!({ "login_required": { "code": "ITEM_LOGIN_REQUIRED", "reason": null, "cure": "log_in" } });
        assert_eq!(event(&broke), "login_required (code ITEM_LOGIN_REQUIRED, cure log_in)");
        assert_eq!(event(&json!("tick")), "tick");
        let follows = json!([
            { "tell": { "state_changed": { "from": "healthy", "to": "login_required" } } },
            { "observe": { "not_before": "2026-11-23T09:00:00Z" } },
            { "tell": { "ladder_ended": { "episode": 3 } } },
        ]);
        assert_eq!(effects(&follows), "asks Plaid, tells ladder_ended (episode 3)");
        assert_eq!(topic("reminder", Some("login_required"), Some(0)), "reminder 1 of login_required");
    }
}
