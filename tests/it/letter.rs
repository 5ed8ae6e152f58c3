//! `relinkd letter`, and what `check` says about templates: the real binary.

use std::fs;

use relinkd::demo::mailbox;
use reqwest::{Method, StatusCode};
use tokio::process::Command;

use crate::harness::World;
use crate::harness::command::{Output, relinkd};
use crate::harness::mail_server::{MailServer, Mood};
use crate::harness::repair::{repair_link, stop_link};
use crate::process::{BINARY, free_address};

#[tokio::test]
async fn a_preview_needs_no_daemon_and_sends_nothing() {
    let world = World::new().await;
    let text = world.relinkd(&["letter", "preview", "--kind", "bank_moves", "--language", "de"]).await.well();
    assert!(text.starts_with("Subject: Story Budget: First Platypus Bank verlängern\n"), "{text}");
    assert!(text.contains("endet am Montag, 30. November 2026."), "{text}");
    let folder = world.config_file().with_file_name("letters");
    let out = folder.display().to_string();
    let index = world.relinkd(&["letter", "preview", "--all", "--out", &out]).await.well();
    assert_eq!(index, "FOLDER/letters/index.html\n");
    let dark = fs::read_to_string(folder.join("several.fr.dark.html")).expect("it is there");
    assert!(
        dark.contains("<html lang=\"fr\">") && dark.contains("@media all") && !dark.contains("prefers-color-scheme")
    );
    assert!(fs::read_to_string(folder.join("works_again.es.txt")).expect("it is there").starts_with("Subject: "));
    assert_eq!(world.letters().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_kind_or_a_language_that_is_not_there_is_told() {
    let output = relinkd(Command::new(BINARY).args(["letter", "preview", "--kind", "love"])).await;
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("there are login_required, "), "{}", output.stderr);
    let output = relinkd(Command::new(BINARY).args(["letter", "preview", "--language", "tlh"])).await;
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("there are en, es, fr, "), "{}", output.stderr);
    let output = relinkd(Command::new(BINARY).args(["letter", "preview", "--config", "/nowhere/relinkd.toml"])).await;
    assert_eq!(output.code, 2, "{output:?}");
}

#[tokio::test]
async fn a_test_letter_goes_the_whole_way_and_is_shown_masked() {
    let world = World::new().await;
    let output = world.relinkd(&["letter", "test", "--to", "user-1@example.com", "--kind", "new_accounts"]).await;
    let said = output.well();
    for line in
        ["* smtp://MAILBOX", "> EHLO ", "> MAIL FROM:<[address]>", "> RCPT TO:<[address]>", "> DATA", "> [letter, "]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("\nThe mail server took the letter: 250"), "{said}");
    assert!(!said.contains("user-1"), "{said}");
    let letters: Vec<mailbox::Letter> = world.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].subject, "Story Budget: new accounts, First Platypus Bank");
    world.end().await;
}

#[tokio::test]
async fn the_links_of_a_sample_lead_to_the_public_address_and_open_nothing() {
    let world = World::new().await;
    let preview = world.relinkd(&["letter", "preview"]).await.well();
    for link in ["\nhttp://PUBLIC/repair/only-a-sample\n", "\nhttp://PUBLIC/unsubscribe/only-a-sample\n"] {
        assert!(preview.contains(link), "{link}: {preview}");
    }
    assert!(!preview.contains("acorn"), "{preview}");

    world.relinkd(&["letter", "test", "--to", "user-1@example.com"]).await.well();
    let letter = &world.letters()[0];
    let (repair, stop) = (repair_link(letter), stop_link(letter));
    assert_eq!(letter.header("List-Unsubscribe"), Some(format!("<{stop}>").as_str()));
    assert!(letter.html.as_deref().is_some_and(|html| html.contains(&repair) && !html.contains("acorn")));
    let (status, page) = world.fetch(Method::GET, &repair).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(page.contains("This link no longer works"), "{page}");
    let (status, page) = world.fetch(Method::POST, &stop).await;
    assert_eq!(status, StatusCode::GONE, "{page}");
    world.end().await;
}

