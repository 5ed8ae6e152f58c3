//! Requests as the services make them, and as somebody else might.

use serde_json::{Value, json};

use super::*;

const ID: &str = "0198c0de-0000-7000-8000-000000000007";

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn read_with(service: Service, key: &str, headers: &[(&str, &str)], body: &[u8], now: Timestamp) -> Option<Proven> {
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    read(service, &secret(key), &Request { header: &header, body }, now)
}

fn told(proven: Option<Proven>) -> MailEvent {
    match proven {
        Some(Proven::Told(event)) => event,
        other => panic!("{other:?}"),
    }
}

mod postmark {
    use super::*;

    fn ask(authorization: &str, body: &Value) -> Option<Proven> {
        let headers = [("authorization", authorization)];
        read_with(Service::Postmark, "hook:s3cret", &headers, body.to_string().as_bytes(), at(0))
    }

    fn bounce(kind: &str) -> Value {
        json!({ "RecordType": "Bounce", "ID": 42, "Type": kind, "TypeCode": 1, "Email": "User-1@example.com",
                "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
                "Details": "smtp;550 5.1.1 The email account user-1@example.com does not exist", "Inactive": true })
    }

    /// `hook:s3cret` in base64.
    const RIGHT: &str = "Basic aG9vazpzM2NyZXQ=";

    #[test]
    fn bounces_and_complaints() {
        let event = told(ask(RIGHT, &bounce("HardBounce")));
        assert_eq!((event.id.as_deref(), event.fate), (Some("Bounce/42"), Fate::Gone));
        assert_eq!(event.address, EmailAddress::parse("User-1@example.com").ok());
        assert!(!event.note.as_deref().unwrap_or_default().contains("user-1@"), "{:?}", event.note);
        assert_eq!(told(ask(RIGHT, &bounce("SoftBounce"))).fate, Fate::Delayed);
        assert_eq!(told(ask(RIGHT, &bounce("DMARCPolicy"))).fate, Fate::Failed(Never::Sender));
        assert_eq!(ask(RIGHT, &bounce("AutoResponder")), Some(Proven::Nothing));
        let complaint = json!({ "RecordType": "SpamComplaint", "ID": 43, "Email": "user-1@example.com" });
        assert_eq!(told(ask(RIGHT, &complaint)).fate, Fate::Complaint);
        assert_eq!(ask(RIGHT, &json!({ "RecordType": "Open" })), Some(Proven::Nothing));
    }

    #[test]
    fn who_has_no_letters_by_postmarks_own_list() {
        let change = |origin: &str, reason: &str, off: bool| {
            json!({ "RecordType": "SubscriptionChange", "MessageID": null, "ChangedAt": "2026-11-01T10:53:34Z",
                    "Recipient": "user-1@example.com", "Origin": origin, "SuppressSending": off,
                    "SuppressionReason": reason })
        };
        let event = told(ask(RIGHT, &change("Recipient", "ManualSuppression", true)));
        assert_eq!((event.fate, event.id), (Fate::Complaint, None));
        assert_eq!(event.address, EmailAddress::parse("user-1@example.com").ok());
        assert_eq!(told(ask(RIGHT, &change("Customer", "ManualSuppression", true))).fate, Fate::Barred);
        assert_eq!(told(ask(RIGHT, &bounce("Unsubscribe"))).fate, Fate::Complaint);
        assert_eq!(told(ask(RIGHT, &bounce("ManuallyDeactivated"))).fate, Fate::Barred);
        for told_otherwise in [change("Recipient", "HardBounce", true), change("Customer", "ManualSuppression", false)]
        {
            assert_eq!(ask(RIGHT, &told_otherwise), Some(Proven::Nothing));
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        for wrong in
            ["", "Basic", "Basic aG9vazpzM2NyZXR=", "Basic aG9vazpvdGhlcg==", "Bearer aG9vazpzM2NyZXQ=", "hook:s3cret"]
        {
            assert_eq!(ask(wrong, &bounce("HardBounce")), None, "{wrong}");
        }
        assert_eq!(read_with(Service::Postmark, "hook:s3cret", &[], b"{}", at(0)), None);
    }
}

mod mailgun {
    use super::*;

    const AT: i64 = 1_770_920_772;
    const TOKEN: &str = "e0b5477167110d68991efc6b9f89f0a11066af27834600e123";
    /// Made with another implementation of HMAC.
    const SIGNATURE: &str = "04a78474417644a6ba8a93a7123d6cc6c1da86a1c498fa73e5e4f060fc94cc33";

    fn body(event: &Value) -> Value {
        json!({ "signature": { "timestamp": AT.to_string(), "token": TOKEN, "signature": SIGNATURE }, "event-data": event })
    }

    fn failed(severity: &str, reason: &str, code: u16, message: &str) -> Value {
        json!({ "event": "failed", "severity": severity, "reason": reason, "recipient": "user-1@example.com",
                "delivery-status": { "code": code, "message": message, "description": "" },
                "message": { "headers": { "message-id": format!("{ID}@app.example"), "to": "user-1@example.com" } } })
    }

    fn ask(body: &Value, now: Timestamp) -> Option<Proven> {
        read_with(Service::Mailgun, "key-mailgun", &[], body.to_string().as_bytes(), now)
    }

