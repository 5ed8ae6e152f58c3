//! The walks: who is there, what each story does, and what has to be so afterwards.

use super::*;

const PLATYPUS: (&str, &str) = ("ins_109508", "First Platypus Bank");
const RIVER: (&str, &str) = ("ins_demo_river", "Riverside Credit Union");
const VALLEY: (&str, &str) = ("ins_demo_valley", "Bank of the Valley");
const NORTH: (&str, &str) = ("ins_demo_north", "Bank of the North");

fn login_required() -> Act {
    Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_leads_to_a_bank_that_works_again_and_to_no_more_letters() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::start(tools, "embedded").await;
    let broken = [
        "main",
        "back",
        "reload",
        "left",
        "wrong",
        "dead",
        "keyboard",
        "elsewhere",
        "trouble",
        "removed",
        "stopper",
        "script",
        "app",
    ];
    for user in broken {
        stage.user(user, &[PLATYPUS], login_required()).await;
    }
    stage.user("many", &[NORTH, PLATYPUS, RIVER], login_required()).await;
    stage.user("never", &[NORTH, PLATYPUS, RIVER], login_required()).await;
    let ends = stage.clock.now() + SignedDuration::from_hours(6 * 24);
    stage.user("consent", &[PLATYPUS], Act::ConsentEnds { at: ends }).await;
    stage.user("accounts", &[PLATYPUS], Act::NewAccount).await;

    let mut users = broken.to_vec();
    users.extend(["many", "never", "consent", "accounts"]);
    let letters = stage.letters(&users).await;
    let walked = stage.walk("embedded", json!({ "letters": letters })).await;
    assert_eq!(walked.steps.len(), 21, "{:?}", walked.steps);
    assert!(walked.looks >= 60, "only {} looks", walked.looks);

    let repaired = ["main", "back", "reload", "left", "wrong", "dead", "keyboard", "elsewhere", "trouble", "many"];
    for user in repaired {
        stage.until(user, "healthy").await;
    }
    for user in ["back", "reload", "wrong", "dead", "keyboard", "elsewhere", "trouble", "many"] {
        stage.mail.letter(user, 2).await;
    }
    let news = stage.mail.letter("main", 2).await;
    assert_eq!(news["subject"], "Demo Budget: First Platypus Bank works again");

    no_more_letters(&stage).await;
    a_link_that_ended(&mut stage, &letters).await;
    letters_as_they_look(&stage).await;
    stage.stop().await;
}

/// A month goes by: who did nothing is reminded to the end of the ladder, who repaired or stopped hears nothing more.
async fn no_more_letters(stage: &Stage) {
    let quiet = ["main", "back", "reload", "left", "wrong", "dead", "keyboard", "elsewhere", "trouble", "stopper"];
    let before: Vec<usize> = quiet.iter().map(|user| stage.mail.letters_to(user).len()).collect();
    for (days, count) in [(3, 2), (4, 3), (7, 4), (16, 4)] {
        stage.clock.advance(SignedDuration::from_hours(days * 24 + 1));
        stage.mail.letter("never", count).await;
        // The mailbox has a letter a moment before the store knows that it left.
        stage.until_quiet().await;
    }
    let several = stage.mail.letter("never", 2).await;
    for (_, bank) in [NORTH, PLATYPUS, RIVER] {
        assert!(several["text"].as_str().expect("a text part").contains(bank), "{bank} is not in the one letter");
    }
    // The last step has no letter to wait for: one that comes now shows that its time has been worked off.
    let item = &stage.items["accounts"];
    stage.plaid.act(item, login_required(), Delivery::Send).await.expect("the Item is there");
    stage.mail.letter("accounts", 2).await;
    let after: Vec<usize> = quiet.iter().map(|user| stage.mail.letters_to(user).len()).collect();
    assert_eq!(after, before, "letters to {quiet:?}");
    assert_eq!(stage.mail.letters_to("never").len(), 4);
    for user in quiet {
        let composed = stage.get(&format!("/v1/letters?user_id={user}")).await;
        let waiting =
            composed["data"].as_array().expect("a list").iter().filter(|letter| letter["settled_at"].is_null());
        assert_eq!(waiting.count(), 0, "letters to {user} that wait");
    }
}

