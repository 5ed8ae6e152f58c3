//! The end user's pages: repair, the way back from the bank, which letters to get, and what is shown when a link is dead.
//!
//! Rendering only. What a page says comes in as a typed value, what goes out is a [`Page`]: whole, with its status and every
//! security header. Nothing here reads the store, knows what a token means, calls Plaid or decides anything; the handlers in
//! [`web`](crate::web) do. Words live in `languages/`, one file a language.
//!
//! What `page.js` and the handlers agree on (addresses are those of the page's form, `{path}` = `/repair/{token}`):
//!
//! | request | answers |
//! |---|---|
//! | `POST {path}/link`, JSON `{"item_id", "renew"?}`; `renew: true` = the token handed out before is dead | 200 `{"link_token", "words", "errors"}` (embedded; the last two from [`OfLink`]) or `{"hosted_link_url"}` (hosted) · 409 `{"state": "works"` or `"anew"}` · 410 the link or the connection is gone · 429 · 503 `{"trouble": "plaid"`, `"bank"` or `"ours"}` |
//! | the same as a form (`item_id=…`): a browser without script, or one in which Plaid's script is blocked | 303 to Plaid's own page, or a [`Page`] of the same status |
//! | `POST {path}/done`, JSON `{"item_id", "link_session_id": string or null}`; the first is a claim, the others ask again | 200 `{"state": "works"`, `"checking"` or `"broken"}` · 410 |
//! | `POST {path}/fresh`, an empty form: a link that does not open any more | 200, one [`Page`] for all |
//! | `GET /repair-return` | [`way_back`]; both the OAuth redirect and the hosted page's completion lead there |

mod bank_name;
mod headers;
mod preferences;
pub mod sample;
mod script;
mod template;
mod words;

use axum::http::StatusCode;
use jiff::{Timestamp, tz::TimeZone};
use minijinja::{Value, context};
use serde::Serialize;
use url::Url;

use crate::domain::{ids::ItemId, item::ExpiryReason, language::Language};
use crate::mail::letter::ButtonColours;

use bank_name::BankName;
pub use headers::{Nonce, Page};
pub use preferences::{BankLetters, Preferences, UnsubscribePage, chosen, fields, unsubscribe};
pub use script::OfLink;
use script::Shown;
use words::{Words, fill};

/// Who speaks to the user: the application, never relinkd.
#[derive(Clone, Debug)]
pub struct Brand {
    /// The application's name.
    pub name: String,
    /// Where the user finds the application; `https`, or `http` on loopback.
    pub url: Url,
    /// Where the user gets help.
    pub support_email: String,
    /// The colours of a button: those of the letter that led here.
    pub button: ButtonColours,
}

/// What every page needs, whatever it says.
pub struct View<'a> {
    /// Who speaks.
    pub brand: &'a Brand,
    /// The user's language; of somebody who is not known, the browser's.
    pub language: Language,
    /// The user's time zone, for days such as the end of a consent.
    pub time_zone: &'a TimeZone,
    /// Fresh for every answer.
    pub nonce: Nonce,
}

/// How update mode is opened.
#[derive(Clone, Debug)]
pub enum LinkMode {
    /// Plaid Link inside the page. Without script, or where Plaid's is blocked, Plaid's own page.
    Embedded {
        /// Plaid's script.
        script: Url,
        /// Plaid's API, to which that script talks.
        api: Url,
        /// Where Plaid's own page is, as in [`LinkMode::Hosted`].
        hosted: Url,
    },
    /// Plaid's own page.
    Hosted {
        /// Where that page is. Only the origin counts, and a host may begin with `*.`.
        page: Url,
    },
}

/// What `GET /repair/{token}` shows, and what a press without script answers. No `Debug`: a path holds a token.
pub enum RepairPage {
    /// Something is to be done.
    Broken {
        /// Those that work already are shown ticked; if all do, this is [`RepairPage::Works`].
        banks: Vec<Bank>,
        /// `/repair/{token}`, with whatever prefix the public address has.
        path: String,
        /// How update mode is opened.
        mode: Box<LinkMode>,
    },
    /// Nothing is to be done.
    Works {
        /// The banks' names, as far as they are known.
        banks: Vec<Option<String>>,
    },
    /// The link is unknown, expired or revoked: one page for all three, so that it tells nothing apart.
    NoLonger {
        /// `/repair/{token}`, to ask for a fresh one.
        path: String,
    },
    /// A fresh link was asked for: one answer, whether there is anybody to send it to or not.
    FreshLinkSent,
    /// The link is good, but the connection was removed.
    Gone {
        /// The bank's name, where it is known.
        bank: Option<String>,
    },
    /// The connection is there, but nobody can repair it.
    LinkAnew {
        /// The bank's name, where it is known.
        bank: Option<String>,
    },
    /// It cannot be done now. The link stays valid.
    Trouble {
        /// What stands in the way.
        what: Trouble,
        /// `/repair/{token}`, to try again.
        path: String,
    },
}

