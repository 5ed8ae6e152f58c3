//! The mailbox over real SMTP and real HTTP.

use std::io::{Read as _, Write as _};

use axum::Router;
use lettre::message::{Mailbox as Address, MultiPart, header};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde_json::Value;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn mailbox() -> Mailbox {
    let mut options = Options::new(Arc::new(|| Timestamp::from_second(1_795_000_000).unwrap()));
    options.size_max = 50_000;
    Mailbox::start(options).unwrap()
}

fn letter(list_unsubscribe: &str) -> Message {
    let name = |text: &'static str| header::HeaderName::new_from_ascii_str(text);
    let raw = |text, value: &str| header::HeaderValue::new(name(text), value.to_owned());
    let from: Address = "Ex\u{e4}mple App <app@mail.example>".parse().unwrap();
    Message::builder()
        .from(from)
        .to("user-1@mail.example".parse().unwrap())
        .subject("Reconnect \u{201c}B\u{e4}nk\u{201d}")
        .raw_header(raw("List-Unsubscribe", list_unsubscribe))
        .raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        .multipart(MultiPart::alternative_plain_html(
            ".dot\n..two\nsee https://app.example/repair/abc\n".to_owned(),
            "<p style=\"color:red\">Gr\u{fc}\u{df}e</p>".to_owned(),
        ))
        .unwrap()
}

fn transport(mailbox: &Mailbox, mechanism: Option<Mechanism>) -> AsyncSmtpTransport<Tokio1Executor> {
    let address = mailbox.smtp_address();
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(address.port());
    match mechanism {
        Some(mechanism) => builder
            .credentials(Credentials::new("anyone".to_owned(), "anything".to_owned()))
            .authentication(vec![mechanism])
            .build(),
        None => builder.build(),
    }
}

#[tokio::test]
async fn a_letter_arrives_as_it_was_sent() {
    let mailbox = mailbox();
    for mechanism in [None, Some(Mechanism::Plain), Some(Mechanism::Login)] {
        transport(&mailbox, mechanism).send(letter("<https://app.example/u/1>")).await.unwrap();
    }
    let letters = mailbox.wait_for(3, LIMIT).await.unwrap();
    let first = &letters[0];
    assert_eq!(
        (first.number, first.from.as_str(), first.to[0].as_str()),
        (1, "app@mail.example", "user-1@mail.example")
    );
    assert_eq!(first.subject, "Reconnect \u{201c}B\u{e4}nk\u{201d}");
    assert_eq!(first.header("from"), Some("Ex\u{e4}mple App <app@mail.example>"));
    assert_eq!(first.text.as_deref().unwrap().trim_end(), ".dot\n..two\nsee https://app.example/repair/abc");
    assert!(first.html.as_deref().unwrap().contains("Gr\u{fc}\u{df}e"));
    mailbox.stop().await;
}

/// Speaks raw SMTP in one go and returns all that was answered.
async fn raw(mailbox: &Mailbox, script: &[u8]) -> String {
    let (address, script) = (mailbox.smtp_address(), script.to_vec());
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(&script).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn commands_may_come_all_at_once() {
    let mailbox = mailbox();
    let script =
        b"EHLO me\r\nNOOP\r\nRSET\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nrcpt to:<e@f.example>\r\n\
        DATA\r\nSubject: x\r\n\r\n..stuffed\r\nbare\n.\nMAIL FROM:<evil@b.example>\r\n.\r\nQUIT\r\n";
    let answer = raw(&mailbox, script).await;
    let codes: Vec<&str> = answer.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes.join(" "), "220 250 250 250 250 250 250 250 250 250 250 354 250 221", "{answer}");
    let letters = mailbox.letters();
    assert_eq!((letters.len(), letters[0].to.len()), (1, 2));
    let body = b"Subject: x\r\n\r\n.stuffed\r\nbare\n.\nMAIL FROM:<evil@b.example>\r\n";
    assert_eq!(letters[0].raw, body, "a dot between bare line feeds ends nothing");
    mailbox.stop().await;
}

