//! Simulated worlds of ninety days: whatever happens at Plaid and however webhooks, answers and letters are lost or late,
//! the promises to the user hold. 200 seeds in the suite; `TEST_WORLD_SEEDS=20000` tries more.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::Reach;
use relinkd::domain::event::Topic;
use relinkd::domain::ids::ItemId;
use relinkd::domain::item::Kind;

use super::core_plaid::Turn;
use super::core_support::{days, from_environment, hours, mins, secs};
use super::core_world::{About, CALM, Left, ROUGH, Weather, World, id_of};

/// The worlds begin in winter and pass a change of clocks, in Europe, in America, and the other way round in Australia.
fn start() -> Timestamp {
    "2026-02-02T05:00:00Z".parse().expect("a time")
}

const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Kiritimati"];

/// A healthy or faulty life of ninety days.
fn life(world: &mut World) -> Vec<(Timestamp, Turn)> {
    let (mut turns, mut at) = (Vec::new(), start());
    let chance = world.chance();
    loop {
        at += mins(chance.between(60, 30 * 24 * 60));
        if at > start() + days(90) {
            return turns;
        }
        match chance.below(100) {
            0..45 => {
                turns.push((at, Turn::Breaks));
                let heals = match chance.below(4) {
                    0 => Some(secs(chance.between(20, 1790))),
                    1 => Some(mins(chance.between(30, 24 * 60))),
                    2 => Some(days(chance.between(1, 20))),
                    _ => None,
                };
                if let Some(heals) = heals {
                    let said = chance.percent(70);
                    turns.push((at + heals, Turn::Heals { said }));
                }
            }
            45..60 => turns.push((at, Turn::ConsentWillEnd)),
            60..75 => {
                let said = chance.percent(60);
                turns.push((at, Turn::BankWillMove { said }));
            }
            75..87 => turns.push((at, Turn::AccountsOpen)),
            87..95 => {
                turns.push((at, Turn::BankGoesDown));
                turns.push((at + mins(chance.between(5, 600)), Turn::BankComesBack));
            }
            95..97 => turns.push((at, Turn::Withdraws)),
            97..98 => turns.push((at, Turn::Vanishes)),
            _ => turns.push((at, Turn::Stops)),
        }
    }
}

fn world(seed: u64, weather: Weather) -> World {
    let mut world = World::new(seed, start(), weather);
    for _ in 0..world.chance().between(1, 3) {
        let zone = ZONES[usize::try_from(world.chance().below(6)).expect("an index")];
        let presses = [0, 30, 80][usize::try_from(world.chance().below(3)).expect("an index")];
        let owner = world.person(zone, presses);
        for _ in 0..world.chance().between(1, 3) {
            let turns = life(&mut world);
            world.item(owner, "ins_1", turns);
        }
    }
    world
}