/// One bank of a user.
#[derive(Clone, Debug)]
pub struct Bank {
    /// Which Item the press is about.
    pub item: ItemId,
    /// The bank's name, where it is known: untrusted text.
    pub name: Option<String>,
    /// What it needs.
    pub what: What,
}

/// What a bank needs from the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The login is broken.
    LoginRequired,
    /// The connection is about to end.
    Ends {
        /// When, if Plaid said so. An assumed deadline is `None`: the page names no date that nobody gave.
        on: Option<Timestamp>,
        /// Why.
        why: ExpiryReason,
    },
    /// Accounts could be shared.
    NewAccounts,
    /// The user withdrew the permission.
    AccessWithdrawn,
    /// Nothing: it does not work, and the user can do nothing about it.
    Impaired,
    /// Nothing: it works.
    Works,
}

/// Why it cannot be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Plaid does not answer.
    Plaid,
    /// The bank is down.
    Bank {
        /// Its name, where it is known.
        name: Option<String>,
    },
    /// The operator has to do something.
    Ours {
        /// The bank's name, where it is known.
        name: Option<String>,
    },
    /// Too many presses.
    Busy,
}

/// The repair page.
///
/// Status: 200, but 410 for a dead link, 503 for trouble and 429 for too many presses.
pub fn repair(view: &View<'_>, page: &RepairPage) -> Page {
    let words = words::of(view.language);
    match page {
        RepairPage::Broken { banks, path, mode } => broken(view, words, banks, path, mode),
        RepairPage::Works { banks } => works(view, words, banks),
        RepairPage::NoLonger { path } => {
            let text = &words.no_longer;
            let mut notice = Notice::new(&text.heading, &[&text.text, &text.next]);
            let action = format!("{path}/fresh");
            notice.form = Some(Form { action: &action, label: &text.button, field: None, second: false });
            notice.render(view, words, StatusCode::GONE, None)
        }
        RepairPage::FreshLinkSent => {
            let text = &words.no_longer;
            let notice = Notice::new(&text.sent_heading, &[&text.sent_text, &text.sent_next]).leads_to_app();
            notice.render(view, words, StatusCode::OK, None)
        }
        RepairPage::LinkAnew { bank } => {
            let text = &words.anew;
            let notice = Notice::new(&text.heading, &[&text.text, &text.next]).leads_to_app();
            notice.render(view, words, StatusCode::CONFLICT, bank.as_deref())
        }
        RepairPage::Gone { bank } => {
            let text = &words.gone;
            let notice = Notice::new(&text.heading, &[&text.text, &text.next]).leads_to_app();
            notice.render(view, words, StatusCode::OK, bank.as_deref())
        }
        RepairPage::Trouble { what, path } => trouble(view, words, what, path),
    }
}

/// The page at `/repair-return`: goes on with what this browser began, and without that says what to do.
///
/// It reads its own address and the browser's storage; the server knows nobody here.
pub fn way_back(view: &View<'_>, mode: &LinkMode) -> Page {
    let words = words::of(view.language);
    let say = |text: &str| fill(text, &[("brand", &view.brand.name)]);
    let own = context! {
        title => &words.back.heading,
        text => say(&words.back.text),
        next => say(&words.back.next),
        again => &words.back.again,
        open_app => say(&words.frame.open_app),
        data => script::data(view, words, Shown::WayBack, mode),
        script => template::script(),
    };
    Page::new(view, words, StatusCode::OK, Some(mode), template::render("back.html", &own, view, words))
}

/// An address that does not exist: 404.
pub fn missing(view: &View<'_>) -> Page {
    let words = words::of(view.language);
    let notice = Notice::new(&words.missing.heading, &[&words.missing.text]).leads_to_app();
    notice.render(view, words, StatusCode::NOT_FOUND, None)
}

