//! The mail server of the configuration.

use secrecy::ExposeSecret as _;

use crate::config::{Config, Security};
use crate::mail::smtp;

/// How the mail server of the configuration is spoken to; nothing where the application sends the letters itself.
///
/// # Errors
/// There are no certificate authorities on this machine.
pub fn mail_server(config: &Config) -> Result<Option<smtp::Server>, rustls::Error> {
    let Some(at) = config.mail.smtp() else { return Ok(None) };
    let trust = smtp::Trust::of_the_system;
    Ok(Some(smtp::Server {
        host: at.host.clone(),
        port: at.port,
        security: match at.security {
            Security::Plain => smtp::Security::Plain,
            Security::Tls => smtp::Security::Tls(trust()?),
            Security::StartTls => smtp::Security::StartTls(trust()?),
        },
        credentials: config.mail.login.as_ref().map(|login| smtp::Credentials {
            username: login.username.expose_secret().to_owned(),
            password: login.password.clone(),
        }),
        hello_name: config.server.public_url.host_str().unwrap_or("localhost").to_owned(),
    }))
}
