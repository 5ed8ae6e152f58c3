//! What mail servers and mail services tell the daemon.

use reqwest::StatusCode;
use serde_json::Value;

use super::{API_KEY, World};

impl World {
    /// A mail service tells something.
    pub async fn mail_event(&self, service: &str, authorization: Option<&str>, body: &Value) -> StatusCode {
        let mut request = self.http.post(format!("{}/mail-events/{service}", self.public_url)).json(body);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let status = request.send().await.expect("an answer").status();
        self.quiet().await;
        status
    }

    /// A report by mail comes.
    pub async fn report(&self, raw: &str) -> String {
        let request = self.http.post(format!("{}/v1/bounces", self.private_url)).bearer_auth(API_KEY);
        let answer = request.body(raw.to_owned()).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.expect("JSON");
        self.quiet().await;
        body["result"].as_str().expect("a result").to_owned()
    }

    pub async fn delete_with(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.api(self.http.delete(format!("{}{path}", self.private_url)).json(body)).await;
        self.quiet().await;
        answer
    }
}