/// Our own fault: 500.
pub fn fault(view: &View<'_>) -> Page {
    let words = words::of(view.language);
    let notice = Notice::new(&words.fault.heading, &[&words.fault.text]).leads_to_app();
    notice.render(view, words, StatusCode::INTERNAL_SERVER_ERROR, None)
}

fn broken(view: &View<'_>, words: &'static Words, banks: &[Bank], path: &str, mode: &LinkMode) -> Page {
    if banks.iter().all(|bank| bank.what == What::Works) {
        return works(view, words, &banks.iter().map(|bank| bank.name.clone()).collect::<Vec<_>>());
    }
    let shown: Vec<BankText> = banks.iter().map(|bank| BankText::of(bank, view, words)).collect();
    let one = if let [one] = shown.as_slice() { Some(one) } else { None };
    let only = if let [only] = banks { only.name.as_deref() } else { None };
    let bank = BankName::new(only, words);
    let say = |text: &str| bank.fill(text, &[("brand", &view.brand.name)]);
    let own = context! {
        title => one.map_or_else(|| say(&words.repair.many_heading), |one| one.heading.clone()),
        lead => one.is_none().then(|| say(&words.repair.many_lead)),
        many => one.is_none(),
        banks => Value::from(minijinja::value::Serde(&shown)),
        path,
        next => context! {
            heading => say(&words.repair.next_heading),
            plaid => say(&words.repair.next_plaid),
            bank => say(&words.repair.next_bank),
            back => say(&words.repair.next_back),
        },
        safety => say(&words.repair.safety),
        open_app => say(&words.frame.open_app),
        data => script::data(view, words, Shown::Repair, mode),
        script => template::script(),
    };
    Page::new(view, words, StatusCode::OK, Some(mode), template::render("repair.html", &own, view, words))
}

/// One bank in words.
#[derive(Serialize)]
struct BankText {
    item: String,
    /// As it stands within a sentence.
    name: String,
    /// As it stands alone; the page says it only where it differs.
    title: String,
    heading: String,
    reason: String,
    button: Option<String>,
    /// The page's heading when it is done, where "works again" would not be true: nothing had stopped.
    done: Option<String>,
    works: bool,
}

impl BankText {
    fn of(bank: &Bank, view: &View<'_>, words: &'static Words) -> Self {
        let text = &words.repair;
        let name = BankName::new(bank.name.as_deref(), words);
        let title = name.alone();
        let (heading, reason, button) = match bank.what {
            What::LoginRequired => (&*text.login_heading, &text.login_reason, Some(&text.reconnect_button)),
            What::Ends { on, why } => (&*text.ends_heading, ends_reason(words, on, why), Some(&text.renew_button)),
            What::NewAccounts => (&*text.new_accounts_heading, &text.new_accounts_reason, Some(&text.accounts_button)),
            What::AccessWithdrawn => (&*text.withdrawn_heading, &text.withdrawn_reason, Some(&text.share_button)),
            What::Impaired => ("{title}", &text.impaired, None),
            What::Works => ("{title}", &text.works, None),
        };
        let date = match bank.what {
            What::Ends { on: Some(at), .. } => words.day(at, view.time_zone),
            What::Ends { on: None, .. }
            | What::LoginRequired
            | What::NewAccounts
            | What::AccessWithdrawn
            | What::Impaired
            | What::Works => String::new(),
        };
        let done = match bank.what {
            What::Ends { .. } | What::NewAccounts => Some(&words.works.one_heading),
            What::LoginRequired | What::AccessWithdrawn | What::Impaired | What::Works => None,
        };
        let say = |text: &str| name.fill(text, &[("brand", &view.brand.name), ("date", &date), ("title", &title)]);
        Self {
            item: bank.item.as_str().to_owned(),
            heading: say(heading),
            reason: say(reason),
            button: button.map(|button| say(button)),
            done: done.map(|done| say(done)),
            works: bank.what == What::Works,
            name: name.within().to_owned(),
            title,
        }
    }
}

