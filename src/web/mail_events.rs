//! `POST /mail-events/{service}`: what Postmark, Mailgun and Resend tell about letters. Nothing is read before it is proven.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::browser_language::BrowserLanguage;
use crate::engine::Engine;
use crate::mail::events::{self, Proven, Request, Service};

pub(super) async fn receive(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    asked: BrowserLanguage,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(service) = Service::named(&name) else {
        return super::missing(State(engine), asked).await.into_response();
    };
    let Some(proven) = prove(&engine, service, &headers, &body) else {
        tracing::warn!(service = name, "a mail event was refused: it does not prove that it comes from {name}");
        let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"mail events\"")];
        return (StatusCode::UNAUTHORIZED, realm).into_response();
    };
    match proven {
        Proven::Nothing => StatusCode::OK.into_response(),
        Proven::Told(event) => match engine.take_event(service, event).await {
            Ok(_) => StatusCode::OK.into_response(),
            Err(error) => {
                tracing::error!("a mail event cannot be noted: {error}");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        },
    }
}

fn prove(engine: &Engine, service: Service, headers: &HeaderMap, body: &[u8]) -> Option<Proven> {
    let known = &engine.config.mail.events;
    let secret = match service {
        Service::Postmark => &known.postmark,
        Service::Mailgun => &known.mailgun,
        Service::Resend => &known.resend,
    };
    let header_of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = Request { header: &header_of, body };
    events::read(service, secret.as_ref()?, &request, engine.clock.now())
}
