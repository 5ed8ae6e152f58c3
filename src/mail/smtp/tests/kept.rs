//! Connections that are kept from letter to letter.

use super::*;

async fn send(connections: &Connections) -> Outcome {
    let envelope = envelope();
    connections.send(&envelope, LETTER, async || Ok::<_, Infallible>(())).await
}

fn connections(peer: &Peer) -> Connections {
    Connections::new(server(peer, Security::Plain), limits(None))
}

/// Sends so many letters while the peer has so many conversations, and hangs up.
async fn exchanged(peer: &Peer, letters: usize, conversations: usize) -> (Vec<Outcome>, Vec<Heard>) {
    let connections = connections(peer);
    let send_all = async {
        let mut outcomes = Vec::new();
        for _ in 0..letters {
            outcomes.push(send(&connections).await);
        }
        connections.close_all().await;
        outcomes
    };
    let serve = async {
        let mut all = Vec::new();
        for _ in 0..conversations {
            all.push(peer.serve_next().await);
        }
        all
    };
    within_minutes(async { tokio::join!(send_all, serve) }).await
}

#[tokio::test]
async fn letters_share_a_connection() {
    let (outcomes, heard) = exchanged(&Peer::new(), 3, 1).await;
    assert!(outcomes.iter().all(is_accepted), "{outcomes:?}");
    assert_eq!(heard[0].letters, 3);
    assert_eq!(heard[0].commands.iter().filter(|command| command.starts_with("EHLO")).count(), 1);
    assert!(!heard[0].commands.contains(&"RSET".to_owned()), "an accepted letter leaves nothing behind");
    assert_eq!(heard[0].commands.last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn a_server_that_hangs_up_between_letters_is_no_failure() {
    let peer = Peer { letters_max: 1, ..Peer::new() };
    let (outcomes, heard) = exchanged(&peer, 3, 3).await;
    assert!(outcomes.iter().all(is_accepted), "{outcomes:?}");
    assert!(heard.iter().all(|heard| heard.letters == 1));
}

#[tokio::test]
async fn a_refused_recipient_is_forgotten_before_the_next_letter() {
    let peer = Peer::that(Stage::Recipient, Act::Says("550 5.1.1 User unknown"));
    let (outcomes, heard) = exchanged(&peer, 2, 1).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused { why: Never::RecipientGone, .. })));
    let named: Vec<&str> = heard[0].commands.iter().map(|command| &command[..4]).collect();
    assert_eq!(named, ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "QUIT"]);
}

#[tokio::test]
async fn a_connection_carries_so_many_letters_and_no_more() {
    let peer = Peer::new();
    let letters = LETTERS_MAX as usize + 1;
    let (outcomes, heard) = exchanged(&peer, letters, 2).await;
    assert!(outcomes.iter().all(is_accepted));
    assert_eq!(heard.iter().map(|heard| heard.letters).collect::<Vec<_>>(), [LETTERS_MAX as usize, 1]);
}

#[tokio::test]
async fn a_dialogue_that_broke_is_not_gone_on_with() {
    let peer = Peer::that(Stage::Verdict, Act::Stalls);
    let connections = Connections::new(server(&peer, Security::Plain), limits(Some(Stage::Verdict)));
    let first = async {
        let outcome = send(&connections).await;
        // The answer to this letter is still to come: whoever listens on would take it for the next one's.
        assert!(connections.take().is_none(), "{outcome:?}");
        outcome
    };
    let (outcome, _) = within_minutes(async { tokio::join!(first, peer.serve_next()) }).await;
    assert_eq!(outcome, Outcome::Uncertain { why: Cut::TimedOut });
}

#[tokio::test]
async fn what_is_idle_is_closed() {
    let peer = Peer::new();
    let connections = connections(&peer);
    let talk = async {
        assert!(is_accepted(&send(&connections).await));
        assert!(connections.close_idle().await, "it is fresh");
        tokio::time::pause();
        tokio::time::advance(IDLE_MAX).await;
        assert!(connections.take().is_none(), "it is old");
        tokio::time::resume();
    };
    let (_, heard) = within_minutes(async { tokio::join!(talk, peer.serve_next()) }).await;
    assert_eq!(heard.letters, 1);
}

#[tokio::test]
async fn what_could_inject_a_command_does_not_leave_on_a_kept_connection_either() {
    let peer = Peer::new();
    let connections = connections(&peer);
    let envelope = envelope();
    let never = async || -> Result<(), Infallible> { panic!("nothing leaves") };
    let outcome = connections.send(&envelope, b"a\n.\r\nMAIL FROM:<x@y.example>\r\n", never).await;
    assert_eq!(outcome, Outcome::Refused { why: Never::Other, stage: Stage::Body, reply: None });
}
