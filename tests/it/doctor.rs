//! `relinkd check --online`: the real binary looks at a fake Plaid, a running daemon, mail servers and a DNS server, each in
//! health and with its faults.

use std::time::Instant;

use jiff::SignedDuration;
use relinkd::demo::plaid::{Answer, Fault};
use serde_json::{Value, json};

use crate::harness::command::Output;
use crate::harness::dns::{DnsServer, Says, text};
use crate::harness::mail_server::{MailServer, Mood};
use crate::harness::{Settings, World, bank, hours, minutes};
use crate::loopback::{Loopback, Reply};
use crate::process::{LIMIT, free_address};

/// A domain as it should be.
async fn good_domain() -> DnsServer {
    DnsServer::start(&[
        ("app.example", text("v=spf1 include:_spf.mail.example ~all")),
        ("s1._domainkey.app.example", text("v=DKIM1; k=rsa; p=MIIB")),
        ("_dmarc.app.example", text("v=DMARC1; p=quarantine")),
    ])
    .await
}

async fn check(world: &World, dns: &DnsServer, more: &[&str], changes: &[(&str, &str)]) -> Output {
    // The command gives the daemon ten seconds, which a disk that stands still may take.
    let begun = Instant::now();
    while world.waits_for_the_disk().await && begun.elapsed() < LIMIT {}
    let dns = dns.address.to_string();
    let output = world.relinkd_with(&[&["check", "--online", "--dns", &dns], more].concat(), changes).await;
    Output { stdout: numbers_masked(&output.stdout), ..output }
}

/// The numbers that no two machines have in common.
fn numbers_masked(text: &str) -> String {
    let mask = |line: &str| {
        let varies = line.contains(" MiB ") || line.contains(" the loop did ");
        if varies { line.chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }).collect() } else { line.to_owned() }
    };
    text.lines().map(|line| mask(line).replace("NN", "N").replace("NN", "N").replace("NN", "N") + "\n").collect()
}

/// What is said about one thing, and what to do about it.
fn about(output: &Output, check: &str) -> String {
    let mut lines = output.stdout.lines().skip_while(|line| line.split_whitespace().nth(1) != Some(check));
    let first = lines.next().unwrap_or_else(|| panic!("{check} is not there: {output:?}")).to_owned();
    let next = lines.next().filter(|line| line.starts_with("      "));
    [Some(first.as_str()), next]
        .into_iter()
        .flatten()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}