/// What no letter of any world may do.
fn promises(world: &World, seed: u64) {
    let mut by_item: BTreeMap<&ItemId, Vec<&Left>> = BTreeMap::new();
    let mut last_reminder: BTreeMap<usize, Timestamp> = BTreeMap::new();
    for left in &world.left {
        let at = |why: &str| format!("seed {seed}: {why}: {left:#?}");
        assert!(left.user.stopped_at.is_none() && left.user.reach == Reach::Address, "{}", at("to nobody who stopped"));
        let hour = left.user.time_zone.to_datetime(left.at).hour();
        assert!((9..18).contains(&hour), "{}", at("by day where the user is"));
        if left.lines.iter().any(|line| line.topic != Topic::WorksAgain) {
            let before = last_reminder.insert(left.person, left.at);
            let gap = before.is_none_or(|before| left.at.duration_since(before) >= world.policy.user_gap);
            assert!(gap, "{}", at("the gap between two letters"));
        }
        for (line, About { truth, addressable, known_since }) in left.lines.iter().zip(&left.about) {
            by_item.entry(&line.item).or_default().push(left);
            assert!(
                *addressable && !truth.gone && !truth.withdrawn && !truth.bank_down,
                "{}",
                at("about nothing that is over, or that nobody can repair now")
            );
            let just_repaired = truth.repaired_at.is_some_and(|repaired| left.at.duration_since(repaired) < hours(1));
            match line.topic {
                Topic::WorksAgain => assert!(truth.broken_since.is_none(), "{}", at("works again when it does")),
                Topic::FreshLink => panic!("{}", at("nobody asks for a link")),
                Topic::Reminder { kind: Kind::LoginRequired, .. } => {
                    let since = truth.broken_since.unwrap_or_else(|| panic!("{}", at("broken when it says so")));
                    let known = known_since.unwrap_or_else(|| panic!("{}", at("known to be broken")));
                    // It may have healed and broken again, and nobody told of the healing.
                    let unheard = truth.works_since.is_some_and(|healed| healed >= known);
                    let waited = |from| left.at.duration_since(from) >= mins(30);
                    assert!(waited(known) && (waited(since) || unheard), "{}", at("the wait for self-healing"));
                }
                Topic::Reminder { kind: Kind::PendingExpiration, .. } => {
                    let ends =
                        truth.moves.is_some() || truth.consent_ends.is_some_and(|ends| ends <= left.at + days(7));
                    assert!(ends || just_repaired, "{}", at("ends when it says so"));
                }
                Topic::Reminder { kind: Kind::NewAccounts, .. } => {
                    assert!(truth.new_accounts || just_repaired, "{}", at("accounts to share"));
                }
                Topic::Reminder { kind: Kind::Revoked, .. } => panic!("{}", at("off by default")),
            }
        }
    }
    for (item, letters) in by_item {
        let month = |from: &Left| {
            letters.iter().filter(|left| (days(0)..days(30)).contains(&left.at.duration_since(from.at))).count()
        };
        assert!(letters.iter().all(|left| month(left) <= 6), "seed {seed}: more than six letters about {item}");
        ladders_are_climbed_once(item, &letters, seed);
    }
}

/// Each rung of an episode at most once and upwards; "it works again" only after a reminder that it answers.
fn ladders_are_climbed_once(item: &ItemId, letters: &[&Left], seed: u64) {
    let mut reached: BTreeMap<(u32, Kind), u8> = BTreeMap::new();
    let mut owed = 0;
    for line in letters.iter().flat_map(|left| &left.lines).filter(|line| line.item == *item) {
        match line.topic {
            Topic::Reminder { kind, rung } => {
                let before = reached.insert((line.episode, kind), rung);
                assert!(before.is_none_or(|before| before < rung), "seed {seed}: {item} rung {rung} after {before:?}");
                owed += u32::from(kind == Kind::LoginRequired);
            }
            Topic::FreshLink => {}
            Topic::WorksAgain => {
                assert!(owed > 0, "seed {seed}: {item}: a word that nobody is owed");
                owed = 0;
            }
        }
    }
}

fn live(seed: u64, logged: bool) -> World {
    let mut world = world(seed, ROUGH);
    world.logged = logged;
    world.run_until(start() + days(90));
    world
}

#[test]
fn ninety_days_keep_every_promise() {
    let mut letters = 0;
    for seed in 0..from_environment("TEST_WORLD_SEEDS", 200) {
        let mut world = live(seed, false);
        promises(&world, seed);
        letters += world.left.len();
        // Quiet days, in which every Item is asked about, end in the truth.
        world.run_until(start() + days(93));
        for index in 0..world.slots.len() {
            let (slot, quiet) = (&world.slots[index], start() + days(91));
            let lately = [slot.truth.broken_since, slot.truth.works_since].into_iter().flatten().any(|at| at > quiet);
            let hidden = slot.truth.bank_down || slot.truth.withdrawn;
            assert!(lately || hidden || world.knows(index), "seed {seed}: {:#?}\n{:#?}", slot.truth, slot.item);
        }
    }
    assert!(letters > 300, "only {letters} letters: the worlds are too quiet to show anything");
}

#[test]
fn a_seed_replays_equal() {
    for seed in [1, 7, 42] {
        assert_eq!(live(seed, true).hash(), live(seed, true).hash(), "seed {seed}");
    }
    assert_ne!(live(1, true).hash(), live(2, true).hash());
}

