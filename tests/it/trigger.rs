//! `relinkd trigger`: the real binary tells the demo's Plaid, which signs and sends to the daemon of a story.

use relinkd::demo::plaid::{Act, Delivery, Item};
use relinkd::demo::run::{API_KEY, Addresses, Demo};
use tokio::process::Command;

use crate::harness::command::{Output, relinkd};
use crate::harness::repair::repair_link;
use crate::harness::{World, bank, days, hours, minutes};
use crate::process::{BINARY, free_address};

/// A story with one Item, whose id is always the same.
async fn one_item() -> (World, Item) {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item("user-1", bank("First Platypus Bank")).await;
    (world, item)
}

async fn trigger(world: &World, words: &[&str]) -> Output {
    let output = world.relinkd(&[&["trigger"], words].concat()).await;
    world.quiet().await;
    output
}

#[tokio::test]
async fn a_webhook_is_sent_and_the_truth_agrees() {
    let (world, item) = one_item().await;
    let output = trigger(&world, &["ITEM/ERROR"]).await;
    insta::assert_snapshot!(output.whole(), @"
    Item aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X: First Platypus Bank, of user-1
    At Plaid: the Item has the error ITEM_LOGIN_REQUIRED.
    ITEM/ERROR, signed, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    Next: relinkd webhooks list
    --- exit code 0
    ");
    assert_eq!(world.state(&item).await, "login_required");
    assert_eq!(world.plaid.item(&item.id).and_then(|item| item.trouble).expect("it broke").code, "ITEM_LOGIN_REQUIRED");
    world.after(minutes(31)).await;
    assert_eq!(world.letters().len(), 1, "the letter's own question to Plaid has the same answer");
    world.end().await;
}

#[tokio::test]
async fn what_is_set_is_said_and_becomes_true() {
    let (world, item) = one_item().await;
    let at = "consent_expiration_time=2099-03-01T12:00:00Z";
    let output = trigger(&world, &["ITEM/PENDING_EXPIRATION", "--item", &item.id, "--set", at]).await;
    insta::assert_snapshot!(output.whole(), @"
    Item aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X: First Platypus Bank, of user-1
    At Plaid: the consent ends at 2099-03-01T12:00:00Z.
    ITEM/PENDING_EXPIRATION, signed, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    Next: relinkd webhooks list
    --- exit code 0
    ");
    let conditions = world.view(&item).await["conditions"].clone();
    assert_eq!(conditions[0]["deadline"], "2099-03-01T12:00:00Z", "{conditions}");
    let ahead = trigger(&world, &["ITEM/PENDING_EXPIRATION", "--set", "consent_expiration_time=+6d", "--json"]).await;
    let said: serde_json::Value = serde_json::from_str(&ahead.stdout).expect("JSON");
    let ends = world.plaid.item(&item.id).and_then(|item| item.consent_ends_at).expect("an end");
    assert!((ends.duration_since(world.clock.now()) - days(6)).abs() < minutes(5), "{ends}");
    assert_eq!(said["webhooks"][0]["body"]["consent_expiration_time"], ends.to_string());
    assert_eq!((ahead.code, &said["as_expected"]), (0, &true.into()));
    world.end().await;
}

#[tokio::test]
async fn a_lie_is_only_words_and_the_daemon_sees_through_it() {
    let (world, item) = one_item().await;
    let output = trigger(&world, &["ITEM/ERROR", "--lie"]).await;
    insta::assert_snapshot!(output.whole(), @"
    Item aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X: First Platypus Bank, of user-1
    At Plaid: nothing has changed: these are only words.
    ITEM/ERROR, signed, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    Next: relinkd webhooks list
    --- exit code 0
    ");
    assert_eq!(world.plaid.item(&item.id).and_then(|item| item.trouble), None);
    world.after(hours(2)).await;
    assert_eq!((world.state(&item).await.as_str(), world.letters().len()), ("healthy", 0));
    let foreign = trigger(&world, &["ITEM/ERROR", "--item", "somebody-elses", "--lie"]).await;
    insta::assert_snapshot!(foreign.whole(), @"
    Item somebody-elses: Plaid knows no such Item
    At Plaid: nothing has changed: these are only words.
    ITEM/ERROR, signed, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    Next: relinkd webhooks list
    --- exit code 0
    ");
    world.end().await;
}

#[tokio::test]
async fn a_forged_webhook_is_refused_and_changes_nothing_at_plaid() {
    let (world, item) = one_item().await;
    let output = trigger(&world, &["ITEM/ERROR", "--bad-signature", "--duplicate", "2"]).await;
    insta::assert_snapshot!(output.whole(), @"
    Item aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X: First Platypus Bank, of user-1
    At Plaid: nothing has changed: these are only words.
    ITEM/ERROR, with a wrong signature, to http://PUBLIC/plaid/webhook
      answered 401, as it should be: nothing is kept
      answered 401, as it should be: nothing is kept
    Next: relinkd webhooks list, where it is not
    --- exit code 0
    ");
    let unsigned = trigger(&world, &["ITEM/ERROR", "--no-signature"]).await;
    assert!(unsigned.code == 0 && unsigned.stdout.contains("ITEM/ERROR, without a signature"), "{unsigned:?}");
    assert_eq!(world.plaid.item(&item.id).and_then(|item| item.trouble), None);
    let (_, webhooks) = world.get("/v1/webhooks").await;
    assert_eq!(webhooks["data"].as_array().map(Vec::len), Some(0), "nothing is kept");
    world.end().await;
}

#[tokio::test]
async fn a_stale_webhook_is_not_believed_but_asked_about() {
    let (world, item) = one_item().await;
    // An Item that was just asked about is not asked about again because of a suspicion.
    world.after(hours(1)).await;
    let output = trigger(&world, &["ITEM/ERROR", "--stale"]).await;
    assert!(output.stdout.contains("ITEM/ERROR, signed ten minutes ago, to"), "{output:?}");
    let events = world.events(&item).await;
    assert!(!events.contains(&"login_required".to_owned()), "{events:?}");
    assert_eq!(world.state(&item).await, "login_required", "Plaid was asked, and its truth agrees");
    world.after(hours(1)).await;
    let early = trigger(&world, &["ITEM/LOGIN_REPAIRED", "--early"]).await;
    assert!(early.stdout.contains("ITEM/LOGIN_REPAIRED, signed ten minutes ahead, to"), "{early:?}");
    assert_eq!(world.state(&item).await, "healthy");
    world.end().await;
}

#[tokio::test]
async fn duplicates_and_disorder_end_in_the_right_state() {
    let (world, item) = one_item().await;
    let output = trigger(&world, &["ITEM/ERROR", "--duplicate", "3"]).await;
    assert_eq!(output.stdout.matches("answered 200").count(), 3, "{output:?}");
    assert_eq!(world.view(&item).await["conditions"][0]["episode"], 1);
    world.plaid.act(&item.id, Act::RepairElsewhere, Delivery::Send).await.expect("it is there");
    world.quiet().await;
    let output = trigger(&world, &["ITEM/ERROR", "--out-of-order"]).await;
    insta::assert_snapshot!(output.whole(), @"
    Item aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X: First Platypus Bank, of user-1
    At Plaid: the Item has the error ITEM_LOGIN_REQUIRED, and then the user repaired the login elsewhere.
    ITEM/LOGIN_REPAIRED, signed, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    ITEM/ERROR, signed a minute ago, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    Next: relinkd webhooks list
    --- exit code 0
    ");
    assert_eq!(world.state(&item).await, "healthy", "the last word was that it broke");
    world.after(days(1)).await;
    assert_eq!(world.letters().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_session_of_link_is_finished() {
    let (world, item) = one_item().await;
    let refused = trigger(&world, &["LINK/SESSION_FINISHED"]).await;
    insta::assert_snapshot!(refused.whole(), @"
    --- stderr
    This Item has had no Link session. Press the button in a letter first, or name a token: --set link_token=TOKEN.
    --- exit code 1
    ");
    trigger(&world, &["ITEM/ERROR"]).await;
    world.after(minutes(31)).await;
    world.press_button(&repair_link(&world.only_letter()), &item).await;
    let output = trigger(&world, &["LINK/SESSION_FINISHED"]).await;
    insta::assert_snapshot!(output.whole(), @"
    Item aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X: First Platypus Bank, of user-1
    At Plaid: update mode went through.
    LINK/SESSION_FINISHED, signed, to http://PUBLIC/plaid/webhook
      answered 200: it is on disk
    Next: relinkd webhooks list
    --- exit code 0
    ");
    assert_eq!(world.state(&item).await, "healthy");
    world.end().await;
}

#[tokio::test]
async fn each_webhook_that_the_list_names_can_be_sent() {
    let (world, item) = one_item().await;
    trigger(&world, &["ITEM/ERROR"]).await;
    world.after(minutes(31)).await;
    world.press_button(&repair_link(&world.only_letter()), &item).await;
    let list = trigger(&world, &["--list"]).await.stdout;
    let pairs: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert_eq!(pairs.len(), relinkd::plaid::pairs::PAIRS.len());
    // One of each type is enough of those that are only kept; a process each is slow.
    let mut types = std::collections::BTreeSet::new();
    let sent = pairs.into_iter().filter(|pair| pair.starts_with("ITEM/") || types.insert(pair.split('/').next()));
    for pair in sent {
        let output = trigger(&world, &[pair, "--lie"]).await;
        assert_eq!(output.code, 0, "{pair}: {output:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_remedy() {
    let (world, _) = one_item().await;
    world.user("user-2").await;
    world.item("user-2", bank("Example Credit Union")).await;
    let mut said = String::new();
    for words in [
        &["ITEM/ERROR"][..],
        &["ITEM/ERROR", "--item", "nobodys"],
        &["ITEM/EROR"],
        &["PENDING_EXPIRATION"],
        &["ITEM/ERROR", "--set", "novalue"],
        &["ITEM/ERROR", "--stale", "--bad-signature"],
        &["ITEM/USER_PERMISSION_REVOKED", "--out-of-order"],
        &[],
    ] {
        let Output { code, stdout, stderr } = trigger(&world, words).await;
        assert!(code != 0 && stdout.is_empty(), "{stdout}");
        said.push_str(&format!("$ relinkd trigger {}\n{stderr}exit code {code}\n\n", words.join(" ")));
    }
    insta::assert_snapshot!(said, @"
    $ relinkd trigger ITEM/ERROR
    Which Item? Add --item with one of these:
      7UohKXvDx7noWKd9BLPT13SMrdGZrAvL  Example Credit Union, of user-2
      aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X  First Platypus Bank, of user-1
    exit code 1

    $ relinkd trigger ITEM/ERROR --item nobodys
    Plaid knows no Item nobodys. It has these:
      7UohKXvDx7noWKd9BLPT13SMrdGZrAvL  Example Credit Union, of user-2
      aCcEXHMrBNEyWC9ecJEH1hJUgJFthZ3X  First Platypus Bank, of user-1
    To speak of one that it does not know, add --lie.
    exit code 1

    $ relinkd trigger ITEM/EROR
    ITEM/EROR is no webhook that Plaid documents. Did you mean ITEM/ERROR? --list shows them all; --undocumented sends it as it is.
    exit code 2

    $ relinkd trigger PENDING_EXPIRATION
    error: invalid value 'PENDING_EXPIRATION' for '[TYPE/CODE]': is not of the form TYPE/CODE, such as ITEM/ERROR; did you mean ITEM/PENDING_EXPIRATION?

    For more information, try '--help'.
    exit code 2

    $ relinkd trigger ITEM/ERROR --set novalue
    error: invalid value 'novalue' for '--set <NAME=VALUE>': is not NAME=VALUE

    For more information, try '--help'.
    exit code 2

    $ relinkd trigger ITEM/ERROR --stale --bad-signature
    error: the argument '--stale' cannot be used with '--bad-signature'

    Usage: relinkd trigger --stale --config <FILE> <TYPE/CODE>

    For more information, try '--help'.
    exit code 2

    $ relinkd trigger ITEM/USER_PERMISSION_REVOKED --out-of-order
    --out-of-order lets a repair arrive before what it repaired: that is for ITEM/ERROR, ITEM/PENDING_EXPIRATION, ITEM/PENDING_DISCONNECT and ITEM/LOGIN_REPAIRED.
    exit code 1

    $ relinkd trigger 
    error: the following required arguments were not provided:
      <TYPE/CODE>

    Usage: relinkd trigger --config <FILE> <TYPE/CODE>

    For more information, try '--help'.
    exit code 2
    ");
    assert_eq!(world.plaid.sent().len(), 0, "nothing was said");
    world.end().await;
}

#[tokio::test]
async fn only_a_sandbox_on_this_machine_is_told() {
    let world = World::new().await;
    let file = world.config_file();
    let text = std::fs::read_to_string(&file).expect("the file");
    let mut said = String::new();
    for (from, to) in [
        ("environment = \"sandbox\"", "environment = \"production\""),
        (world.plaid.url().as_str(), "https://sandbox.plaid.com"),
        (world.plaid.url().as_str(), &world.mailbox.url()),
        (world.plaid.url().as_str(), "http://127.0.0.1:9"),
    ] {
        let other = file.with_file_name("other.toml");
        std::fs::write(&other, text.replacen(from, to, 1)).expect("written");
        let command = relinkd(Command::new(BINARY).args(["trigger", "ITEM/ERROR", "--config"]).arg(&other)).await;
        assert_eq!(command.stdout, "", "{to}");
        said.push_str(&format!("{}exit code {}\n\n", command.stderr, command.code));
    }
    let missing =
        relinkd(Command::new(BINARY).args(["trigger", "ITEM/ERROR", "--config", "/nowhere/relinkd.toml"])).await;
    said.push_str(&format!("{}exit code {}\n", missing.stderr, missing.code));
    let said = said.replace(&file.parent().expect("a folder").display().to_string(), "FOLDER");
    insta::assert_snapshot!(said.replace(&world.mailbox.url(), "http://MAILBOX"), @"
    FOLDER/other.toml is a production configuration ([plaid] environment), and what is triggered is made up. Name a configuration for the Sandbox with --config FILE, or add --demo for a running `relinkd demo`.
    exit code 2

    FOLDER/other.toml trusts https://sandbox.plaid.com ([plaid] base_url), and only a Plaid on this machine says what it is told. Start `relinkd demo` and add --demo, or name a configuration with --config FILE whose base_url is the demo's Plaid.
    exit code 2

    What listens at http://MAILBOX is no Plaid of relinkd's demo (it answered 404 Not Found). Start `relinkd demo`, and add --demo here.
    exit code 1

    No Plaid answers at http://127.0.0.1:9. Start `relinkd demo`, and add --demo here.
    exit code 1

    /nowhere/relinkd.toml: cannot be read: No such file or directory (os error 2). Name another file with --config FILE, or begin with a copy of config.example.toml.
    To trigger at a running `relinkd demo`, which has no such file, add --demo.
    exit code 2
    ");
    assert_eq!(world.plaid.sent().len(), 0, "nothing was said");
    world.end().await;
}

#[tokio::test]
async fn a_running_demo_is_found_by_its_first_port() {
    let demo = loop {
        let first = free_address().port();
        if let Ok(demo) = Demo::start(Addresses::from_port(first).expect("room")).await {
            break demo;
        }
    };
    let port = demo.daemon.public_address().port().to_string();
    let item = demo.plaid.items().into_iter().find(|item| item.user == "user-5").expect("the demo has five users");
    let words = ["trigger", "ITEM/ERROR", "--demo", "--port", &port, "--item", &item.id];
    let output = relinkd(Command::new(BINARY).args(words)).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("of user-5") && output.stdout.contains("answered 200: it is on disk"), "{output:?}");
    let next =
        format!("Next: curl -H 'Authorization: Bearer {API_KEY}' http://{}/v1/webhooks", demo.daemon.private_address());
    assert!(output.stdout.contains(&next), "{output:?}");
    demo.stop().await;
}
