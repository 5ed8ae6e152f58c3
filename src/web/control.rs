//! The control socket: a Unix socket that only the user may open as whom relinkd runs.
//!
//! It serves the routes of the private listener without a key; the file's mode is the guard, and its folder is the
//! operator's business. A file that an earlier process left is replaced; one on which somebody answers is not.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, path::Path};

use axum::Router;
use axum_server::Handle;
use tokio::net::UnixSocket;
use tokio_util::task::TaskTracker;

use super::listen::{BACKLOG, HEAD_TIME_MAX};

/// Only for the user as whom relinkd runs.
const MODE: u32 = 0o600;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another daemon has it.
    #[error("another relinkd answers there already: stop that one, or write another path")]
    Taken,
    /// There is a file that is not ours to replace.
    #[error("a file is there that is no socket: write another path, or move the file away")]
    NoSocket,
    /// What the system says.
    #[error("it cannot be made: {0}. Its folder has to be there and be writable for the user as whom relinkd runs")]
    Io(#[from] io::Error),
}

/// The socket, bound and not served yet.
pub struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
}

/// The socket, being served.
pub struct Controlling {
    path: PathBuf,
    handle: Handle<SocketAddr>,
}

impl ControlSocket {
    /// Makes the socket. Nobody can connect before its mode is set: until it listens, the system refuses.
    ///
    /// # Errors
    /// [`ControlError`] says why not, and what to do.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        make_room(path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        Ok(Self { path: path.to_owned(), listener })
    }

    pub(super) fn start(self, tasks: &TaskTracker, routes: Router) -> io::Result<Controlling> {
        let (path, handle) = (self.path, Handle::new());
        let mut server = axum_server::from_unix(self.listener)?
            .handle(handle.clone())
            .http1_only()
            .first_request_timeout(HEAD_TIME_MAX);
        server.http_builder().http1().header_read_timeout(HEAD_TIME_MAX);
        let named = path.display().to_string();
        tasks.spawn(async move {
            if let Err(error) = server.serve(routes.into_make_service()).await {
                tracing::error!("control socket {named}: {error}");
            }
        });
        Ok(Controlling { path, handle })
    }
}

impl Controlling {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, takes no more connections, and lets requests that are under way end within a time.
    pub fn stop(&self, within: Duration) {
        // Before the listening ends: afterwards the file could be that of the next process.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("the control socket is not removed: {error}");
        }
        self.handle.graceful_shutdown(Some(within));
    }
}

/// Removes a socket that a process left which is no more.
fn make_room(path: &Path) -> Result<(), ControlError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(ControlError::NoSocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ControlError::Taken),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn asked(path: &Path) -> String {
        let mut stream = tokio::net::UnixStream::connect(path).await.expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.expect("answered");
        heard
    }

    #[tokio::test]
    async fn it_is_for_one_user_and_goes_when_it_is_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let tasks = TaskTracker::new();
        let socket = ControlSocket::bind(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let controlling = socket.start(&tasks, Router::new().route("/", get(async || "here"))).expect("served");
        assert!(asked(&path).await.ends_with("here"));
        let second = ControlSocket::bind(&path).err().expect("refused");
        assert!(matches!(second, ControlError::Taken), "{second}");
        controlling.stop(Duration::from_secs(1));
        assert!(!path.exists());
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "a socket outlives its process");
        drop(ControlSocket::bind(&path).expect("replaced"));
        let file = folder.path().join("notes");
        fs::write(&file, "mine").expect("written");
        let refused = ControlSocket::bind(&file).err().expect("refused");
        assert!(matches!(refused, ControlError::NoSocket), "{refused}");
        assert_eq!(fs::read_to_string(&file).expect("still there"), "mine");
        let refused = ControlSocket::bind(&folder.path().join("missing/control.sock")).err().expect("refused");
        assert!(matches!(refused, ControlError::Io(_)), "{refused}");
    }
}
