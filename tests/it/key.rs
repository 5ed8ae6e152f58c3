//! Plaid's keys for webhooks: what is taken for one, and that it survives a restart.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use relinkd::demo::signer::Signer;
use relinkd::plaid::signature::{Key, KeyError};
use serde_json::{Value, json};

const KID: &str = "6c5516e1-92dc-479e-a8ff-5a51992e0001";
const IAT: i64 = 1_795_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn a_key_is_checked_when_it_is_loaded() {
    let signer = Signer::new(KID);
    let good = signer.jwk(IAT, None);
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk.to_string()
    };
    let without = |name: &str| {
        let mut jwk = good.clone();
        jwk.as_object_mut().expect("an object").remove(name);
        jwk.to_string()
    };
    let text = good.to_string();
    let table = [
        ("no JSON", "{".to_owned(), KeyError::NotAnObject),
        ("a list", format!("[{text}]"), KeyError::NotAnObject),
        ("x twice", text.replacen('{', r#"{"x":"AA","#, 1), KeyError::Duplicate),
        ("another kid", with("kid", json!("other")), KeyError::OtherKid),
        ("no kid", without("kid"), KeyError::OtherKid),
        ("an RSA key", with("kty", json!("RSA")), KeyError::Type),
        ("a symmetric key", with("kty", json!("oct")), KeyError::Type),
        ("P-384", with("crv", json!("P-384")), KeyError::Curve),
        ("no curve", without("crv"), KeyError::Curve),
        ("for encryption", with("use", json!("enc")), KeyError::Use),
        ("no use", without("use"), KeyError::Use),
        ("ES384", with("alg", json!("ES384")), KeyError::Algorithm),
        ("no algorithm", without("alg"), KeyError::Algorithm),
        ("x of 31 bytes", with("x", json!(b64([1; 31]))), KeyError::Coordinate),
        ("y of 33 bytes", with("y", json!(b64([1; 33]))), KeyError::Coordinate),
        ("x padded", with("x", json!(URL_SAFE.encode([1; 32]))), KeyError::Coordinate),
        ("no y", without("y"), KeyError::Coordinate),
        ("a point beside the curve", with("x", json!(b64([1; 32]))), KeyError::Point),
        ("created in words", with("created_at", json!("today")), KeyError::Time),
        ("expired in a fraction", with("expired_at", json!(1.5)), KeyError::Time),
        ("expired beyond the calendar", with("expired_at", json!(i64::MAX)), KeyError::Time),
    ];
    for (name, json, expected) in table {
        assert_eq!(Key::parse(&json, KID).map(|_| ()), Err(expected), "{name}");
    }
}

#[test]
fn a_key_can_be_given_back_and_parsed_again() {
    let signer = Signer::new(KID);
    let json = signer.jwk(IAT, Some(IAT + 7)).to_string();
    let key = Key::parse(&json, KID).expect("a good key");
    assert_eq!(key.json(), json);
    let again = Key::parse(key.json(), KID).expect("still good");
    assert_eq!((again.kid(), again.created_at().map(Timestamp::as_second)), (KID, Some(IAT)));
    assert_eq!(again.expired_at().map(Timestamp::as_second), Some(IAT + 7));
    let bare = json!({ "alg": "ES256", "crv": "P-256", "kid": KID, "kty": "EC", "use": "sig",
        "x": signer.jwk(0, None)["x"], "y": signer.jwk(0, None)["y"], "new": true });
    assert_eq!(Key::parse(&bare.to_string(), KID).expect("times are optional").created_at(), None);
}
