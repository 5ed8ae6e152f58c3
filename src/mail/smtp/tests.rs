//! The dialogue against a scripted server: every behaviour at every stage.

use std::convert::Infallible;
use std::future::Future;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::SecretString;
use tokio::time::{Instant, timeout};

use self::certificate::{server_config, trust};
use self::peer::{Act, Heard, Peer};
use super::*;
use crate::domain::ids::LetterId;
use crate::domain::language::Language;
use crate::mail::letter::Rendered;
use crate::mail::message::{Addressing, build};
use crate::mail::reply::About;

mod certificate;
mod kept;
mod peer;

const LETTER: &[u8] = b"Subject: x\r\n\r\n.dot\r\n..dots\r\nend\r\n";
const STAGES: [Stage; 8] = [
    Stage::Greeting,
    Stage::Hello,
    Stage::Login,
    Stage::Sender,
    Stage::Recipient,
    Stage::Data,
    Stage::Body,
    Stage::Verdict,
];

fn envelope() -> Envelope {
    let address = |text: &str| text.parse().expect("an address");
    Envelope::new(Some(address("hello@acorn.example")), vec![address("user-1@example.com")]).expect("an envelope")
}

fn login() -> Credentials {
    Credentials { username: "user".to_owned(), password: SecretString::from("hunter2") }
}

fn server(peer: &Peer, security: Security) -> Server {
    let (host, port) = ("localhost".to_owned(), peer.address().port());
    Server { host, port, security, credentials: None, hello_name: "relay.acorn.example".to_owned() }
}

/// Long for all stages but the one that is to run out.
fn limits(short: Option<Stage>) -> Limits {
    let of = |stage| Duration::from_millis(if Some(stage) == short { 150 } else { 300_000 });
    Limits {
        connect: of(Stage::Connect),
        tls: of(Stage::Tls),
        greeting: of(Stage::Greeting),
        hello: of(Stage::Hello),
        login: of(Stage::Login),
        sender: of(Stage::Sender),
        recipient: of(Stage::Recipient),
        data: of(Stage::Data),
        body: of(Stage::Body),
        verdict: of(Stage::Verdict),
    }
}

/// What came of one conversation.
struct Told {
    outcome: Outcome,
    heard: Heard,
    begun: bool,
    lines: Vec<String>,
}

async fn told(peer: Peer, server: &Server, short: Option<Stage>, letter: &[u8]) -> Told {
    let (mut begun, mut lines) = (false, Vec::new());
    let limits = limits(short);
    let before_data = async || {
        begun = true;
        Ok::<_, Infallible>(())
    };
    let mut tell = |line: &str| lines.push(line.to_owned());
    let envelope = envelope();
    let send = send_and_tell(server, &limits, &envelope, letter, before_data, &mut tell);
    let (outcome, heard) = within_minutes(both(send, peer)).await;
    Told { outcome, heard, begun, lines }
}

/// A peer that waits for nothing more ends with the other side.
async fn both(send: impl Future<Output = Outcome>, peer: Peer) -> (Outcome, Heard) {
    let mut serve = std::pin::pin!(peer.serve());
    let mut send = std::pin::pin!(send);
    let mut heard = None;
    let outcome = tokio::select! {
        outcome = &mut send => outcome,
        done = &mut serve => { heard = Some(done); send.await }
    };
    let heard = match heard {
        Some(heard) => heard,
        None => timeout(Duration::from_secs(5), serve).await.unwrap_or_default(),
    };
    (outcome, heard)
}

async fn within_minutes<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(180), what).await.expect("nothing takes three minutes")
}

async fn plain(peer: Peer) -> Told {
    let server = server(&peer, Security::Plain);
    told(peer, &server, None, LETTER).await
}

fn is_accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

fn cut(stage: Stage, cut: Cut) -> Outcome {
    deferred(Deferral::Cut(stage, cut))
}

#[tokio::test]
async fn a_letter_goes_over_the_wire_as_it_is() {
    let told = plain(Peer::new()).await;
    let Outcome::Accepted { reply } = &told.outcome else { panic!("{:?}", told.outcome) };
    assert_eq!(reply.to_string(), "250 2.0.0 queued as 7");
    assert_eq!(
        told.heard.commands,
        ["EHLO relay.acorn.example", "MAIL FROM:<hello@acorn.example>", "RCPT TO:<user-1@example.com>", "DATA", "QUIT"]
    );
    assert_eq!(told.heard.letter, b"Subject: x\r\n\r\n..dot\r\n...dots\r\nend\r\n.\r\n");
    assert!(told.begun);
    let all = told.lines.join("\n");
    assert!(all.contains("> RCPT TO:<[address]>") && all.contains("< 354 go on"), "{all}");
    assert!(!all.contains("user-1"), "{all}");
}

