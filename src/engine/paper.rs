//! What letters are made of, as the configuration says: who writes, and the templates. Called by the command line too, which
//! shows letters and tries templates out.

use crate::config::Config;
use crate::mail::letter::{Brand, COLOUR, Templates};
use crate::mail::sample;
use crate::mail::words::TemplateFault;

/// Who writes, as the configuration says.
#[must_use]
pub fn brand(config: &Config) -> Brand {
    let (app, mail) = (&config.app, &config.mail);
    Brand {
        name: app.name.clone(),
        url: app.url.to_string(),
        support_email: app.support_email.as_str().to_owned(),
        postal_address: mail.postal_address.clone(),
        colour: mail.colour.unwrap_or(COLOUR),
        logo: mail.logo.clone(),
    }
}

/// The templates of all letters, the operator's tried out.
///
/// # Errors
/// Every fault of the operator's templates.
pub fn templates(config: &Config) -> Result<Templates, Vec<TemplateFault>> {
    let (languages, folder) = (&config.mail.languages, config.mail.templates_dir.as_deref());
    let templates = Templates::load(languages, folder)?;
    if folder.is_some() {
        sample::check(&templates, &brand(config), languages)?;
    }
    Ok(templates)
}
