//! What users and the application decide: pauses, opt-outs, moves, addresses, removals.

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::contact::ZoneName;
use relinkd::domain::event::Event;
use relinkd::domain::item::UNTIL_RESUMED;
use relinkd::store::{NewProfile, Wish};

use super::super::post::{Post, email};
use super::books::DOMAINS;
use super::life::Whim;
use super::plan::Planted;
use super::world::{What, World, item_id, user_id};
use super::zones::ZONES;

impl<S: Post> World<'_, S> {
    pub fn item_snoozes(&mut self, item: u32, until: Timestamp) {
        if self.books.units[item as usize].forgotten || self.books.is_down(self.now).is_some() {
            return;
        }
        self.books.units[item as usize].snoozed_until = until;
        if until == UNTIL_RESUMED {
            self.outcome.count("Items stopped");
        } else {
            self.outcome.count("Items snoozed");
            self.plan_for(until, What::ItemSnoozeEnds(item));
        }
        if self.plan.planted != Planted::ItemSnoozeIgnored {
            self.shell.step(&item_id(item), Event::Snoozed { until }, self.now);
        }
        self.note_item(item, || format!("snoozed until {until}"));
        self.look(item);
    }

    pub fn item_resumes(&mut self, item: u32) {
        if self.books.units[item as usize].forgotten || self.books.is_down(self.now).is_some() {
            return;
        }
        self.books.units[item as usize].snoozed_until = Timestamp::UNIX_EPOCH;
        self.shell.step(&item_id(item), Event::Resumed, self.now);
        self.note_item(item, || "resumed".to_owned());
        self.look(item);
    }

    pub fn forget(&mut self, item: u32) {
        if let Some(until) = self.books.is_down(self.now) {
            self.plan_for(until + SignedDuration::from_mins(1), What::Forgets(item));
            return;
        }
        self.books.units[item as usize].forgotten = true;
        let why = relinkd::domain::item::RemovalReason::Application;
        self.shell.step(&item_id(item), Event::Removed { why }, self.now);
        self.note_item(item, || "removed by the application".to_owned());
        self.look(item);
    }

    pub fn whim(&mut self, person: u32, whim: Whim) {
        let now = self.now;
        if let Some(until) = self.books.is_down(now)
            && !matches!(whim, Whim::SnoozeEnds | Whim::MailboxDies)
        {
            self.plan_for(until + SignedDuration::from_mins(1), What::Whim(person, whim));
            return;
        }
        self.note(person, || format!("{whim:?}"));
        let planted = self.plan.planted;
        let mut wish = |wish: Wish| self.shell.wish(&user_id(person), wish, now);
        let one = &mut self.books.people[person as usize];
        match whim {
            Whim::Stops => {
                (one.stopped, one.snoozed_until) = (true, Timestamp::UNIX_EPOCH);
                if planted != Planted::StopIgnored {
                    wish(Wish::Stop);
                }
                self.outcome.count("opt-outs");
            }
            Whim::Resumes => {
                (one.stopped, one.snoozed_until) = (false, Timestamp::UNIX_EPOCH);
                wish(Wish::Resume);
            }
            Whim::SnoozesUntil(until) if until > now && !one.stopped => {
                one.snoozed_until = until;
                if planted != Planted::SnoozeIgnored {
                    wish(Wish::SnoozeUntil(until));
                }
                self.outcome.count("users snoozed");
                self.plan_for(until, What::Whim(person, Whim::SnoozeEnds));
            }
            Whim::SnoozesUntil(_) | Whim::SnoozeEnds => {}
            Whim::MailboxDies => one.is_dead = true,
            Whim::NewAddress => {
                one.address += 1;
                (one.is_dead, one.has_bounced) = (false, false);
                self.put_user(person);
            }
            Whim::MovesTo(zone) => {
                one.zone = zone;
                self.outcome.count("moves");
                if planted != Planted::MoveUnheard && self.books.people[person as usize].address > 0 {
                    self.put_user(person);
                }
            }
        }
        let (first, count) = self.books.people[person as usize].items;
        (first..first + count).for_each(|item| self.look(item));
    }

    pub fn put_user(&mut self, person: u32) {
        let one = &self.books.people[person as usize];
        let address = email(&format!("user-{person}-{}@{}", one.address, DOMAINS[one.domain]));
        let time_zone = Some(ZoneName::parse(ZONES[one.zone]).expect("a zone"));
        let profile = NewProfile { id: user_id(person), email: Some(address), name: None, locale: None, time_zone };
        self.shell.put_user(profile, self.now);
    }
}
