//! Who lives through the year, and what is to happen: drawn once from the seed.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::domain::ids::InstitutionId;
use relinkd::domain::item::UNTIL_RESUMED;

use super::super::chance::Chance;
use super::super::truth::{Truth, Turn};
use super::books::{Bank, Books, Outage, OutageKind, Person, Unit};
use super::plan::Plan;
use super::waits::Wait;
use super::world::What;
use super::zones::ZONES;

pub const MINUTES_A_DAY: i64 = 24 * 60;

/// Something about a user that the user, the application or the mailbox decides.
#[derive(Clone, Copy, Debug)]
pub enum Whim {
    MovesTo(usize),
    Stops,
    Resumes,
    SnoozesUntil(Timestamp),
    SnoozeEnds,
    MailboxDies,
    NewAddress,
}

pub fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub struct Life {
    pub books: Books,
    pub happenings: Vec<(Timestamp, What)>,
}

pub fn draw(plan: &Plan) -> Life {
    let mut life = Life {
        books: Books {
            zones: ZONES.iter().map(|name| TimeZone::get(name).expect("a zone")).collect(),
            people: Vec::new(),
            units: Vec::new(),
            banks: (0..plan.banks + plan.small_banks).map(bank).collect(),
            outages: Vec::new(),
            downtimes: downtimes(plan),
            provider_days: std::collections::BTreeMap::new(),
        },
        happenings: Vec::new(),
    };
    let mut chance = Chance::new(plan.seed);
    for number in 0..plan.users {
        person(&mut life, &mut chance, plan, number);
    }
    outages(&mut life, &mut chance, plan);
    life
}

fn bank(number: u32) -> Bank {
    let id = InstitutionId::parse(format!("ins_{}", 1000 + number)).expect("an id");
    Bank { id, items: Vec::new(), outage: None }
}

/// Relinkd is down for three days in spring and for one in autumn.
fn downtimes(plan: &Plan) -> Vec<(Timestamp, Timestamp)> {
    let at = |day: i64, hour: i64| start() + minutes((day * 24 + hour) * 60);
    let all = [(at(100, 7), at(103, 13)), (at(280, 15), at(281, 16))];
    all.into_iter().filter(|(_, until)| *until < start() + minutes(plan.days * MINUTES_A_DAY)).collect()
}

fn person(life: &mut Life, chance: &mut Chance, plan: &Plan, number: u32) {
    let first = u32::try_from(life.books.units.len()).expect("few");
    let count = match chance.between(0, 99) {
        0..40 => 1,
        40..80 => 2,
        _ => 3,
    };
    let domain = match chance.between(0, 99) {
        0..38 => 0,
        38..42 => 1,
        other => 2 + usize::try_from(other % 3).expect("small"),
    };
    let presses = [0, 30, 80][usize::try_from(chance.between(0, 2)).expect("small")];
    let has_address = !chance.percent(1);
    life.books.people.push(Person {
        items: (first, count),
        zone: usize::try_from(chance.between(0, 37)).expect("small"),
        domain,
        address: u32::from(has_address),
        is_dead: false,
        has_bounced: false,
        stopped: false,
        snoozed_until: Timestamp::UNIX_EPOCH,
        presses,
        reminded_at: Timestamp::UNIX_EPOCH,
    });
    whims(life, chance, plan, number, has_address);
    for unit_number in first..first + count {
        unit(life, chance, plan, number, unit_number);
    }
}

/// A moment of the year: none of its last days, so that what follows is seen.
fn moment(chance: &mut Chance, plan: &Plan, not_before_day: i64) -> Timestamp {
    start()
        + SignedDuration::from_secs(
            chance.between(not_before_day * 86_400, (plan.days - 10).max(not_before_day + 1) * 86_400),
        )
}

fn whims(life: &mut Life, chance: &mut Chance, plan: &Plan, number: u32, has_address: bool) {
    let mut say = |at: Timestamp, whim: Whim| life.happenings.push((at, What::Whim(number, whim)));
    if !has_address {
        say(moment(chance, plan, 5), Whim::NewAddress);
    }
    if chance.percent(12) {
        for _ in 0..chance.between(1, 3) {
            let to = usize::try_from(chance.between(0, 37)).expect("small");
            say(moment(chance, plan, 3), Whim::MovesTo(to));
        }
    }
    if chance.percent(4) {
        let at = moment(chance, plan, 3);
        say(at, Whim::Stops);
        if chance.percent(40) {
            say(at + minutes(chance.between(60, 90 * MINUTES_A_DAY)), Whim::Resumes);
        }
    }
    if chance.percent(8) {
        let at = moment(chance, plan, 3);
        let until = at + minutes(chance.between(60, 40 * MINUTES_A_DAY));
        say(at, Whim::SnoozesUntil(until));
        if chance.percent(30) {
            say(at + minutes(chance.between(30, 20 * MINUTES_A_DAY)), Whim::Resumes);
        }
    }
    if chance.percent(1) {
        let at = moment(chance, plan, 3);
        say(at, Whim::MailboxDies);
        if chance.percent(50) {
            say(at + minutes(chance.between(10 * MINUTES_A_DAY, 60 * MINUTES_A_DAY)), Whim::NewAddress);
        }
    }
}

/// A few banks have many Items, some have some, and one Item in ten is at one of very many that have a few.
fn bank_of(chance: &mut Chance, plan: &Plan) -> u32 {
    if chance.percent(10) {
        let small = chance.between(0, i64::from(plan.small_banks) - 1);
        return plan.banks + u32::try_from(small).expect("few");
    }
    let drawn = (chance.between(0, 9_999) as f64 / 10_000.0).powf(2.5) * f64::from(plan.banks);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
    let bank = drawn as u32;
    bank
}

