//! Listeners: the backlog, the limits on slow clients, and stopping without breaking what is under way.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use tokio::net::TcpSocket;
use tokio_util::task::TaskTracker;

/// How many connections may wait to be accepted. tokio's 128 gave stalls of a second at 256 connections.
pub(super) const BACKLOG: u32 = 4096;

/// How long a client may take to say the head of a request. Against clients that send a byte now and then.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// A listener that is being served.
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
}

impl Listening {
    /// Takes no more connections, and lets requests that are under way end within a time.
    pub fn stop(&self, within: Duration) {
        self.handle.graceful_shutdown(Some(within));
    }
}

/// Opens a listener.
///
/// # Errors
/// The address is in use, or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Serves routes on a listener, with the limits on slow clients. The benchmark's control is served with it too.
///
/// # Errors
/// A listener that cannot be used.
pub fn start(tasks: &TaskTracker, listener: TcpListener, routes: Router) -> io::Result<Listening> {
    start_with(tasks, listener, routes, HEAD_TIME_MAX)
}

fn start_with(
    tasks: &TaskTracker,
    listener: TcpListener,
    routes: Router,
    head_time_max: Duration,
) -> io::Result<Listening> {
    let address = listener.local_addr()?;
    let handle = Handle::new();
    let mut server =
        axum_server::from_tcp(listener)?.handle(handle.clone()).http1_only().first_request_timeout(head_time_max);
    server.http_builder().http1().header_read_timeout(head_time_max);
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(async move {
        if let Err(error) = server.serve(service).await {
            tracing::error!("listener {address}: {error}");
        }
    });
    Ok(Listening { address, handle })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const HEAD_TIME: Duration = Duration::from_secs(1);

    /// How long it takes until a connection on which this was said is closed, and what came until then.
    async fn closed_after(address: SocketAddr, said: &[u8]) -> (Duration, String) {
        let (begun, mut heard) = (Instant::now(), Vec::new());
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(said).await.expect("sent");
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard)).await;
        closed.expect("it is closed").expect("and not reset");
        (begun.elapsed(), String::from_utf8_lossy(&heard).into_owned())
    }

    #[tokio::test]
    async fn who_does_not_finish_a_head_is_cut_off_and_who_does_is_answered() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let routes = Router::new().route("/", axum::routing::get(async || "here"));
        let tasks = TaskTracker::new();
        let listening = start_with(&tasks, listener, routes, HEAD_TIME).expect("served");
        let whole: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let next = [whole, b"GET / HTTP/1.1\r\nHo"].concat();
        for (said, answers) in [(&b""[..], 0), (b"GET / HTTP/1.1\r\nHo", 0), (whole, 1), (&next, 1)] {
            let (after, heard) = closed_after(listening.address, said).await;
            assert_eq!(heard.matches("200 OK").count(), answers, "{heard}");
            assert!(after >= HEAD_TIME / 2 && after < HEAD_TIME * 20, "{after:?} after {said:?}");
        }
        listening.stop(Duration::from_secs(1));
        tasks.close();
        tasks.wait().await;
    }
}
