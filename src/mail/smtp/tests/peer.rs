//! A mail server that behaves as a script says: well at all stages but one.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::super::Stage;

/// What the peer does instead of its usual answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Says this instead.
    Says(&'static str),
    /// Sends these bytes instead.
    SaysRaw(&'static [u8]),
    /// Says the usual answer one byte at a time.
    Splits,
    /// Says nothing until the other side is gone.
    Stalls,
    /// Resets the connection.
    Resets,
    /// Says nothing more, but goes on listening.
    HalfCloses,
    /// Says this, and stops listening.
    SaysAndCloses(&'static str),
}

/// What the peer heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// The commands, each without its line break.
    pub commands: Vec<String>,
    /// Whether the connection was encrypted at the end.
    pub encrypted: bool,
    /// How many letters came whole.
    pub letters: usize,
    /// All bytes after the last DATA, the final dot included, QUIT not.
    pub letter: Vec<u8>,
}

pub struct Peer {
    pub listener: TcpListener,
    pub acts: Vec<(Stage, Act)>,
    /// Offered in answer to EHLO.
    pub offers: &'static [&'static str],
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte.
    pub implicit_tls: bool,
    /// Whether QUIT is answered.
    pub says_goodbye: bool,
    /// Hangs up after so many letters.
    pub letters_max: usize,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Conversation = BufReader<Box<dyn Stream>>;

/// Ends the conversation early.
struct Over;

impl Peer {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Small, so that a letter which nobody reads does not fit.
        socket.set_recv_buffer_size(8192).expect("a size");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(16).expect("a listener");
        Self {
            listener,
            acts: Vec::new(),
            offers: &["8BITMIME"],
            tls: None,
            implicit_tls: false,
            says_goodbye: true,
            letters_max: usize::MAX,
        }
    }

    pub fn that(stage: Stage, act: Act) -> Self {
        Self { acts: vec![(stage, act)], ..Self::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// One conversation, to its end.
    pub async fn serve(self) -> Heard {
        self.serve_next().await
    }

    /// The next conversation, to its end.
    pub async fn serve_next(&self) -> Heard {
        let (stream, _) = self.listener.accept().await.expect("a caller");
        if self.acts.iter().any(|(_, act)| *act == Act::Resets) {
            // Closing then is resetting.
            stream.set_zero_linger().expect("a socket option");
        }
        let mut heard = Heard::default();
        let mut stream: Conversation = BufReader::new(Box::new(stream));
        if self.implicit_tls {
            match self.encrypt(stream).await {
                Some(encrypted) => stream = encrypted,
                None => return heard,
            }
            heard.encrypted = true;
        }
        let _ = self.talk(stream, &mut heard).await;
        heard
    }

    async fn talk(&self, mut stream: Conversation, heard: &mut Heard) -> Result<(), Over> {
        self.answer(&mut stream, Stage::Greeting, "220 peer ready").await?;
        while let Some(command) = read_line(&mut stream).await {
            heard.commands.push(command.clone());
            match command.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => self.answer(&mut stream, Stage::Hello, &self.hello(heard.encrypted)).await?,
                "STARTTLS" => {
                    self.answer(&mut stream, Stage::Tls, "220 go").await?;
                    stream = self.encrypt(stream).await.ok_or(Over)?;
                    heard.encrypted = true;
                }
                "RSET" => say(&mut stream, b"250 2.0.0 forgotten\r\n").await?,
                "MAIL" => self.answer(&mut stream, Stage::Sender, "250 2.1.0 fine").await?,
                "RCPT" => self.answer(&mut stream, Stage::Recipient, "250 2.1.5 fine").await?,
                "DATA" => {
                    self.answer(&mut stream, Stage::Data, "354 go on").await?;
                    match self.act(Stage::Body) {
                        None => heard.letter = read_letter(&mut stream).await,
                        Some(Act::Splits) => heard.letter = read_in_pieces(&mut stream).await,
                        Some(_) => return self.answer(&mut stream, Stage::Body, "").await,
                    }
                    heard.letters += 1;
                    self.answer(&mut stream, Stage::Verdict, "250 2.0.0 queued as 7").await?;
                    if heard.letters >= self.letters_max {
                        return Ok(());
                    }
                }
                "QUIT" if !self.says_goodbye => drain(&mut stream).await,
                "QUIT" => say(&mut stream, b"221 bye\r\n").await?,
                _login => self.answer_login(&mut stream, &command).await?,
            }
        }
        Ok(())
    }

    /// AUTH PLAIN is one line, AUTH LOGIN three.
    async fn answer_login(&self, stream: &mut Conversation, command: &str) -> Result<(), Over> {
        match command {
            "AUTH LOGIN" => say(stream, b"334 VXNlcm5hbWU6\r\n").await,
            "dXNlcg==" => say(stream, b"334 UGFzc3dvcmQ6\r\n").await,
            _secret => self.answer(stream, Stage::Login, "235 2.7.0 welcome").await,
        }
    }

    fn hello(&self, encrypted: bool) -> String {
        let offers = self.offers.iter().filter(|offer| !(encrypted && **offer == "STARTTLS"));
        let mut lines: Vec<String> = offers.map(|offer| format!("250-{offer}")).collect();
        lines.insert(0, "250-peer at your service".to_owned());
        lines.push("250 HELP".to_owned());
        lines.join("\r\n")
    }

    fn act(&self, stage: Stage) -> Option<Act> {
        self.acts.iter().find(|(at, _)| *at == stage).map(|(_, act)| *act)
    }

    async fn answer(&self, stream: &mut Conversation, stage: Stage, usual: &str) -> Result<(), Over> {
        match self.act(stage) {
            None => say(stream, format!("{usual}\r\n").as_bytes()).await,
            Some(Act::Says(other)) => {
                say(stream, format!("{other}\r\n").as_bytes()).await?;
                // It does not wait for the end of the letter, but hears it.
                if stage == Stage::Body {
                    drain(stream).await;
                }
                Ok(())
            }
            Some(Act::SaysRaw(bytes)) => say(stream, bytes).await,
            Some(Act::Splits) => {
                for byte in format!("{usual}\r\n").into_bytes() {
                    say(stream, &[byte]).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Some(Act::Stalls) => {
                // At the body it does not even read; the other side is gone when this peer is dropped.
                if stage == Stage::Body {
                    std::future::pending::<()>().await;
                }
                drain(stream).await;
                Err(Over)
            }
            Some(Act::HalfCloses) => {
                let _ = stream.shutdown().await;
                drain(stream).await;
                Err(Over)
            }
            Some(Act::Resets) => Err(Over),
            Some(Act::SaysAndCloses(last)) => {
                let _ = say(stream, format!("{last}\r\n").as_bytes()).await;
                Err(Over)
            }
        }
    }

    async fn encrypt(&self, stream: Conversation) -> Option<Conversation> {
        let acceptor = TlsAcceptor::from(Arc::clone(self.tls.as_ref().expect("a certificate")));
        let encrypted = acceptor.accept(stream.into_inner()).await.ok()?;
        Some(BufReader::new(Box::new(encrypted)))
    }
}

async fn say(stream: &mut Conversation, bytes: &[u8]) -> Result<(), Over> {
    stream.write_all(bytes).await.map_err(|_| Over)?;
    stream.flush().await.map_err(|_| Over)
}

async fn read_line(stream: &mut Conversation) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&count| count > 0)?;
    Some(line.strip_suffix("\r\n").unwrap_or(&line).to_owned())
}

async fn read_letter(stream: &mut Conversation) -> Vec<u8> {
    let mut letter = Vec::new();
    while !letter.ends_with(b"\r\n.\r\n") {
        if stream.read_until(b'\n', &mut letter).await.is_ok_and(|count| count > 0) {
            continue;
        }
        break;
    }
    letter
}

/// Reads the letter a byte at a time, as from a slow network.
async fn read_in_pieces(stream: &mut Conversation) -> Vec<u8> {
    let mut letter = Vec::new();
    while !letter.ends_with(b"\r\n.\r\n") {
        match stream.read_u8().await {
            Ok(byte) => letter.push(byte),
            Err(_) => break,
        }
        tokio::task::yield_now().await;
    }
    letter
}

async fn drain(stream: &mut Conversation) {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}
