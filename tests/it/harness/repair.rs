//! The user's side: links in letters, the repair page, Link.

use std::time::Duration;

use relinkd::demo::mailbox::Letter;
use relinkd::demo::plaid::{Door, Item, Outcome};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::World;

/// What a press answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Link opens in the page, with this token.
    Token(String),
    /// Link is a page of Plaid's, at this address.
    Hosted(String),
    /// No Link.
    No(StatusCode),
}

impl Pressed {
    /// Where Plaid's own page is.
    pub fn address(&self) -> String {
        match self {
            Self::Hosted(url) => url.clone(),
            Self::Token(_) | Self::No(_) => panic!("{self:?}"),
        }
    }
}

/// A button of a form: where it leads, and what it says.
struct Button {
    action: String,
    fields: String,
}

/// The buttons of a page's forms, as a program without scripts sees them.
fn buttons(page: &str) -> Vec<Button> {
    let value = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!(" {name}=\""))?;
        Some(rest.split_once('"')?.0.replace("&#x2f;", "/"))
    };
    let of_form = |text: &str| {
        let inside = text.split_once("</form>").expect("a form ends").0;
        let inputs = inside.split("<input").skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0);
        let field = |tag: &str| Some((value(tag, "name")?, value(tag, "value").expect("a value")));
        let fields: Vec<_> = inputs
            .filter(|input| !input.contains("type=\"radio\"") || input.contains(" checked"))
            .map(|input| field(input).expect("a name"))
            .collect();
        let action = value(&format!(" {inside}"), "action").expect("an address");
        let buttons = inside.split("<button").skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0);
        let pressed = buttons.map(|button| fields.iter().cloned().chain(field(button)).collect::<Vec<_>>());
        let form = |fields| form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        pressed.map(|fields| Button { action: action.clone(), fields: form(fields) }).collect::<Vec<_>>()
    };
    page.split("<form ").skip(1).flat_map(of_form).collect()
}

/// The link of a letter's button: it stands alone on its line of the text part.
pub fn repair_link(letter: &Letter) -> String {
    alone_on_its_line(letter, "/repair/")
}

/// The link that stops letters.
pub fn stop_link(letter: &Letter) -> String {
    alone_on_its_line(letter, "/unsubscribe/")
}

fn alone_on_its_line(letter: &Letter, part: &str) -> String {
    let text = letter.text.as_deref().expect("a text part");
    let line = text.lines().map(str::trim).find(|line| line.starts_with("http") && line.contains(part));
    line.unwrap_or_else(|| panic!("no link with {part} in: {text}")).to_owned()
}

impl World {
    /// Fetches a page. Answers status, headers that matter, and body.
    pub async fn fetch(&self, method: Method, link: &str) -> (StatusCode, String) {
        let answer = self.http.request(method, link).send().await.expect("the page answers");
        let status = answer.status();
        (status, answer.text().await.expect("a body"))
    }

    /// Fetches a page with a browser that names itself so.
    pub async fn fetch_as(&self, browser: &str, link: &str) -> (StatusCode, String) {
        let answer = self.http.get(link).header("user-agent", browser).send().await.expect("the page answers");
        let status = answer.status();
        (status, answer.text().await.expect("a body"))
    }

    /// Fetches a page with a browser whose owner reads these languages. Answers the tag of the page's, and the page.
    pub async fn fetch_in(&self, languages: &str, method: Method, link: &str) -> (String, String) {
        let request = self.http.request(method, link).header("accept-language", languages);
        let answer = request.send().await.expect("the page answers");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        let (tag, varies) = (header("content-language"), header("vary"));
        assert_eq!(varies, "Accept-Language");
        let page = answer.text().await.expect("a body");
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{tag}: {page}");
        (tag, page)
    }

    /// Presses the only button of a page, without script. Answers status and body.
    pub async fn press_only_button(&self, page: &str) -> (StatusCode, String) {
        let [button] = <[Button; 1]>::try_from(buttons(page)).unwrap_or_else(|all| panic!("{} buttons", all.len()));
        let answer = self.send(&button).await;
        let status = answer.status();
        (status, answer.text().await.expect("a body"))
    }

    /// Presses every button of a page, without script. Answers each status, and where it leads.
    pub async fn press_every_button(&self, page: &str) -> Vec<(StatusCode, String)> {
        let mut answers = Vec::new();
        for button in buttons(page) {
            let answer = self.send(&button).await;
            let leads_to = answer.headers().get("location").map(|to| to.to_str().expect("an address").to_owned());
            answers.push((answer.status(), leads_to.unwrap_or_default()));
        }
        self.quiet().await;
        answers
    }

    async fn send(&self, button: &Button) -> reqwest::Response {
        let request = self.http.post(format!("{}{}", self.public_url, button.action));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(button.fields.clone());
        request.send().await.expect("the page answers")
    }

    /// The button on the page of a link that had ended: a fresh one by mail.
    pub async fn ask_for_fresh(&self, link: &str) -> (StatusCode, String) {
        let (_, page) = self.fetch(Method::GET, link).await;
        let answered = self.press_only_button(&page).await;
        self.quiet().await;
        answered
    }

