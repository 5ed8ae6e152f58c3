//! The application's side of the stream of events.

use reqwest::Response;
use serde_json::Value;

use super::{API_KEY, World};
use crate::process::LIMIT;

/// An open stream of events.
pub struct News {
    answer: Response,
    text: String,
}

impl World {
    /// Opens the stream after an event.
    pub async fn stream(&self, last_event: &str) -> News {
        let request = self.http.get(format!("{}/v1/events", self.private_url)).bearer_auth(API_KEY);
        let request = request.header("accept", "text/event-stream").header("last-event-id", last_event);
        let answer = request.send().await.expect("the API answers");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        News { answer, text: String::new() }
    }
}

impl News {
    /// The next event, as its data says it. The stream's own fields have to say the same.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                let Some(data) = field("data") else { continue };
                let data: Value = serde_json::from_str(data).expect("JSON");
                assert_eq!(field("id"), Some(data["id"].to_string().as_str()));
                assert_eq!(field("event"), data["type"].as_str());
                return data;
            }
            let chunk = tokio::time::timeout(LIMIT, self.answer.chunk()).await.expect("an event in time");
            let chunk = chunk.expect("the stream goes on").expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// Whether the daemon ended the stream, with nothing more to say; not whether it was cut off.
    pub async fn ends(&mut self) -> bool {
        let rest = async {
            while let Some(chunk) = self.answer.chunk().await? {
                self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
            }
            Ok::<_, reqwest::Error>(())
        };
        let end = tokio::time::timeout(LIMIT, rest).await.expect("an end in time");
        // What only keeps the connection open says nothing.
        end.is_ok() && !self.text.lines().any(|line| line.starts_with("data:"))
    }
}
