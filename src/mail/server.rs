//! A mail server: where it is, how the connection is kept secret, who logs in. Only data; [`smtp`](super::smtp) speaks.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::SecretString;

/// A mail server and how to speak to it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port: usually 25, 465 (TLS) or 587 (STARTTLS).
    pub port: u16,
    /// Whether and how the connection is encrypted.
    pub security: Security,
    /// Who logs in, if anybody.
    pub credentials: Option<Credentials>,
    /// The name by which we greet (EHLO): a host name, without spaces.
    pub hello_name: String,
}

/// Whether and how the connection is encrypted.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all. A login then goes to a server on this machine only.
    Plain,
    /// It begins in clear and is encrypted before anything is said; a server that cannot gets no letter.
    StartTls(Trust),
    /// From the first byte.
    Tls(Trust),
}

/// Whose certificates are believed.
#[derive(Clone)]
pub struct Trust(pub(super) Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// The certificate authorities of the operating system. Reads them from disk: make one at start and keep it.
    ///
    /// # Errors
    /// There are none, for instance in a container without `ca-certificates`.
    pub fn of_the_system() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self(Arc::new(config.with_platform_verifier()?.with_no_client_auth())))
    }

    /// As configured elsewhere.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

/// A login at the mail server.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}