#[tokio::test]
async fn all_is_well() {
    let world = World::with(Settings { real_time: true, ..Settings::default() }).await;
    let dns = good_domain().await;
    let output = check(&world, &dns, &["--dkim-selector", "s1"], &[]).await;
    insta::assert_snapshot!(output.whole(), @"
    FOLDER/story.toml: configuration is valid
    pass  plaid.keys       http://PLAID takes the client id and the secret for sandbox
    pass  plaid.clock      this machine's clock and Plaid's agree
    pass  webhook.address  http://PUBLIC/plaid/webhook reaches this daemon, header and body as they were sent
    pass  store.file       FOLDER/story.db can be written to
    pass  store.space      N MiB are free where the store is; it takes N MiB
    pass  daemon           it runs and takes webhooks
    pass  daemon.loop      the loop did its work N s ago
    pass  daemon.letters   no letter waits; none has left yet
    pass  mail.server      smtp://MAILBOX answers; no login is configured
    pass  mail.spf         app.example: v=spf1 include:_spf.mail.example ~all
    pass  mail.dkim        s1._domainkey.app.example has a key
    pass  mail.dmarc       app.example: v=DMARC1; p=quarantine
    12 checks: 0 to look at, 0 failed.
    --- exit code 0
    ");
    let json = check(&world, &dns, &["--json"], &[]).await;
    let said: Value = serde_json::from_str(&json.stdout).expect("one object");
    assert_eq!((&said["valid"], &said["ok"], json.code), (&json!(true), &json!(true), 0));
    assert_eq!(said["checks"].as_array().map(Vec::len), Some(12));
    assert_eq!(said["checks"][0]["level"], "pass");
    world.end().await;
}

#[tokio::test]
async fn it_sends_nothing_and_touches_no_item() {
    let smtp = MailServer::start(Mood::Fine).await;
    let world = World::with(Settings { real_time: true, smtp_url: Some(smtp.url()), ..Settings::default() }).await;
    world.user("user-1").await;
    world.item("user-1", bank("First Platypus Bank")).await;
    let (asked, calls) = (world.plaid.count("/item/get"), world.plaid.calls().len());
    let output = check(&world, &good_domain().await, &[], &[]).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(world.plaid.count("/item/get"), asked);
    let paths: Vec<String> = world.plaid.calls().split_off(calls).into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/webhook_verification_key/get"]);
    assert_eq!(smtp.commands_once(2).await, ["EHLO", "QUIT"]);
    let (_, webhooks) = world.get("/v1/webhooks").await;
    assert_eq!(webhooks["data"], json!([]));
    let (_, ready) = world.get("/readyz").await;
    assert_eq!(ready["refused_signatures"], 0, "the check is no forgery");
    world.end().await;
}

#[tokio::test]
async fn wrong_keys_and_a_plaid_that_is_away() {
    let world = World::new().await;
    let dns = good_domain().await;
    let mut said = String::new();
    let wrong = check(&world, &dns, &[], &[("secret = \"demo-secret\"", "secret = \"another-secret\"")]).await;
    said += &about(&wrong, "plaid.keys");
    assert_eq!(wrong.code, 1);
    let nobody = format!("http://{}", free_address());
    let closed = check(&world, &dns, &[], &[(&world.plaid.url(), &nobody)]).await;
    said += &about(&closed, "plaid.keys").replace(&nobody, "http://NOBODY");
    let page = Answer::Raw { status: 502, body: "<html>".to_owned(), media_type: "text/html".to_owned() };
    world.plaid.fault(Fault::at("/webhook_verification_key/get", page).times(1));
    said += &about(&check(&world, &dns, &[], &[]).await, "plaid.keys");
    let limited = Answer::Limited { error_code: "RATE_LIMIT".to_owned(), retry_after_secs: None };
    world.plaid.fault(Fault::at("/webhook_verification_key/get", limited).times(1));
    said += &about(&check(&world, &dns, &[], &[]).await, "plaid.keys");
    insta::assert_snapshot!(said, @"
    FAIL plaid.keys http://PLAID: plaid refuses the client id or the secret: INVALID_API_KEYS (request aCcEXHMrBNEyWC9)
    Next: Copy client id and the secret for sandbox from https://dashboard.plaid.com/developers/keys into [plaid]
    FAIL plaid.keys http://NOBODY: plaid cannot be reached: Connection refused (os error 111)
    Next: curl -v http://NOBODY
    FAIL plaid.keys http://PLAID: plaid is out of order: the answer is no error of Plaid's (status 502)
    Next: Look at https://status.plaid.com
    FAIL plaid.keys http://PLAID: plaid asks for fewer calls
    Next: Run this again in a minute
    ");
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let world = World::new().await;
    let dns = good_domain().await;
    let mut said = String::new();
    let body = json!({ "error_type": "INVALID_INPUT", "error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID" });
    for skew in [SignedDuration::from_secs(400), SignedDuration::from_secs(40), SignedDuration::from_secs(-3630)] {
        // The command asks the system's clock.
        let now = relinkd::engine::clock::Clock::system().now();
        let date =
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&(now + skew)).expect("a date");
        let plaid = Loopback::start(Reply::with("400 Bad Request", &[("Date", &date)], &body.to_string())).await;
        let url = plaid.url.origin().ascii_serialization();
        let output = check(&world, &dns, &[], &[(&world.plaid.url(), &url)]).await;
        // Some seconds pass on a slow machine; up to ten would be no warning.
        let clock = (11..40).fold(about(&output, "plaid.clock"), |told, secs| {
            told.replace(&format!("is {secs} s behind"), "is 40 s behind")
        });
        said += &clock;
        assert!(about(&output, "plaid.keys").starts_with("pass"), "{output:?}");
    }
    insta::assert_snapshot!(said, @"
    FAIL plaid.clock this machine's clock is 6 min behind Plaid's: no webhook is applied
    Next: sudo timedatectl set-ntp true
    warn plaid.clock this machine's clock is 40 s behind Plaid's
    Next: sudo timedatectl set-ntp true
    FAIL plaid.clock this machine's clock is 60 min ahead of Plaid's: no webhook is applied
    Next: sudo timedatectl set-ntp true
    ");
    world.end().await;
}

#[tokio::test]
async fn a_webhook_address_that_leads_elsewhere() {
    let world = World::new().await;
    let dns = good_domain().await;
    let public = format!("public_url = \"{}\"", world.webhook_url().trim_end_matches("/plaid/webhook"));
    let mut said = String::new();
    for reply in [
        Reply::with("404 Not Found", &[], ""),
        Reply::with("401 Unauthorized", &[], ""),
        Reply::with("401 Unauthorized", &[("Relinkd-Check-Proof", "of-another-body.bWFj")], ""),
        Reply::with("301 Moved Permanently", &[("Location", "https://www.example.com/")], ""),
        Reply::with("502 Bad Gateway", &[], ""),
        Reply::with("200 OK", &[], ""),
    ] {
        let other = Loopback::start(reply).await;
        let url = other.url.origin().ascii_serialization();
        let output = check(&world, &dns, &[], &[(&public, &format!("public_url = \"{url}\""))]).await;
        assert_eq!(output.code, 1);
        said += &about(&output, "webhook.address").replace(&url, "http://OTHER");
    }
    let nobody = format!("http://{}", free_address());
    let output = check(&world, &dns, &[], &[(&public, &format!("public_url = \"{nobody}\""))]).await;
    said += &about(&output, "webhook.address").replace(&nobody, "http://NOBODY");
    let key = "data_key = \"YW5vdGhlci1kYXRhLWtleS1hbm90aGVyLWRhdGEta2U=\"";
    let output =
        check(&world, &dns, &[], &[("data_key = \"c3RvcnktZGF0YS1rZXktc3RvcnktZGF0YS1rZXktMDE=\"", key)]).await;
    said += &about(&output, "webhook.address");
    let listens = world.webhook_url().replace("http://", "").replace("/plaid/webhook", "");
    insta::assert_snapshot!(said.replace(&listens, "LISTENS"), @"
    FAIL webhook.address http://OTHER/plaid/webhook: something else answers, 404 Not Found
    Next: Let the proxy pass http://OTHER/plaid/webhook on to LISTENS
    FAIL webhook.address http://OTHER/plaid/webhook answers 401 Unauthorized without a proof: another relinkd, or a proxy that drops the header Plaid-Verification
    Next: Let the proxy pass http://OTHER/plaid/webhook on to LISTENS with its headers
    FAIL webhook.address http://OTHER/plaid/webhook reaches a relinkd, but the body was changed on the way, or its data_key is another: no webhook would be taken
    Next: Let the proxy pass http://OTHER/plaid/webhook on to LISTENS with its body unchanged
    FAIL webhook.address http://OTHER/plaid/webhook answers 301 Moved Permanently, a redirect, and Plaid does not follow
    Next: Write in [server] public_url the address that answers by itself
    FAIL webhook.address http://OTHER/plaid/webhook: a proxy answers 502 Bad Gateway, which does not reach the daemon
    Next: Let the proxy pass http://OTHER/plaid/webhook on to LISTENS
    FAIL webhook.address http://OTHER/plaid/webhook: something else answers, 200 OK
    Next: Let the proxy pass http://OTHER/plaid/webhook on to LISTENS
    FAIL webhook.address http://NOBODY/plaid/webhook cannot be reached from here: Connection refused (os error 111)
    Next: curl -v http://NOBODY/plaid/webhook
    FAIL webhook.address http://PUBLIC/plaid/webhook reaches a relinkd, but the body was changed on the way, or its data_key is another: no webhook would be taken
    Next: Let the proxy pass http://PUBLIC/plaid/webhook on to LISTENS with its body unchanged
    ");
    world.end().await;
}

#[tokio::test]
async fn a_mail_server_that_does_not_take_letters() {
    let world = World::new().await;
    let dns = good_domain().await;
    let own = format!("smtp_url = \"{}\"", world.mailbox.smtp_url());
    let with = |url: &str| format!("smtp_url = \"{url}\"");
    let with_login =
        |url: &str| format!("smtp_url = \"{url}\"\nusername = \"relinkd\"\npassword = \"canary-password\"");
    let moody = MailServer::start(Mood::RefusesLogin).await;
    let away = MailServer::start(Mood::Away).await;
    let (at, nobody) = (moody.url().replace("smtp://", ""), free_address().to_string());
    let mut said = String::new();
    for smtp_url in [
        with_login(&moody.url()),
        with(&format!("smtp://{nobody}")),
        with(&away.url()),
        with(&format!("smtp+starttls://{at}")),
        with(&format!("smtps://{at}")),
    ] {
        let output = check(&world, &dns, &[], &[(&own, &smtp_url)]).await;
        assert_eq!(output.code, 1, "{smtp_url}");
        assert!(!output.stdout.contains("canary-password"));
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        said += &about(&output, "mail.server")
            .replace(&port(&at), "PORT")
            .replace(&port(&nobody), "PORT")
            .replace(&port(&away.url()), "PORT");
    }
    insta::assert_snapshot!(said, @r#"
    FAIL mail.server smtp://127.0.0.1:PORT refuses the login: 535 5.7.8 not with this password
    Next: Put [mail] username and password right
    FAIL mail.server smtp://127.0.0.1:PORT: nobody there
    Next: nc -vz 127.0.0.1 PORT
    FAIL mail.server smtp://127.0.0.1:PORT: closed at greeting
    Next: nc -v 127.0.0.1 PORT
    FAIL mail.server smtp+starttls://127.0.0.1:PORT: the server does not offer STARTTLS
    Next: Write: smtp_url = "smtps://127.0.0.1:465", if that server has it
    FAIL mail.server smtps://127.0.0.1:PORT: no encryption: received corrupt message of type InvalidContentType
    Next: openssl s_client -connect 127.0.0.1:PORT
    "#);
    let login = with_login(&world.mailbox.smtp_url());
    let taken = about(&check(&world, &dns, &[], &[(&own, &login)]).await, "mail.server");
    assert_eq!(taken, "pass mail.server smtp://MAILBOX answers and takes the login\n");
    assert!(!moody.commands().contains(&"MAIL".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn a_domain_in_which_anybody_may_write() {
    let world = World::new().await;
    let mut said = String::new();
    let long = format!("v=spf1 {} -all", "include:_spf.mail.example ".repeat(30).trim_end());
    for names in [
        vec![("app.example", Says::Texts(vec!["some-site-verification=1".to_owned()]))],
        vec![("app.example", text("v=spf1 +all")), ("_dmarc.app.example", text("v=DMARC1"))],
        vec![("app.example", Says::Texts(vec!["v=spf1 -all".to_owned(), "v=spf1 ~all".to_owned()]))],
        vec![("app.example", text(&long)), ("s1._domainkey.app.example", text("v=DKIM1; p="))],
        vec![("example.com", text("v=spf1 -all"))],
    ] {
        let dns = DnsServer::start(&names).await;
        let output = check(&world, &dns, &["--dkim-selector", "s1"], &[]).await;
        for name in ["mail.spf", "mail.dkim", "mail.dmarc"] {
            said += &about(&output, name).replace(&"include:_spf.mail.example ".repeat(29), "… ");
        }
        said += "\n";
    }
    let dns = DnsServer::start(&[("app.example", text("v=spf1 -all"))]).await;
    said += &about(&check(&world, &dns, &[], &[]).await, "mail.dkim");
    let above = [("_dmarc.app.example", text("v=DMARC1; p=reject")), ("letters.app.example", text("v=spf1 -all"))];
    let dns = DnsServer::start(&above).await;
    let below = check(&world, &dns, &[], &[("hello@app.example", "hello@letters.app.example")]).await;
    said += &about(&below, "mail.dmarc");
    insta::assert_snapshot!(said, @r#"
    warn mail.spf app.example does not say which servers may write in its name
    Next: Publish for app.example: TXT "v=spf1 include:YOUR-MAIL-PROVIDER ~all", as your mail provider says
    FAIL mail.dkim there is no key at s1._domainkey.app.example
    Next: Publish at s1._domainkey.app.example the TXT record that your mail provider gives you
    warn mail.dmarc app.example has no DMARC policy, which large receivers ask for
    Next: Publish at _dmarc.app.example: TXT "v=DMARC1; p=none; rua=mailto:YOU@app.example"

    warn mail.spf app.example lets every server write in its name: v=spf1 +all
    Next: Publish for app.example: TXT "v=spf1 include:YOUR-MAIL-PROVIDER ~all", as your mail provider says
    FAIL mail.dkim there is no key at s1._domainkey.app.example
    Next: Publish at s1._domainkey.app.example the TXT record that your mail provider gives you
    pass mail.dmarc app.example: v=DMARC1

    FAIL mail.spf app.example has 2 SPF records, and receivers then believe none
    Next: Make one TXT record of them: dig +short TXT app.example
    FAIL mail.dkim there is no key at s1._domainkey.app.example
    Next: Publish at s1._domainkey.app.example the TXT record that your mail provider gives you
    warn mail.dmarc app.example has no DMARC policy, which large receivers ask for
    Next: Publish at _dmarc.app.example: TXT "v=DMARC1; p=none; rua=mailto:YOU@app.example"

    pass mail.spf app.example: v=spf1 … include:_spf.mail.example -all
    FAIL mail.dkim the key at s1._domainkey.app.example is revoked: p= is empty
    Next: Publish at s1._domainkey.app.example the TXT record that your mail provider gives you
    warn mail.dmarc app.example has no DMARC policy, which large receivers ask for
    Next: Publish at _dmarc.app.example: TXT "v=DMARC1; p=none; rua=mailto:YOU@app.example"

    FAIL mail.spf there is no domain app.example, from which the letters come
    Next: Write: from = "NAME <ADDRESS>" with an address of a domain of yours
    FAIL mail.dkim there is no key at s1._domainkey.app.example
    Next: Publish at s1._domainkey.app.example the TXT record that your mail provider gives you
    warn mail.dmarc app.example has no DMARC policy, which large receivers ask for
    Next: Publish at _dmarc.app.example: TXT "v=DMARC1; p=none; rua=mailto:YOU@app.example"

    warn mail.dkim app.example seems to have no key for signatures: receivers distrust the letters
    Next: relinkd check --online --dkim-selector SELECTOR, the s= in a DKIM-Signature of your mail server
    pass mail.dmarc letters.app.example: v=DMARC1; p=reject
    "#);
    world.end().await;
}

#[tokio::test]
async fn without_dns_it_is_a_warning_that_says_so() {
    let world = World::with(Settings { real_time: true, ..Settings::default() }).await;
    let dns = DnsServer::start(&[
        ("app.example", Says::Code(5)),
        ("_domainkey.app.example", Says::Code(5)),
        ("_dmarc.app.example", Says::Code(5)),
    ])
    .await;
    let output = check(&world, &dns, &[], &[]).await;
    insta::assert_snapshot!(about(&output, "mail.dns"), @"
    warn mail.dns not known: the DNS server refuses (code 5). SPF, DKIM and DMARC of app.example cannot be looked up from here
    Next: dig +short TXT app.example
    ");
    assert_eq!(output.code, 0);
    world.end().await;
}

#[tokio::test]
async fn a_daemon_that_does_not_run_or_whose_letters_do_not_leave() {
    let smtp = MailServer::start(Mood::Fine).await;
    let mut world = World::with(Settings { smtp_url: Some(smtp.url()), ..Settings::default() }).await;
    let dns = good_domain().await;
    world.user("user-1").await;
    let item = world.item("user-1", bank("First Platypus Bank")).await;
    smtp.becomes(Mood::Away);
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let mut said = String::new();
    let stuck = check(&world, &dns, &[], &[]).await;
    said += &about(&stuck, "daemon.letters");
    assert_eq!(stuck.code, 1);
    smtp.becomes(Mood::Fine);
    world.after(hours(8)).await;
    let flows = check(&world, &dns, &[], &[]).await;
    assert!(
        about(&flows, "daemon.letters").starts_with("pass daemon.letters no letter waits; the last one left"),
        "{flows:?}"
    );
    world.stop().await;
    let down = check(&world, &dns, &[], &[]).await;
    said += &about(&down, "daemon");
    said += &about(&down, "webhook.address");
    insta::assert_snapshot!(said, @"
    FAIL daemon.letters the last letter that was tried did not leave: deferred: closed at greeting; none has left yet
    Next: relinkd letters list
    warn daemon no daemon answers at FOLDER/control.sock
    Next: systemctl start relinkd
    FAIL webhook.address http://PUBLIC/plaid/webhook cannot be reached from here: Connection refused (os error 111)
    Next: systemctl start relinkd
    ");
    assert!(!down.stdout.contains("daemon.letters"));
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_is_not_looked_at_further() {
    let world = World::new().await;
    let dns = good_domain().await;
    let output = check(&world, &dns, &[], &[("environment =", "enviroment =")]).await;
    assert_eq!((output.code, output.stdout.as_str()), (2, ""));
    assert!(output.stderr.contains("did you mean environment?"), "{output:?}");
    assert_eq!(world.plaid.calls().len(), 0);
    let offline = world.relinkd(&["check", "--dkim-selector", "s1"]).await;
    assert_eq!(offline.code, 2, "it is for --online");
    world.end().await;
}