    #[test]
    fn failures_and_complaints() {
        let fate = |event: &Value| told(ask(&body(event), at(AT))).fate;
        let event = told(ask(&body(&failed("permanent", "bounce", 550, "5.1.1 No such user")), at(AT)));
        assert_eq!((event.id.as_deref(), event.fate), (Some(TOKEN), Fate::Gone));
        assert_eq!(event.letter, letter_in(&format!("{ID}@app.example")));
        assert_eq!(event.address, EmailAddress::parse("user-1@example.com").ok());
        assert_eq!(fate(&failed("permanent", "suppress-bounce", 605, "")), Fate::Gone);
        assert_eq!(fate(&failed("permanent", "generic", 550, "5.7.1 spam")), Fate::Failed(Never::Policy));
        assert_eq!(fate(&failed("temporary", "generic", 451, "later")), Fate::Delayed);
        assert_eq!(fate(&json!({ "event": "complained", "recipient": "user-1@example.com" })), Fate::Complaint);
        assert_eq!(ask(&body(&json!({ "event": "delivered" })), at(AT)), Some(Proven::Nothing));
    }

    #[test]
    fn nobody_else_is_believed() {
        let event = failed("permanent", "bounce", 550, "5.1.1 No such user");
        let right = body(&event);
        assert!(ask(&right, at(AT + 11 * 3600)).is_some(), "Mailgun tries again for hours");
        assert_eq!(ask(&right, at(AT + 13 * 3600)), None, "too old");
        assert_eq!(ask(&right, at(AT - 600)), None, "from the future");
        for (key, value) in
            [("timestamp", "1770920773"), ("token", "x"), ("signature", ""), ("signature", &SIGNATURE[1..])]
        {
            let mut wrong = right.clone();
            wrong["signature"][key] = json!(value);
            assert_eq!(ask(&wrong, at(AT)), None, "{key} = {value}");
        }
        assert_eq!(ask(&json!({ "event-data": event }), at(AT)), None);
        assert_eq!(read_with(Service::Mailgun, "other", &[], right.to_string().as_bytes(), at(AT)), None);
    }
}

mod resend {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const AT: i64 = 1_614_265_330;

    fn signature(body: &[u8]) -> String {
        let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signed = [format!("msg_1.{AT}.").as_bytes(), body].concat();
        format!("v1,{}", BASE64.encode(hmac::sign(&hmac::Key::new(HMAC_SHA256, &key), &signed)))
    }

    fn ask(signatures: &str, body: &[u8], now: Timestamp) -> Option<Proven> {
        let seconds = AT.to_string();
        let headers = [("svix-id", "msg_1"), ("svix-timestamp", seconds.as_str()), ("svix-signature", signatures)];
        read_with(Service::Resend, KEY, &headers, body, now)
    }

    fn bounced(kind: &str, sub_type: &str) -> Vec<u8> {
        let body = json!({ "type": "email.bounced", "created_at": "2026-11-23T09:00:00.000Z", "data": {
            "email_id": "56761188-7520-42d8-8898-ff6fc54ce618", "to": ["User One <user-1@example.com>"],
            "message_id": format!("<{ID}@app.example>"),
            "bounce": { "type": kind, "subType": sub_type, "message": "550 no user-1@example.com" } } });
        body.to_string().into_bytes()
    }

    #[test]
    fn the_signature_is_that_of_svix() {
        // The example of Svix's documentation.
        let headers = [
            ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("svix-timestamp", "1614265330"),
            ("svix-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let proven = read_with(Service::Resend, KEY, &headers, br#"{"test": 2432232314}"#, at(AT));
        assert_eq!(proven, Some(Proven::Nothing));
    }

    #[test]
    fn bounces_and_complaints() {
        let fate = |body: &[u8]| told(ask(&signature(body), body, at(AT)));
        let event = fate(&bounced("Permanent", "General"));
        assert_eq!((event.id.as_deref(), event.fate), (Some("msg_1"), Fate::Gone));
        assert_eq!(event.letter, letter_in(&format!("{ID}@app.example")));
        assert_eq!(event.address, EmailAddress::parse("user-1@example.com").ok());
        assert_eq!(fate(&bounced("Transient", "MailboxFull")).fate, Fate::Delayed);
        assert_eq!(fate(&bounced("Permanent", "ContentRejected")).fate, Fate::Failed(Never::Other));
        let complaint = br#"{"type":"email.complained","data":{"to":["user-1@example.com"]}}"#;
        assert_eq!(fate(complaint).fate, Fate::Complaint);
    }

    #[test]
    fn nobody_else_is_believed() {
        let body = bounced("Permanent", "General");
        let right = signature(&body);
        assert!(ask(&format!("v1,AAAA {right} v2,x"), &body, at(AT + 299)).is_some(), "one of several");
        assert_eq!(ask(&right, &body, at(AT + 301)), None, "too old");
        assert_eq!(ask(&right, &body, at(AT - 301)), None, "from the future");
        assert_eq!(ask(&right, &[body.as_slice(), b" "].concat(), at(AT)), None, "another body");
        for wrong in ["", "v1,", "v1,AAAA", right.trim_start_matches("v1,"), &right.replace("v1,", "v2,")] {
            assert_eq!(ask(wrong, &body, at(AT)), None, "{wrong}");
        }
        assert_eq!(read_with(Service::Resend, KEY, &[("svix-id", "msg_1")], &body, at(AT)), None);
    }
}