/// What `act` at `stage` has to come to.
fn expected(stage: Stage, act: Act) -> Outcome {
    let reply = |line: &str| Reply::from_lines(line[..3].parse().expect("a code"), &[line.to_owned()], &[]);
    // What is said while the letter is under way is heard when it is out: then it is the verdict.
    let heard_at = if stage == Stage::Body { Stage::Verdict } else { stage };
    match act {
        Act::Splits => Outcome::Accepted { reply: reply("250 2.0.0 queued as 7") },
        Act::Says(line) if line.starts_with('4') => {
            Outcome::Deferred { why: Deferral::Later(Later::Busy, heard_at), reply: Some(reply(line)) }
        }
        Act::Says(line) => {
            let is_early = stage.about() == About::Sender;
            let why = if is_early { Never::Sender } else { Never::Other };
            Outcome::Refused { why, stage: heard_at, reply: Some(reply(line)) }
        }
        Act::SaysAndCloses(line) => {
            Outcome::Deferred { why: Deferral::Later(Later::Busy, stage), reply: Some(reply(line)) }
        }
        // Without a verdict the server may have it; without the dot it may not.
        Act::Stalls if stage == Stage::Verdict => Outcome::Uncertain { why: Cut::TimedOut },
        Act::Stalls => cut(stage, Cut::TimedOut),
        Act::Resets if stage == Stage::Verdict => Outcome::Uncertain { why: Cut::Closed },
        Act::Resets => cut(stage, Cut::Closed),
        Act::HalfCloses if matches!(stage, Stage::Body | Stage::Verdict) => Outcome::Uncertain { why: Cut::Closed },
        Act::HalfCloses => cut(stage, Cut::Closed),
        Act::SaysRaw(_) => unreachable!("not part of the table"),
    }
}

#[tokio::test]
async fn eight_stages_and_seven_behaviours() {
    let acts = [
        Act::Says("450 4.3.0 not at the moment"),
        Act::Says("554 5.3.0 no"),
        Act::Stalls,
        Act::Resets,
        Act::HalfCloses,
        Act::SaysAndCloses("421 4.3.2 going down"),
        Act::Splits,
    ];
    // More than fits between two ends that do not read.
    let long = [b"x".repeat(70).as_slice(), b"\r\n"].concat().repeat(300_000);
    let mut cells = 0;
    for stage in STAGES {
        for act in acts {
            let mut peer = Peer::that(stage, act);
            peer.offers = &["AUTH PLAIN"];
            let server = Server { credentials: Some(login()), ..server(&peer, Security::Plain) };
            let breaks_off = matches!(act, Act::Stalls | Act::Resets | Act::SaysAndCloses(_));
            let letter = if stage == Stage::Body && breaks_off { &long } else { LETTER };
            let begin = Instant::now();
            let told = told(peer, &server, (act == Act::Stalls).then_some(stage), letter).await;
            // A reset at once can come before or after the moment at which the system calls the connection open.
            let is_early = act == Act::Resets && stage == Stage::Greeting;
            if !(is_early && told.outcome == deferred(Deferral::Unreachable)) {
                assert_eq!(told.outcome, expected(stage, act), "{act:?} at {stage:?}");
            }
            assert!(begin.elapsed() < Duration::from_secs(100), "{act:?} at {stage:?}: its own limit, not another's");
            let is_late = matches!(stage, Stage::Data | Stage::Body | Stage::Verdict) || act == Act::Splits;
            assert_eq!(
                told.begun, is_late,
                "{act:?} at {stage:?}: before_data is called after the recipient, before DATA"
            );
            assert!(!told.lines.join("\n").contains("aHVudGVyMg"), "the password is not told");
            cells += 1;
        }
    }
    assert_eq!(cells, 56);
}