fn unit(life: &mut Life, chance: &mut Chance, plan: &Plan, person: u32, number: u32) {
    let bank = bank_of(chance, plan);
    life.books.banks[bank as usize].items.push(number);
    life.books.units.push(Unit {
        person,
        bank,
        truth: Truth::default(),
        foreign: chance.percent(1),
        forgotten: false,
        snoozed_until: Timestamp::UNIX_EPOCH,
        accounts: false,
        accounts_at: Timestamp::UNIX_EPOCH,
        changed_at: Timestamp::UNIX_EPOCH,
        answered_at: Timestamp::UNIX_EPOCH,
        broke_at: Timestamp::UNIX_EPOCH,
        mended_at: Timestamp::UNIX_EPOCH,
        outage: None,
        is_known: false,
        unheard: false,
        repaired_at: Timestamp::UNIX_EPOCH,
        session_told: false,
        reminders: 0,
        ended: false,
        owed: 0,
        recent: Vec::new(),
        waits: [Wait::default(); 4],
    });
    if chance.percent(1) {
        flaps(life, chance, plan, number);
    } else {
        breaks(life, chance, plan, number);
    }
    let mut say = |at: Timestamp, turn: Turn| life.happenings.push((at, What::Turn(number, turn)));
    if chance.percent(15) {
        let ends = start() + minutes(chance.between(9 * MINUTES_A_DAY, (plan.days + 20) * MINUTES_A_DAY));
        say(start() + minutes(chance.between(30, MINUTES_A_DAY)), Turn::Consents { ends });
    }
    if chance.percent(30) {
        say(moment(chance, plan, 3), Turn::AccountsOpen);
    }
    if chance.percent(1) {
        say(moment(chance, plan, 3), if chance.percent(70) { Turn::Withdraws } else { Turn::Vanishes });
    }
    if chance.percent(1) {
        life.happenings.push((moment(chance, plan, 3), What::Forgets(number)));
    }
    if chance.percent(6) {
        let at = moment(chance, plan, 3);
        let until = at + minutes(chance.between(60, 30 * MINUTES_A_DAY));
        let until = if chance.percent(30) { UNTIL_RESUMED } else { until };
        life.happenings.push((at, What::ItemSnoozes(number, until)));
        if chance.percent(30) {
            life.happenings.push((at + minutes(chance.between(30, 10 * MINUTES_A_DAY)), What::ItemResumes(number)));
        }
    }
}

fn breaks(life: &mut Life, chance: &mut Chance, plan: &Plan, number: u32) {
    let mut at = start();
    loop {
        at += minutes(chance.between(2 * MINUTES_A_DAY, 300 * MINUTES_A_DAY));
        if at >= start() + minutes((plan.days - 3) * MINUTES_A_DAY) {
            return;
        }
        let mut say = |at: Timestamp, turn: Turn| life.happenings.push((at, What::Turn(number, turn)));
        say(at, Turn::Breaks);
        let heals = match chance.between(0, 9) {
            0..3 => Some(SignedDuration::from_secs(chance.between(20, 29 * 60 + 50))),
            3..5 => Some(minutes(chance.between(31, MINUTES_A_DAY))),
            5..7 => Some(minutes(chance.between(MINUTES_A_DAY, 20 * MINUTES_A_DAY))),
            _ => None,
        };
        if let Some(heals) = heals {
            say(at + heals, Turn::Heals { said: chance.percent(70) });
        }
    }
}

/// For some weeks the login breaks every few days, and is repaired elsewhere soon after.
fn flaps(life: &mut Life, chance: &mut Chance, plan: &Plan, number: u32) {
    let mut at = moment(chance, plan, 3);
    for _ in 0..14 {
        life.happenings.push((at, What::Turn(number, Turn::Breaks)));
        let mended = at + minutes(chance.between(20 * 60, 40 * 60));
        life.happenings.push((mended, What::Turn(number, Turn::Heals { said: true })));
        at = mended + minutes(chance.between(75 * 60, 80 * 60));
    }
}

fn outages(life: &mut Life, chance: &mut Chance, plan: &Plan) {
    for bank in 0..plan.banks + plan.small_banks {
        let count = chance.between(3, 6);
        for slot in 0..count {
            let spread = (plan.days - 30) / count;
            let day = 10 + slot * spread + chance.between(0, (spread - 8).max(1));
            let begins = start() + SignedDuration::from_secs(day * 86_400 + chance.between(0, 86_399));
            let lasts = match chance.between(0, 9) {
                0..4 => minutes(chance.between(4, 30)),
                4..8 => minutes(chance.between(30, 6 * 60 - 2)),
                _ => minutes(chance.between(6 * 60, 4 * MINUTES_A_DAY)),
            };
            let kind = if chance.percent(60) { OutageKind::Logins } else { OutageKind::Down };
            let number = u32::try_from(life.books.outages.len()).expect("few");
            life.books.outages.push(Outage {
                bank,
                kind,
                begins,
                ends: begins + lasts,
                share: chance.between(40, 90),
                said: lasts < minutes(MINUTES_A_DAY) && chance.percent(40),
                known: Vec::new(),
                letters: 0,
                first_letter_to: 0,
            });
            life.happenings.push((begins, What::OutageBegins(number)));
            life.happenings.push((begins + lasts, What::OutageEnds(number)));
        }
    }
}