#[tokio::test]
async fn wrong_order_and_large_letters_are_refused() {
    let mailbox = mailbox();
    let answer = raw(&mailbox, b"DATA\r\nRCPT TO:<a@b.example>\r\nMAIL FROM:x\r\nHUH\r\nAUTH X\r\nQUIT\r\n").await;
    let codes: Vec<&str> = answer.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes.join(" "), "220 503 503 501 500 504 221", "{answer}");

    let mut script =
        b"HELO me\r\nMAIL FROM:<> SIZE=50001\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n\r\n".to_vec();
    script.extend(b"0123456789\r\n".repeat(5_000));
    script.extend(b".\r\nQUIT\r\n");
    let answer = raw(&mailbox, &script).await;
    assert!(answer.contains("\r\n354 ") && answer.matches("552 ").count() == 2, "{answer}");
    assert!(mailbox.letters().is_empty());
    mailbox.stop().await;
}

#[tokio::test]
async fn waiting_has_a_limit() {
    let mailbox = mailbox();
    assert!(mailbox.wait_for(1, Duration::from_millis(1)).await.is_none());
    mailbox.stop().await;
}

#[tokio::test]
async fn letters_are_read_as_json() {
    let mailbox = mailbox();
    let send = transport(&mailbox, None);
    send.send(letter("<https://app.example/u/1>")).await.unwrap();
    send.send(letter("<mailto:stop@app.example>")).await.unwrap();
    let http = reqwest::Client::new();
    let get = async |path: &str| -> Value {
        http.get(format!("{}{path}", mailbox.url())).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(get("/letters.json").await["letters"].as_array().unwrap().len(), 2);
    assert_eq!(get("/letters.json?after=1").await["letters"][0]["number"], 2);
    let one = get("/letters/1.json").await;
    assert_eq!((&one["one_click"], &one["to"][0]), (&Value::Bool(true), &Value::from("user-1@mail.example")));
    assert_eq!(get("/letters/2.json").await["one_click"], false, "mailto is no one-click");
    let raw = http.get(format!("{}/letters/1.eml", mailbox.url())).send().await.unwrap().text().await.unwrap();
    assert!(raw.contains("\r\n.dot\r\n") || raw.contains("=2Edot"), "{raw}");
    let missing = http.get(format!("{}/letters/9.json", mailbox.url())).send().await.unwrap();
    assert_eq!(missing.status().as_u16(), 404);
    mailbox.stop().await;
}

#[tokio::test]
async fn one_click_is_a_post_to_this_machine_only() {
    let mailbox = mailbox();
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();
    let listener = serve::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = format!("http://{}/unsubscribe/1", listener.local_addr().unwrap());
    let (heard, mut hears) = watch::channel(String::new());
    let router = Router::new().fallback(axum::routing::post(move |body: String| {
        heard.send_replace(body);
        async {}
    }));
    serve::serve(listener, router, &tracker, stop.clone()).unwrap();

    let send = transport(&mailbox, None);
    for address in [address.as_str(), "https://app.example/u/1", "mailto:stop@app.example"] {
        send.send(letter(&format!("<{address}>"))).await.unwrap();
    }
    let http = reqwest::Client::new();
    let press = async |number: u64| {
        let url = format!("{}/letters/{number}/unsubscribe", mailbox.url());
        http.post(url).json(&Value::Null).send().await.unwrap().status().as_u16()
    };
    assert_eq!(press(1).await, 200);
    assert_eq!(*hears.borrow_and_update(), "List-Unsubscribe=One-Click");
    assert_eq!((press(2).await, press(3).await, press(9).await), (403, 422, 404));
    let page = http.post(format!("{}/letters/1/unsubscribe", mailbox.url())).body("x").send().await.unwrap();
    assert_eq!(page.status().as_u16(), 415, "a form of a foreign page presses nothing");
    mailbox.stop().await;
    stop.cancel();
    tracker.close();
    tracker.wait().await;
}
