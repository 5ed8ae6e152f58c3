//! Reports as mail servers write them.

use proptest::prelude::*;

use super::*;

const ID: &str = "0198c0de-0000-7000-8000-000000000007";

fn letter() -> LetterId {
    LetterId(Uuid::parse_str(ID).expect("an id"))
}

fn report(status: &str, returned: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example.com\r\nTo: hello@app.example\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\r\n\r\n\
         --b1\r\nContent-Type: text/plain\r\n\r\nI'm sorry to have to inform you ...\r\n\
         --b1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n{status}\r\n\
         --b1\r\n{returned}\r\n--b1--\r\n"
    )
}

fn headers() -> String {
    format!(
        "Content-Type: text/rfc822-headers\r\n\r\nReceived: from x\r\n by y\r\nSubject: x\r\nIn-Reply-To: <a@b.example>\r\n\
         Message-ID: <{ID}@app.example>\r\n"
    )
}

const GONE: &str = "Final-Recipient: rfc822; user-1@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
                    Diagnostic-Code: smtp; 550-5.1.1 <user-1@example.com>: The email account\r\n    550 5.1.1 does not exist";

#[test]
fn a_failed_delivery_names_its_letter_and_is_classed() {
    let found = read(report(GONE, &headers()).as_bytes(), None).expect("a report");
    assert_eq!((found.letter, found.fate), (Some(letter()), Fate::Gone));
    assert_eq!(found.note.as_deref(), Some("550 5.1.1 <[address]>: The email account 5.1.1 does not exist"));
}

#[test]
fn the_whole_letter_may_be_returned() {
    let whole = format!(
        "Content-Type: message/rfc822\r\n\r\nMessage-ID: <{ID}@app.example>\r\nFrom: hello@app.example\r\n\
         Content-Type: multipart/alternative; boundary=\"b2\"\r\n\r\n--b2\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b2--\r\n"
    );
    assert_eq!(read(report(GONE, &whole).as_bytes(), None).expect("a report").letter, Some(letter()));
}

#[test]
fn the_path_names_the_letter_where_nothing_is_returned() {
    let path = return_path("bounces@app.example", letter());
    assert_eq!(path, format!("bounces+{ID}@app.example"));
    let bare = report(GONE, "Content-Type: text/plain\r\n\r\nnothing\r\n");
    assert_eq!(read(bare.as_bytes(), Some(&path)).expect("a report").letter, Some(letter()));
    let to_path = bare.replace("hello@app.example", &format!("<{path}>"));
    assert_eq!(read(to_path.as_bytes(), None).expect("a report").letter, Some(letter()));
    assert_eq!(read(bare.as_bytes(), None).expect("a report").letter, None);
}

#[test]
fn a_report_from_a_pipe_has_a_line_and_heads_of_the_mail_servers() {
    let bare = report(GONE, "Content-Type: text/plain\r\n\r\nnothing\r\n").replace("\r\n", "\n");
    for head in ["Delivered-To", "X-Original-To", "Envelope-to"] {
        let piped = format!("From MAILER-DAEMON  Mon Nov 23 09:00:00 2026\n{head}: bounces+{ID}@app.example\n{bare}");
        let found = read(piped.as_bytes(), None).expect("a report");
        assert_eq!((found.letter, found.fate), (Some(letter()), Fate::Gone), "{head}");
    }
}

#[test]
fn what_is_said_decides_and_the_status_where_nothing_is() {
    let fate = |status: &str| read(report(status, &headers()).as_bytes(), None).map(|report| report.fate);
    assert_eq!(fate("Action: failed\r\nStatus: 5.1.1"), Some(Fate::Gone));
    assert_eq!(fate("Action: failed\r\nStatus: 5.2.2 (mailbox full)"), Some(Fate::Failed(Never::MailboxFull)));
    assert_eq!(fate("Action: failed\r\nStatus: 5.7.515"), Some(Fate::Failed(Never::Sender)));
    assert_eq!(fate("Action: failed\r\nStatus: 4.4.7"), Some(Fate::Failed(Never::Other)), "it gave up");
    assert_eq!(
        fate("Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: X-Postfix; unknown user: \"user-1\""),
        Some(Fate::Gone)
    );
    assert_eq!(
        fate("Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.7.1 blocked as spam"),
        Some(Fate::Failed(Never::Policy))
    );
    assert_eq!(fate("Action: delayed\r\nStatus: 4.2.2"), Some(Fate::Delayed));
    for success in ["delivered", "relayed", "expanded"] {
        assert_eq!(fate(&format!("Action: {success}\r\nStatus: 2.0.0")), None);
    }
    assert_eq!(fate("Status: 5.1.1"), None, "no action, no verdict");
}

#[test]
fn a_feedback_report_is_a_complaint() {
    let arf = |kind: &str| {
        report("", &headers()).replace("message/delivery-status", "message/feedback-report").replace(
            "Reporting-MTA: dns; mx.example.com\r\n",
            &format!("Feedback-Type: {kind}\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\n"),
        )
    };
    let found = read(arf("abuse").as_bytes(), None).expect("a report");
    assert_eq!((found.letter, found.fate), (Some(letter()), Fate::Complaint));
    assert_eq!(read(arf("not-spam").as_bytes(), None), None);
}

#[test]
fn what_is_no_report_says_nothing() {
    let answer = format!(
        "From: user-1@example.com\r\nTo: hello@app.example\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <{ID}@app.example>\r\n\
         Subject: Out of office\r\n\r\nI am away. Status: 5.1.1 Action: failed\r\n"
    );
    assert_eq!(read(answer.as_bytes(), None), None);
    assert_eq!(read(b"", None), None);
    // A report about an answer to our letter is not one about our letter.
    let about_answer = headers().replace("Message-ID", "References");
    assert_eq!(read(report(GONE, &about_answer).as_bytes(), None).expect("a report").letter, None);
}

#[test]
fn only_ids_as_we_write_them_name_a_letter() {
    assert_eq!(letter_in(&format!(" <{ID}@app.example>")), Some(letter()));
    assert_eq!(letter_in(&format!("bounces+{ID}@app.example")), Some(letter()));
    for other in ["", "<>", "@", "a@b", "0198c0de000070008000000000000007@app.example", "<{ID}>"] {
        assert_eq!(letter_in(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn no_report_panics(cut in 0usize..1200, noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let whole = report(GONE, &headers()).into_bytes();
        let mut raw = whole[..cut.min(whole.len())].to_vec();
        raw.extend_from_slice(&noise);
        if let Some(report) = read(&raw, None) {
            prop_assert!(report.note.is_none_or(|note| !note.contains("user-1@")));
        }
    }
}