#[tokio::test]
async fn the_goodbye_is_not_waited_for() {
    let peer = Peer { says_goodbye: false, ..Peer::new() };
    let begin = Instant::now();
    let told = plain(peer).await;
    assert!(is_accepted(&told.outcome));
    assert!(begin.elapsed() < Duration::from_secs(100), "the limits are 300 s");
    assert_eq!(told.heard.commands.last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn odd_answers() {
    let garbled = |stage| cut(stage, Cut::Garbled);
    static ENDLESS: [u8; 100_000] = [b'2'; 100_000];
    let table: [(Stage, &'static [u8], Outcome); 8] = [
        (Stage::Greeting, b"HTTP/1.1 200 OK\r\n", garbled(Stage::Greeting)),
        (Stage::Greeting, &ENDLESS, garbled(Stage::Greeting)),
        (Stage::Hello, b"250-a\r\n350 b\r\n", garbled(Stage::Hello)),
        (Stage::Sender, b"354 what\r\n", garbled(Stage::Sender)),
        (Stage::Recipient, b"2500 what\r\n", garbled(Stage::Recipient)),
        (Stage::Data, b"250 fine\r\n", garbled(Stage::Data)),
        (Stage::Verdict, b"354 go on\r\n", Outcome::Uncertain { why: Cut::Garbled }),
        (Stage::Verdict, b"yes\r\n", Outcome::Uncertain { why: Cut::Garbled }),
    ];
    for (stage, bytes, outcome) in table {
        let told = plain(Peer::that(stage, Act::SaysRaw(bytes))).await;
        assert_eq!(told.outcome, outcome, "{stage:?}");
    }
    for fine in [&b"250-one\r\n250 two\r\n"[..], b"250\r\n", b"250 \xdcber alles gut\r\n", b"250 only LF\n"] {
        let told = plain(Peer::that(Stage::Verdict, Act::SaysRaw(fine))).await;
        assert!(is_accepted(&told.outcome), "{:?}", told.outcome);
    }
}

#[tokio::test]
async fn replies_are_kept_without_the_address() {
    let act = Act::Says("550 5.1.1 <user-1@example.com>: user-1 is unknown here");
    let told = plain(Peer::that(Stage::Recipient, act)).await;
    let Outcome::Refused { why: Never::RecipientGone, reply: Some(reply), .. } = told.outcome else {
        panic!("{:?}", told.outcome)
    };
    assert_eq!(reply.to_string(), "550 5.1.1 <[address]>: [address] is unknown here");
    assert!(!told.lines.join("\n").contains("user-1"));
}

#[test]
fn an_outcome_is_told_in_one_line() {
    let reply = |line: &str| Reply::from_lines(line[..3].parse().expect("a code"), &[line.to_owned()], &[]);
    let later = judged(Stage::Recipient, reply("451 4.7.1 Greylisted"));
    assert_eq!(later.to_string(), "deferred: greylisted at recipient (451 4.7.1 Greylisted)");
    let never = judged(Stage::Login, reply("535 5.7.8 no"));
    assert_eq!(never.to_string(), "refused at login: sender (535 5.7.8 no)");
    assert_eq!(cut(Stage::Data, Cut::TimedOut).to_string(), "deferred: timed_out at data");
    assert_eq!(Outcome::Uncertain { why: Cut::Closed }.to_string(), "uncertain: closed before the verdict");
}

#[tokio::test]
async fn what_could_inject_a_command_does_not_leave() {
    let peer = Peer::new();
    let server = server(&peer, Security::Plain);
    for bad in [&b"a\n.\r\nMAIL FROM:<x@y.example>\r\n"[..], b"a\r\n.\nQUIT\n", b"a\r.\rb"] {
        let never = async || -> Result<(), Infallible> { panic!("nothing leaves") };
        // Nobody serves, so a dialogue would end in a time limit.
        let outcome = send(&server, &limits(Some(Stage::Greeting)), &envelope(), bad, never).await;
        assert_eq!(outcome, Outcome::Refused { why: Never::Other, stage: Stage::Body, reply: None });
    }
}

/// RUSTSEC-2026-0561: what a body says with a bare LF or CR before a dot is text at the other end, and no command.
#[tokio::test]
async fn a_body_injects_nothing_on_the_wire() {
    let evil = "a\n.\nMAIL FROM:<x@y.example>\r.\rRCPT TO:<x@y.example>\r\n.\r\nDATA\n.\r\nQUIT\r\n";
    let rendered = Rendered { subject: "x".to_owned(), text: evil.to_owned(), html: evil.to_owned() };
    let to = Addressing {
        letter: LetterId(uuid::Uuid::from_u128(7)),
        earlier: &[],
        date: jiff::Timestamp::UNIX_EPOCH,
        from_name: "Acorn Budget",
        from_address: "hello@acorn.example",
        return_path: None,
        logo: None,
        reply_to: None,
        to_name: None,
        to_address: "user-1@example.com",
        language: Language::English,
        stop_url: "https://links.acorn.example/unsubscribe/x",
    };
    let letter = build(&rendered, &to).expect("a message").formatted();
    let peer = Peer::new();
    let server = server(&peer, Security::Plain);
    let told = told(peer, &server, None, &letter).await;
    assert!(is_accepted(&told.outcome));
    let said: Vec<&str> = told.heard.commands.iter().map(|command| &command[..4]).collect();
    assert_eq!(said, ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"], "the peer takes a dot between CR LF alone for the end");
    let wire = told.heard.letter;
    let is_bare = |pair: &[u8]| (pair[0] == b'\r') != (pair[1] == b'\n');
    assert!(!wire.windows(2).any(is_bare), "no CR or LF by itself, which others take for a line's end");
    assert_eq!(wire.windows(5).filter(|five| five == b"\r\n.\r\n").count(), 1);
}

#[tokio::test]
async fn a_letter_that_cannot_be_written_down_does_not_leave() {
    let peer = Peer::new();
    let server = server(&peer, Security::Plain);
    let (limits, envelope) = (limits(None), envelope());
    let send = send(&server, &limits, &envelope, LETTER, async || Err("the disk is full"));
    let (outcome, heard) = within_minutes(both(send, peer)).await;
    assert_eq!(outcome, deferred(Deferral::NotBegun));
    assert!(!heard.commands.contains(&"DATA".to_owned()), "{:?}", heard.commands);
}

#[tokio::test]
async fn nobody_there() {
    let peer = Peer::new();
    let server = server(&peer, Security::Plain);
    drop(peer);
    let outcome = send(&server, &limits(None), &envelope(), LETTER, async || Ok::<_, Infallible>(())).await;
    assert_eq!(outcome, deferred(Deferral::Unreachable));
}

async fn logged_in(offers: &'static [&'static str], act: Option<Act>) -> Told {
    let mut peer = Peer::new();
    peer.offers = offers;
    peer.acts.extend(act.map(|act| (Stage::Login, act)));
    let server = Server { credentials: Some(login()), ..server(&peer, Security::Plain) };
    assert!(!format!("{server:?}").contains("hunter2"));
    told(peer, &server, None, LETTER).await
}

#[tokio::test]
async fn logging_in() {
    let secret = BASE64.encode("\0user\0hunter2");
    let told = logged_in(&["AUTH LOGIN PLAIN"], None).await;
    assert!(is_accepted(&told.outcome));
    assert_eq!(told.heard.commands[1], format!("AUTH PLAIN {secret}"));
    assert!(told.lines.contains(&"> [secret]".to_owned()) && !told.lines.join("\n").contains(&secret));

    let told = logged_in(&["AUTH=LOGIN"], None).await;
    assert!(is_accepted(&told.outcome));
    assert_eq!(told.heard.commands[1..4], ["AUTH LOGIN", "dXNlcg==", &BASE64.encode("hunter2")]);

    let told = logged_in(&["AUTH PLAIN"], Some(Act::Says("535 5.7.8 no"))).await;
    assert!(matches!(told.outcome, Outcome::Refused { why: Never::Sender, stage: Stage::Login, .. }));

    let told = logged_in(&["AUTH CRAM-MD5", "X-AUTH PLAIN"], None).await;
    assert_eq!(told.outcome, deferred(Deferral::NoLogin));
    assert_eq!(
        told.heard.commands,
        ["EHLO relay.acorn.example", "QUIT"].map(str::to_owned)[..told.heard.commands.len()]
    );
}

#[tokio::test]
async fn starttls_is_asked_for_and_not_optional() {
    let peer = Peer::new();
    let server = Server { credentials: Some(login()), ..server(&peer, Security::StartTls(trust(true))) };
    let told = told(peer, &server, None, LETTER).await;
    assert_eq!(told.outcome, deferred(Deferral::NoStartTls));
    assert!(told.heard.commands.iter().all(|command| command.starts_with("EHLO") || command == "QUIT"));
}

fn tls_peer() -> Peer {
    Peer { tls: Some(server_config()), offers: &["STARTTLS", "AUTH PLAIN"], ..Peer::new() }
}

#[tokio::test]
async fn starttls_encrypts_login_and_letter() {
    let peer = tls_peer();
    let server = Server { credentials: Some(login()), ..server(&peer, Security::StartTls(trust(true))) };
    let told = told(peer, &server, None, LETTER).await;
    assert!(is_accepted(&told.outcome), "{:?}", told.outcome);
    assert!(told.heard.encrypted);
    assert_eq!(told.heard.commands[..3], ["EHLO relay.acorn.example", "STARTTLS", "EHLO relay.acorn.example"]);
    assert!(told.heard.commands[3].starts_with("AUTH PLAIN"));
}

#[tokio::test]
async fn tls_from_the_first_byte() {
    let peer = Peer { implicit_tls: true, ..tls_peer() };
    let server = server(&peer, Security::Tls(trust(true)));
    let told = told(peer, &server, None, LETTER).await;
    assert!(is_accepted(&told.outcome), "{:?}", told.outcome);
    assert!(told.heard.encrypted);
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_ends_it() {
    let system = Trust::of_the_system().unwrap_or_else(|_| trust(false));
    for (implicit_tls, trust) in [(false, trust(false)), (true, trust(false)), (true, system)] {
        let peer = Peer { implicit_tls, ..tls_peer() };
        let security = if implicit_tls { Security::Tls(trust) } else { Security::StartTls(trust) };
        let server = Server { credentials: Some(login()), ..server(&peer, security) };
        let told = told(peer, &server, None, LETTER).await;
        assert!(matches!(&told.outcome, Outcome::Deferred { why: Deferral::Tls(_), .. }), "{:?}", told.outcome);
        assert!(!told.heard.commands.iter().any(|command| command.starts_with("AUTH")));
    }
    let peer = tls_peer();
    let server = Server { host: "127.0.0.1".to_owned(), ..server(&peer, Security::StartTls(trust(true))) };
    let told = told(peer, &server, None, LETTER).await;
    assert!(
        matches!(&told.outcome, Outcome::Deferred { why: Deferral::Tls(_), .. }),
        "another name: {:?}",
        told.outcome
    );
}

#[tokio::test]
async fn what_was_said_before_the_handshake_does_not_count() {
    let peer =
        Peer { acts: vec![(Stage::Tls, Act::SaysRaw(b"220 go\r\n250-mitm\r\n250 AUTH PLAIN\r\n"))], ..tls_peer() };
    let server = server(&peer, Security::StartTls(trust(true)));
    let told = told(peer, &server, None, LETTER).await;
    assert_eq!(told.outcome, deferred(Deferral::Tls("the server spoke before the handshake".to_owned())));
}

#[tokio::test]
async fn a_handshake_has_a_limit_too() {
    let peer = Peer::that(Stage::Greeting, Act::Stalls);
    let server = server(&peer, Security::Tls(trust(true)));
    let told = told(peer, &server, Some(Stage::Tls), LETTER).await;
    assert_eq!(told.outcome, cut(Stage::Tls, Cut::TimedOut));
}

#[tokio::test]
async fn a_probe_names_nobody() {
    let peer = Peer::new();
    let server = server(&peer, Security::Plain);
    let (limits, mut tell) = (limits(None), |_: &str| ());
    let (result, heard) =
        within_minutes(async { tokio::join!(probe(&server, &limits, &mut tell), peer.serve()) }).await;
    assert_eq!(result, Ok(()));
    assert_eq!(heard.commands, ["EHLO relay.acorn.example", "QUIT"]);
}

#[test]
fn a_send_can_be_a_task() {
    fn assert_send(_: &impl Send) {}
    let (server, limits, envelope) = (server_of_nobody(), Limits::default(), envelope());
    assert_send(&send(&server, &limits, &envelope, LETTER, async || Ok::<_, Infallible>(())));
    assert!(limits.total() > limits.verdict);
}

fn server_of_nobody() -> Server {
    let (host, hello_name) = ("localhost".to_owned(), "x".to_owned());
    Server { host, port: 1, security: Security::Plain, credentials: None, hello_name }
}
