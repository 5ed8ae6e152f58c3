//! A DNS server on loopback that answers TXT questions from a table, over UDP and TCP on the same port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// What is said about a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// These TXT records.
    Texts(Vec<String>),
    /// This code instead: 2 is a server in trouble.
    Code(u8),
}

pub struct DnsServer {
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl DnsServer {
    /// A server that knows these names and what lies above them, and no others.
    pub async fn start(names: &[(&str, Says)]) -> Self {
        let names: Arc<BTreeMap<String, Says>> =
            Arc::new(names.iter().map(|(name, says)| ((*name).to_owned(), says.clone())).collect());
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        let known = Arc::clone(&names);
        tasks.spawn(async move {
            let mut bytes = [0; 512];
            while let Ok((length, peer)) = udp.recv_from(&mut bytes).await {
                let mut whole = answer(&bytes[..length], &known);
                if whole.len() > 512 {
                    whole.truncate(512);
                    whole[2] |= 0x02;
                }
                let _ = udp.send_to(&whole, peer).await;
            }
        });
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let Ok(length) = stream.read_u16().await else { continue };
                let mut question = vec![0; length.into()];
                if stream.read_exact(&mut question).await.is_ok() {
                    let whole = answer(&question, &names);
                    let _ = stream.write_u16(u16::try_from(whole.len()).expect("short")).await;
                    let _ = stream.write_all(&whole).await;
                }
            }
        });
        Self { address, _tasks: tasks }
    }
}

fn answer(question: &[u8], names: &BTreeMap<String, Says>) -> Vec<u8> {
    let name = name_of(question);
    let lies_above = names.keys().any(|known| known.ends_with(&format!(".{name}")));
    let (code, texts) = match names.get(&name) {
        Some(Says::Texts(texts)) => (0, texts.clone()),
        Some(Says::Code(code)) => (*code, Vec::new()),
        None => (if lies_above { 0 } else { 3 }, Vec::new()),
    };
    let mut bytes = question.to_vec();
    (bytes[2], bytes[3]) = (0x81, 0x80 | code);
    bytes[7] = u8::try_from(texts.len()).expect("few");
    for text in texts {
        let data: Vec<u8> = text
            .as_bytes()
            .chunks(200)
            .flat_map(|part| [&[u8::try_from(part.len()).expect("short")][..], part].concat())
            .collect();
        bytes.extend([0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 60]);
        bytes.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

fn name_of(question: &[u8]) -> String {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] > 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    labels.join(".")
}

/// One TXT record.
pub fn text(text: &str) -> Says {
    Says::Texts(vec![text.to_owned()])
}