fn quiet_world(turns: Vec<(SignedDuration, Turn)>) -> World {
    let mut world = World::new(1, start(), CALM);
    let owner = world.person("Europe/Berlin", 0);
    world.item(owner, "ins_1", turns.into_iter().map(|(after, turn)| (start() + after, turn)).collect());
    world
}

/// When each letter left, counted from the start, and its topics.
fn letters(world: &World) -> Vec<(SignedDuration, Vec<Topic>)> {
    let topics = |left: &Left| left.lines.iter().map(|line| line.topic).collect();
    world.left.iter().map(|left| (left.at.duration_since(start()), topics(left))).collect()
}

fn login(rung: u8) -> Topic {
    Topic::Reminder { kind: Kind::LoginRequired, rung }
}

#[test]
fn who_ignores_a_long_break_gets_the_ladder_by_day_and_then_one_word() {
    // 06:00 in Berlin: the first rung waits for 09:00.
    let mut world = quiet_world(vec![(hours(0), Turn::Breaks), (days(40), Turn::Heals { said: true })]);
    world.run_until(start() + days(90));
    let all = letters(&world);
    let topics: Vec<_> = all.iter().flat_map(|(_, topics)| topics.clone()).collect();
    assert_eq!(topics, [login(0), login(1), login(2), login(3), Topic::WorksAgain]);
    assert_eq!(all[0].0, hours(3), "09:00 where the user is");
    assert_eq!(all[1].0.as_hours(), 75, "three days, and not within a day of the first");
}

#[test]
fn a_break_that_heals_within_thirty_minutes_is_not_mailed() {
    for minute in [1, 10, 29] {
        let begin = hours(6);
        let mut world = quiet_world(vec![(begin, Turn::Breaks), (begin + mins(minute), Turn::Heals { said: false })]);
        world.run_until(start() + days(30));
        assert_eq!(letters(&world), []);
    }
}

#[test]
fn after_a_week_asleep_there_is_one_letter() {
    let mut world = quiet_world(vec![(hours(3), Turn::Breaks)]);
    let other = world.item(0, "ins_2", vec![(start() + hours(4), Turn::BankWillMove { said: true })]);
    world.asleep_until = Some(start() + days(8));
    world.run_until(start() + days(9));
    assert_eq!(world.left.len(), 1, "{:#?}", world.left);
    let about: Vec<_> = world.left[0].lines.iter().map(|line| (line.item.clone(), line.topic)).collect();
    // The bank moved meanwhile: of that Item only the break is left to tell.
    assert_eq!(about, [(id_of(0), login(0)), (id_of(other), login(0))]);
    let mut awake = quiet_world(vec![(hours(3), Turn::Breaks)]);
    awake.run_until(start() + hours(4));
    awake.asleep_until = Some(start() + days(8));
    awake.run_until(start() + days(9));
    let topics: Vec<_> = letters(&awake).into_iter().flat_map(|(_, topics)| topics).collect();
    assert_eq!(topics, [login(0), login(2)], "of the rungs that passed only the latest");
}

#[test]
fn an_outage_of_hours_is_mailed_to_nobody_and_a_lasting_one_to_everybody() {
    for (heals, expected) in [(Some(hours(5)), 0), (None, 8)] {
        let mut world = World::new(3, start(), CALM);
        world.burst = 4;
        for _ in 0..8 {
            let owner = world.person("Europe/Berlin", 0);
            let at = start() + hours(6) + secs(world.chance().between(0, 300));
            let mut turns = vec![(at, Turn::Breaks)];
            turns.extend(heals.map(|heals| (at + heals, Turn::Heals { said: false })));
            world.item(owner, "ins_1", turns);
        }
        world.run_until(start() + days(2));
        assert_eq!(world.left.len(), expected);
        assert!(world.left.iter().all(|left| left.at >= start() + hours(12)));
    }
}

#[test]
fn whoever_repairs_on_the_page_hears_once_that_it_works_and_nothing_more() {
    let mut world = quiet_world(vec![(hours(6), Turn::Breaks), (days(4), Turn::Repairs { told: false })]);
    world.run_until(start() + days(90));
    let topics: Vec<_> = letters(&world).into_iter().flat_map(|(_, topics)| topics).collect();
    assert_eq!(topics, [login(0), login(1), Topic::WorksAgain]);
}
