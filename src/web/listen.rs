//! Listeners: the backlog, the limits on slow clients, and stopping without breaking what is under way.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use tokio::net::TcpSocket;
use tokio_util::task::TaskTracker;

/// How many connections may wait to be accepted. tokio's 128 gave stalls of a second at 256 connections.
const BACKLOG: u32 = 4096;

/// How long a client may take to say the head of a request. Against clients that send a byte now and then.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

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
    let address = listener.local_addr()?;
    let handle = Handle::new();
    let mut server =
        axum_server::from_tcp(listener)?.handle(handle.clone()).http1_only().first_request_timeout(HEAD_TIME_MAX);
    server.http_builder().http1().header_read_timeout(HEAD_TIME_MAX);
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(async move {
        if let Err(error) = server.serve(service).await {
            tracing::error!("listener {address}: {error}");
        }
    });
    Ok(Listening { address, handle })
}