fn ends_reason(words: &'static Words, on: Option<Timestamp>, why: ExpiryReason) -> &'static String {
    let text = &words.repair;
    match why {
        ExpiryReason::ConsentEnds if on.is_some() => &text.consent_ends_on,
        ExpiryReason::ConsentEnds => &text.consent_ends_soon,
        ExpiryReason::BankMoves if on.is_some() => &text.bank_moves_on,
        ExpiryReason::BankMoves => &text.bank_moves_soon,
        ExpiryReason::Unsaid if on.is_some() => &text.unsaid_ends_on,
        ExpiryReason::Unsaid => &text.unsaid_ends_soon,
    }
}

fn works(view: &View<'_>, words: &'static Words, banks: &[Option<String>]) -> Page {
    let names: Vec<String> = banks.iter().map(|name| BankName::new(name.as_deref(), words).alone()).collect();
    let text = &words.works;
    match names.as_slice() {
        [] | [_] => {
            let notice = Notice::new(&text.one_heading, &[&text.text, &text.next]).good().leads_to_app();
            notice.render(view, words, StatusCode::OK, banks.first().and_then(|name| name.as_deref()))
        }
        [_, _, ..] => {
            let mut notice = Notice::new(&text.many_heading, &[&text.many_text, &text.next]).leads_to_app();
            notice.list = names;
            notice.render(view, words, StatusCode::OK, None)
        }
    }
}

fn trouble(view: &View<'_>, words: &'static Words, what: &Trouble, path: &str) -> Page {
    let text = &words.trouble;
    let (paragraphs, bank, status) = match what {
        Trouble::Plaid => ([&*text.plaid, &*text.later], None, StatusCode::SERVICE_UNAVAILABLE),
        Trouble::Bank { name } => ([&*text.bank, &*text.later], name.as_deref(), StatusCode::SERVICE_UNAVAILABLE),
        Trouble::Ours { name } => ([&*text.ours, &*text.write], name.as_deref(), StatusCode::SERVICE_UNAVAILABLE),
        Trouble::Busy => ([&*text.busy, &*text.soon], None, StatusCode::TOO_MANY_REQUESTS),
    };
    let mut notice = Notice::new(&text.heading, &paragraphs);
    let support = &view.brand.support_email;
    notice.link = Some(match what {
        Trouble::Ours { .. } => (format!("mailto:{support}"), support),
        Trouble::Plaid | Trouble::Bank { .. } | Trouble::Busy => (path.to_owned(), &text.again),
    });
    notice.render(view, words, status, bank)
}

/// A page that says something, with at most one thing to do. Its texts still have their places in braces.
struct Notice<'a> {
    heading: &'a str,
    paragraphs: Vec<&'a str>,
    good: bool,
    list: Vec<String>,
    form: Option<Form<'a>>,
    link: Option<(String, &'a str)>,
    /// Where there is more to choose, for whoever looks for it.
    more: Option<(&'a str, &'a str)>,
    to_app: bool,
}

struct Form<'a> {
    action: &'a str,
    label: &'a str,
    /// What it says beside being pressed.
    field: Option<(&'a str, &'a str)>,
    /// Whether it is offered and not asked for.
    second: bool,
}

impl<'a> Notice<'a> {
    fn new(heading: &'a str, paragraphs: &[&'a str]) -> Self {
        Self {
            heading,
            paragraphs: paragraphs.to_vec(),
            good: false,
            list: Vec::new(),
            form: None,
            link: None,
            more: None,
            to_app: false,
        }
    }

    fn good(mut self) -> Self {
        self.good = true;
        self
    }

    fn leads_to_app(mut self) -> Self {
        self.to_app = true;
        self
    }

    fn render(self, view: &View<'_>, words: &'static Words, status: StatusCode, bank: Option<&str>) -> Page {
        let bank = BankName::new(bank, words);
        let say = |text: &str| bank.fill(text, &[("brand", &view.brand.name)]);
        let link = if self.to_app { Some((view.brand.url.to_string(), &*words.frame.open_app)) } else { self.link };
        let own = context! {
            title => say(self.heading),
            paragraphs => self.paragraphs.into_iter().map(say).collect::<Vec<_>>(),
            good => self.good,
            list => self.list,
            form => self.form.map(|form| context! {
                action => form.action, label => say(form.label), field => form.field, second => form.second,
            }),
            link => link.map(|(url, label)| context! { url, label => say(label) }),
            more => self.more.map(|(url, label)| context! { url, label => say(label) }),
        };
        Page::new(view, words, status, None, template::render("notice.html", &own, view, words))
    }
}

#[cfg(test)]
mod tests;