    /// The button of the repair page is pressed for one Item.
    pub async fn press_button(&self, link: &str, item: &Item) -> Pressed {
        self.press_with(link, &json!({ "item_id": item.id })).await
    }

    /// The same in a browser that names itself so.
    pub async fn press_as(&self, browser: &str, link: &str, item: &Item) -> Pressed {
        let request = self.http.post(format!("{link}/link")).header("user-agent", browser);
        self.pressed(request.json(&json!({ "item_id": item.id }))).await
    }

    /// The page found the token of the last press dead, and presses again.
    pub async fn press_anew(&self, link: &str, item: &Item) -> Pressed {
        self.press_with(link, &json!({ "item_id": item.id, "renew": true })).await
    }

    /// The button is pressed by somebody who reads these languages. Answers what the page is to say about Link.
    pub async fn words_of_press(&self, languages: &str, link: &str) -> Value {
        let request = self.http.post(format!("{link}/link")).header("accept-language", languages);
        let answer = request.json(&json!({})).send().await.expect("the page answers");
        let mut body: Value = answer.json().await.expect("JSON");
        self.quiet().await;
        body["words"].take()
    }

    async fn press_with(&self, link: &str, body: &Value) -> Pressed {
        self.pressed(self.http.post(format!("{link}/link")).json(body)).await
    }

    async fn pressed(&self, request: reqwest::RequestBuilder) -> Pressed {
        let answer = request.send().await.expect("the page answers");
        let status = answer.status();
        if status != StatusCode::OK {
            return Pressed::No(status);
        }
        let body: Value = answer.json().await.expect("JSON");
        self.quiet().await;
        match (&body["link_token"], &body["hosted_link_url"]) {
            (_, Value::String(url)) => Pressed::Hosted(url.clone()),
            (Value::String(token), _) => Pressed::Token(token.clone()),
            _ => panic!("neither token nor address: {body}"),
        }
    }

    /// Goes through Link to its good end.
    pub async fn through_link(&self, pressed: &Pressed) {
        self.ends_link(pressed, &Outcome::Success { accounts: None }).await;
    }

    /// Goes through Link to some end. Hosted Link says so in a webhook, which is waited for.
    pub async fn ends_link(&self, pressed: &Pressed, outcome: &Outcome) {
        let door = match pressed {
            Pressed::Token(token) => Door::LinkToken(token.clone()),
            Pressed::Hosted(url) => Door::Hosted(url.rsplit('/').next().expect("an id").to_owned()),
            Pressed::No(status) => panic!("no Link: {status}"),
        };
        let told = |plaid: &relinkd::demo::plaid::FakePlaid| {
            let sent = plaid.sent();
            sent.iter().filter(|sent| sent.what == "LINK/SESSION_FINISHED" && !sent.tries.is_empty()).count()
        };
        let before = told(&self.plaid);
        let view = self.plaid.link_start(&door).expect("Link opens");
        self.plaid.link_finish(&view, outcome).expect("Link ends");
        if view.hosted {
            let arrived = self.plaid.wait_until(Duration::from_secs(60), |plaid| told(plaid) > before).await;
            assert!(arrived, "Hosted Link tells how it ended");
        }
        self.quiet().await;
    }

    /// The page says that Link is done. Answers what it is told: works, checking or broken.
    pub async fn done(&self, link: &str, item: &Item) -> String {
        let body = json!({ "item_id": item.id, "link_session_id": null });
        let answer = self.http.post(format!("{link}/done")).json(&body).send().await.expect("the page answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.expect("JSON");
        self.quiet().await;
        body["state"].as_str().expect("a state").to_owned()
    }

    /// Opens a letter's link, presses, logs in, comes back.
    pub async fn press(&self, letter: &Letter, item: &Item) -> String {
        let link = repair_link(letter);
        let (status, page) = self.fetch(Method::GET, &link).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let pressed = self.press_button(&link, item).await;
        self.through_link(&pressed).await;
        self.done(&link, item).await
    }

    /// A person chooses on the page behind the link that stops letters, and saves. Answers the page that shows it.
    pub async fn choose(&self, link: &str, choices: &[(&str, &str)]) -> (String, String) {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(choices).finish();
        let request = self.http.post(format!("{link}/preferences"));
        let answer = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await;
        let answer = answer.expect("the page answers");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        self.quiet().await;
        let shown = format!("{}{}", self.public_url, answer.headers()["location"].to_str().expect("an address"));
        let (status, page) = self.fetch(Method::GET, &shown).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        (shown, page)
    }

    /// One click in the mail program (RFC 8058): a POST to the address of the header.
    pub async fn one_click_stop(&self, letter: &Letter) {
        let header = letter.header("List-Unsubscribe").expect("the header");
        let link = header.trim_start_matches('<').trim_end_matches('>').to_owned();
        assert!(letter.header("List-Unsubscribe-Post").is_some_and(|post| post == "List-Unsubscribe=One-Click"));
        let form = self.http.post(&link).header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body("List-Unsubscribe=One-Click").send().await.expect("the page answers");
        assert_eq!(answer.status(), StatusCode::OK);
        self.quiet().await;
    }
}