#[tokio::test]
async fn a_test_letter_names_the_part_of_the_way_that_fails() {
    let world = World::new().await;
    let own = format!("smtp_url = \"{}\"", world.mailbox.smtp_url());
    let login = |url: &str| format!("smtp_url = \"{url}\"\nusername = \"relinkd\"\npassword = \"canary-password\"");
    let refuses =
        MailServer::start(Mood::Refuses { address: "user-1@example.com", reply: "550 5.1.1 no such user" }).await;
    let (moody, away) = (MailServer::start(Mood::RefusesLogin).await, MailServer::start(Mood::Away).await);
    for (smtp, expected) in [
        ("smtp_url = \"smtp://no-such-host.invalid\"".to_owned(), "DNS: the name no-such-host.invalid is not found"),
        (format!("smtp_url = \"smtp://{}\"", free_address()), "TCP: deferred: nobody there"),
        (format!("smtp_url = \"{}\"", away.url()), "the greeting: deferred"),
        (format!("smtp_url = \"{}\"", moody.url().replace("smtp://", "smtp+starttls://")), "TLS: deferred"),
        (login(&moody.url()), "the login: refused at login"),
        (format!("smtp_url = \"{}\"", refuses.url()), "the recipient: refused at recipient: "),
    ] {
        let command = ["letter", "test", "--to", "user-1@example.com"];
        let Output { code, stdout, stderr } = world.relinkd_with(&command, &[(&own, &smtp)]).await;
        assert!(stdout.contains(&format!("\nFailed at {expected}")), "{smtp}: {stdout}{stderr}");
        assert_eq!(code, 1, "{smtp}");
        assert!(!stdout.contains("canary") && !stdout.contains("user-1"), "{stdout}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_template_that_does_not_work_is_told_with_its_line_and_nothing_starts() {
    let world = World::new().await;
    let folder = world.config_file().with_file_name("templates");
    fs::create_dir(&folder).expect("a folder");
    let with = [("[mail]", "[mail]\ntemplates_dir = \"templates\"")];
    fs::write(folder.join("en.toml"), "[greeting]\nnamed = \"Dear {{ name }},\"\n").expect("written");
    world.relinkd_with(&["check"], &with).await.well();
    let preview = world.relinkd_with(&["letter", "preview"], &with).await.well();
    assert!(preview.contains("Dear Robin Example,"), "{preview}");

    fs::write(folder.join("en.toml"), "[greeting]\nnamed = \"Dear {{ nmae }},\"\n").expect("written");
    fs::write(folder.join("letter.txt"), "{{ title }}\n").expect("written");
    for command in ["check", "serve"] {
        let output = world.relinkd_with(&[command], &with).await;
        assert_eq!(output.code, 2, "{}", output.whole());
        for expected in [
            "FOLDER/templates/en.toml:2:1: mail.templates_dir: undefined value",
            "FOLDER/templates/letter.txt: mail.templates_dir: the text part has not the link that stops letters",
        ] {
            assert!(output.stderr.contains(expected), "{expected}: {}", output.stderr);
        }
    }
    world.end().await;
}

#[tokio::test]
async fn templates_that_are_written_out_serve_at_once_and_are_never_overwritten() {
    let world = World::new().await;
    let folder = world.config_file().with_file_name("templates");
    let into = folder.display().to_string();
    let said = world.relinkd(&["letter", "templates", "--into", &into]).await.well();
    let named: Vec<String> = ["letter.html", "letter.txt", "en.toml", "es.toml", "fr.toml"]
        .map(|file| format!("FOLDER/templates/{file}"))
        .into();
    assert_eq!(said.lines().collect::<Vec<_>>(), named);

    let with = [("[mail]", "[mail]\ntemplates_dir = \"templates\"")];
    world.relinkd_with(&["check"], &with).await.well();
    let built_in = world.relinkd(&["letter", "preview", "--all"]).await.well();
    assert_eq!(world.relinkd_with(&["letter", "preview", "--all"], &with).await.well(), built_in);

    fs::remove_file(folder.join("letter.html")).expect("removed");
    fs::write(folder.join("en.toml"), "[greeting]\nnamed = \"Dear {{ name }},\"\n").expect("written");
    let output = world.relinkd(&["letter", "templates", "--into", &into, "--language", "en"]).await;
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert_eq!(
        output.stderr,
        "relinkd: FOLDER/templates/letter.txt, FOLDER/templates/en.toml are there already, so nothing was written: \
         name another folder\n"
    );
    assert!(!folder.join("letter.html").exists());
    assert!(fs::read_to_string(folder.join("en.toml")).expect("it is there").contains("Dear"));
    world.end().await;
}

#[tokio::test]
async fn templates_of_a_language_that_is_off_are_written_with_a_word_on_it() {
    let world = World::new().await;
    let into = world.config_file().with_file_name("german").display().to_string();
    let output = world.relinkd(&["letter", "templates", "--into", &into, "--language", "de"]).await;
    assert!(output.stderr.contains("\"de\" is in [mail] languages"), "{output:?}");
    assert!(output.well().ends_with("FOLDER/german/de.toml\n"));
    world.end().await;
}