/// More than a month later: the link of the first letter has ended, and brings a fresh one.
async fn a_link_that_ended(stage: &mut Stage, letters: &Value) {
    let old = &letters["never"]["url"];
    let walked = stage.walk("ended", json!({ "old": old })).await;
    assert_eq!(walked.looks, 8);
    let letter = stage.mail.letter("never", 5).await;
    let fresh = link_in(&letter, "/repair/");
    assert_ne!(*old, fresh);
    stage.walk("ended", json!({ "fresh": fresh })).await;
    assert_eq!(stage.mail.letters_to("never").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_scanner_changes_nothing_that_a_person_would_miss() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::start(tools, "embedded").await;
    stage.user("main", &[PLATYPUS], login_required()).await;
    stage.user("many", &[NORTH, PLATYPUS, RIVER], login_required()).await;
    let letters = stage.letters(&["main", "many"]).await;
    let url = |user: &str| letters[user]["url"].clone();
    let links =
        json!([url("main"), url("many"), letters["main"]["stop_url"], format!("{}/repair/abc.def", stage.public())]);
    stage.until_quiet().await;
    let (rows, calls) = (stage.rows(), stage.plaid.calls().len());
    stage.walk("scanner", json!({ "links": links })).await;
    assert_eq!(stage.rows(), rows, "looking changed a row");
    assert_eq!(stage.plaid.calls().len(), calls, "looking called Plaid");

    // Of the page on which letters are chosen every answer is pressed too.
    stage
        .walk("scanner", json!({ "links": [], "pressed": [letters["main"]["stop_url"], letters["many"]["stop_url"]] }))
        .await;
    assert_eq!(stage.rows(), rows, "pressing changed which letters come");

    for user in ["main", "many"] {
        let before = stage.plaid.count("/link/token/create");
        stage.walk("scanner", json!({ "links": [], "pressed": [url(user)] })).await;
        assert_eq!(stage.plaid.count("/link/token/create"), before + 1, "{user}: one press is one Link token");
        assert_eq!(stage.state(user).await, "login_required");
    }
    let before = stage.plaid.count("/link/token/create");
    stage.walk("repaired", json!({ "url": url("main") })).await;
    stage.until("main", "healthy").await;
    assert_eq!(stage.plaid.count("/link/token/create"), before, "the person goes on with the scanner's");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lighthouse_finds_nothing_missing_in_a_page() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::start(tools, "embedded").await;
    stage.user("main", &[PLATYPUS], login_required()).await;
    stage.user("many", &[NORTH, PLATYPUS, RIVER], login_required()).await;
    let letters = stage.letters(&["main", "many"]).await;
    let links = json!({
        "one bank": letters["main"]["url"],
        "several banks": letters["many"]["url"],
        "which letters": letters["many"]["stop_url"],
        "the way back": format!("{}/repair-return", stage.public()),
    });
    let walked = stage.walk("lighthouse", json!({ "links": links })).await;
    assert_eq!(walked.steps.len(), 4, "{:?}", walked.steps);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_detour_leads_on() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::start(tools, "embedded").await;
    for user in ["errors", "twice", "refused", "late"] {
        stage.user(user, &[PLATYPUS], login_required()).await;
    }
    stage.user("down", &[VALLEY], login_required()).await;
    for user in ["window", "redirect", "elsewhere"] {
        stage.user(user, &[OAUTH], login_required()).await;
    }
    let users = ["errors", "twice", "refused", "late", "down", "window", "redirect", "elsewhere"];
    let letters = stage.letters(&users).await;
    let walked = stage.walk("detours", json!({ "letters": letters })).await;
    assert_eq!(walked.steps.len(), 8, "{:?}", walked.steps);
    for user in ["twice", "late", "down", "window", "redirect"] {
        stage.until(user, "healthy").await;
    }
    stage.stop().await;
}

/// The letters that came, in the eyes of those who got them.
async fn letters_as_they_look(stage: &Stage) {
    let mut shown = Vec::new();
    for (name, user, count) in [
        ("reconnect", "main", 1),
        ("works again", "main", 2),
        ("several", "never", 2),
        ("consent ends", "consent", 1),
        ("new accounts", "accounts", 1),
    ] {
        let letter = stage.mail.letter(user, count).await;
        shown.push(json!({ "name": name, "html": letter["html"], "text": letter["text"] }));
    }
    let walked = stage.walk("letters", json!({ "letters": shown })).await;
    assert_eq!((walked.steps.len(), walked.looks), (5, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosted_link_repairs_with_and_without_script() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::start(tools, "hosted").await;
    let users = ["main", "left", "back", "dead", "script", "elsewhere", "many"];
    for user in users {
        stage.user(user, &[PLATYPUS], login_required()).await;
    }
    let letters = stage.letters(&users).await;
    let walked = stage.walk("hosted", json!({ "letters": letters })).await;
    assert_eq!(walked.steps.len(), 7, "{:?}", walked.steps);
    for user in users {
        stage.until(user, "healthy").await;
        stage.mail.letter(user, 2).await;
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_can_be_used_by_everybody() {
    let Some(tools) = tools() else { return };
    let addresses = Addresses { public: free_address(), private: free_address(), ..Addresses::any() };
    let demo = Demo::start(addresses).await.unwrap();
    demo.break_some().await.unwrap();
    let given = json!({ "plaid": demo.plaid.url(), "mailbox": demo.mailbox.url() });
    let walked = walk(&tools, "demo", given).await;
    assert_eq!(walked.steps.len(), 2, "{:?}", walked.steps);
    demo.stop().await;
}
