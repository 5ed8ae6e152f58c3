//! Hostile signatures, each with the refusal that it must meet, and right ones at the edges of every limit.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use relinkd::demo::signer::{Signer, sha256_hex};
use relinkd::plaid::signature::{Age, Key, Refusal, TOKEN_BYTES_MAX, Verified, peek, verify};
use serde_json::{Value, json};

pub const KID: &str = "6c5516e1-92dc-479e-a8ff-5a51992e0001";
const IAT: i64 = 1_795_000_000;
pub const BODY: &[u8] = b"{\n  \"webhook_type\": \"ITEM\",\n  \"webhook_code\": \"ERROR\"\n}";
const HEADER: &str = r#"{"alg":"ES256","kid":"6c5516e1-92dc-479e-a8ff-5a51992e0001","typ":"JWT"}"#;

fn now() -> Timestamp {
    Timestamp::from_second(IAT).expect("a time")
}

fn key_of(signer: &Signer, expired_at: Option<i64>) -> Key {
    Key::parse(&signer.jwk(IAT - 1_000, expired_at).to_string(), signer.kid()).expect("a good key")
}

/// What a receiver does: the cheap refusals, then the key, then the rest.
fn receive(token: &str, key: &Key, body: &[u8]) -> Result<Verified, Refusal> {
    verify(&peek(token)?, key, body, now())
}

fn claims() -> String {
    claims_of(&json!(IAT), &json!(sha256_hex(BODY)))
}

fn claims_of(iat: &Value, hash: &Value) -> String {
    json!({ "iat": iat, "request_body_sha256": hash }).to_string()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of these three parts, the last being right for the first two as they are.
fn signed_parts(signer: &Signer, header: &str, payload: &str) -> String {
    let signed = format!("{header}.{payload}");
    format!("{signed}.{}", b64(signer.sign_bytes(signed.as_bytes())))
}

/// A right token whose signature is another one.
fn with_signature(signer: &Signer, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", b64(HEADER), b64(claims()));
    let signature = change(signer.sign_bytes(signed.as_bytes()));
    format!("{signed}.{}", b64(signature))
}

pub type Cases = Vec<(&'static str, Refusal, String)>;

/// Every hostile token for [`BODY`], with the refusal that it must meet.
pub fn hostile(signer: &Signer) -> Cases {
    [shapes(signer), headers(signer), algorithms(signer), kids(signer), signatures(signer), payloads(signer)].concat()
}

fn shapes(signer: &Signer) -> Cases {
    let good = signer.sign(BODY, IAT);
    let three: Vec<&str> = good.split('.').collect();
    let long = signer.sign_raw(&format!(r#"{{"alg":"ES256","kid":"{KID}","pad":"{}"}}"#, "p".repeat(1_600)), &claims());
    assert!(long.len() > TOKEN_BYTES_MAX, "the long token is long");
    vec![
        ("nothing", Refusal::Parts, String::new()),
        ("one part", Refusal::Parts, three[0].to_owned()),
        ("two parts", Refusal::Parts, format!("{}.{}", three[0], three[1])),
        ("four parts", Refusal::Parts, format!("{good}.{}", three[2])),
        ("four parts, the fourth empty", Refusal::Parts, format!("{good}.")),
        ("five parts, as of an encrypted token", Refusal::Parts, format!("{good}.{}.{}", three[1], three[2])),
        ("two headers joined by a comma", Refusal::Parts, format!("{good}, {good}")),
        ("a kilobyte too long", Refusal::TooLong, long),
        ("a megabyte of dots", Refusal::TooLong, ".".repeat(1 << 20)),
        ("only two dots", Refusal::HeaderJson, "..".to_owned()),
        ("a space before", Refusal::HeaderEncoding, format!(" {good}")),
        ("a scheme before", Refusal::HeaderEncoding, format!("Bearer {good}")),
        ("a newline behind", Refusal::SignatureEncoding, format!("{good}\n")),
        ("a letter beyond ASCII", Refusal::HeaderEncoding, format!("é{good}")),
        ("a NUL in the payload", Refusal::PayloadEncoding, format!("{}.\0{}.{}", three[0], three[1], three[2])),
        ("no payload", Refusal::PayloadEmpty, signed_parts(signer, three[0], "")),
        ("a padded payload", Refusal::PayloadEncoding, {
            let payload = URL_SAFE.encode(uneven(&claims()));
            assert!(payload.ends_with('='), "the payload is padded");
            signed_parts(signer, three[0], &payload)
        }),
        ("a payload with stray bits at its end", Refusal::PayloadEncoding, {
            signed_parts(signer, three[0], &stray_bits(&b64(uneven(&claims()))))
        }),
    ]
}

/// The same JSON at a length that base64 pads.
fn uneven(json: &str) -> String {
    let spaces = if json.len().is_multiple_of(3) { " " } else { "" };
    format!("{json}{spaces}")
}

/// The same bytes in another spelling: bits that the last letter carries and nobody reads.
fn stray_bits(encoded: &str) -> String {
    assert_ne!(encoded.len() % 4, 0, "the last letter has spare bits");
    let (rest, last) = encoded.split_at(encoded.len() - 1);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.iter().position(|letter| *letter == last.as_bytes()[0]).expect("base64url");
    format!("{rest}{}", char::from(alphabet[at + 1]))
}

fn headers(signer: &Signer) -> Cases {
    let raw = |header: &str| signer.sign_raw(header, &claims());
    let bytes = |header: &[u8]| signed_parts(signer, &b64(header), &b64(claims()));
    let with = |more: &str| raw(&format!(r#"{{"alg":"ES256","kid":"{KID}",{more}}}"#));
    let spaced = uneven(HEADER);
    vec![
        ("an empty header", Refusal::HeaderJson, raw("")),
        ("a header that is no JSON", Refusal::HeaderJson, raw("alg=ES256")),
        ("a header that is an array", Refusal::HeaderJson, raw(r#"["ES256"]"#)),
        ("a header that is a string", Refusal::HeaderJson, raw(r#""ES256""#)),
        ("a header that is null", Refusal::HeaderJson, raw("null")),
        ("two headers in a row", Refusal::HeaderJson, raw(&format!("{HEADER}{HEADER}"))),
        ("a header cut off", Refusal::HeaderJson, raw(&HEADER[..HEADER.len() - 1])),
        ("a header that is no UTF-8", Refusal::HeaderJson, bytes(b"{\"alg\":\"ES256\",\"kid\":\"k\",\"x\":\"\xff\"}")),
        ("a header behind a byte order mark", Refusal::HeaderJson, raw(&format!("\u{feff}{HEADER}"))),
        ("a padded header", Refusal::HeaderEncoding, {
            let header = URL_SAFE.encode(&spaced);
            assert!(header.ends_with('='), "the header is padded");
            signed_parts(signer, &header, &b64(claims()))
        }),
        ("a header with stray bits at its end", Refusal::HeaderEncoding, {
            signed_parts(signer, &stray_bits(&b64(&spaced)), &b64(claims()))
        }),
        ("a header in the other base64", Refusal::HeaderEncoding, {
            let header = STANDARD.encode(format!(r#"{{"alg":"ES256","kid":"{KID}","x":"???>>>~~~"}}"#));
            assert!(header.contains(['+', '/']), "the alphabets differ here");
            signed_parts(signer, header.trim_end_matches('='), &b64(claims()))
        }),
        ("alg twice", Refusal::HeaderDuplicate, with(r#""alg":"none""#)),
        ("alg twice, the same", Refusal::HeaderDuplicate, with(r#""alg":"ES256""#)),
        ("alg twice, once in escapes", Refusal::HeaderDuplicate, with(r#""\u0061lg":"ES256""#)),
        ("kid twice", Refusal::HeaderDuplicate, with(r#""kid":"other""#)),
        ("an unknown member twice", Refusal::HeaderDuplicate, with(r#""a":1,"a":2"#)),
        ("crit", Refusal::Critical, with(r#""crit":["exp"],"exp":1"#)),
        ("an empty crit", Refusal::Critical, with(r#""crit":[]"#)),
        ("crit null", Refusal::Critical, with(r#""crit":null"#)),
        ("an unencoded payload (RFC 7797)", Refusal::Critical, with(r#""crit":["b64"],"b64":false"#)),
        ("jku", Refusal::ForeignKey, with(r#""jku":"https://keys.example/jwks""#)),
        ("jwk", Refusal::ForeignKey, with(&format!(r#""jwk":{}"#, signer.jwk(0, None)))),
        ("jwk null", Refusal::ForeignKey, with(r#""jwk":null"#)),
        ("x5u", Refusal::ForeignKey, with(r#""x5u":"https://keys.example/chain""#)),
        ("x5c", Refusal::ForeignKey, with(r#""x5c":["MIIB"]"#)),
    ]
}

fn algorithms(signer: &Signer) -> Cases {
    let alg = |alg: &str| signer.sign_raw(&format!(r#"{{"alg":{alg},"kid":"{KID}"}}"#), &claims());
    let unsigned = format!("{}.{}.", b64(format!(r#"{{"alg":"none","kid":"{KID}"}}"#)), b64(claims()));
    vec![
        ("no alg", Refusal::Algorithm, signer.sign_raw(&format!(r#"{{"kid":"{KID}"}}"#), &claims())),
        ("alg none, unsigned", Refusal::Algorithm, unsigned),
        ("alg none, signed", Refusal::Algorithm, alg(r#""none""#)),
        ("alg None", Refusal::Algorithm, alg(r#""None""#)),
        ("alg HS256 with the public key as the secret", Refusal::Algorithm, with_public_key_as_secret(signer)),
        ("alg RS256", Refusal::Algorithm, alg(r#""RS256""#)),
        ("alg PS256", Refusal::Algorithm, alg(r#""PS256""#)),
        ("alg ES384", Refusal::Algorithm, alg(r#""ES384""#)),
        ("alg ES512", Refusal::Algorithm, alg(r#""ES512""#)),
        ("alg EdDSA", Refusal::Algorithm, alg(r#""EdDSA""#)),
        ("alg in lower case", Refusal::Algorithm, alg(r#""es256""#)),
        ("alg with a space", Refusal::Algorithm, alg(r#""ES256 ""#)),
        ("alg ES256K", Refusal::Algorithm, alg(r#""ES256K""#)),
        ("alg a number", Refusal::Algorithm, alg("256")),
        ("alg null", Refusal::Algorithm, alg("null")),
        ("alg a list", Refusal::Algorithm, alg(r#"["ES256"]"#)),
    ]
}

fn with_public_key_as_secret(signer: &Signer) -> String {
    let jwk = signer.jwk(0, None);
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("text")).expect("base64url");
    let secret = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signed = format!("{}.{}", b64(format!(r#"{{"alg":"HS256","kid":"{KID}"}}"#)), b64(claims()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}

fn kids(signer: &Signer) -> Cases {
    let kid = |kid: &str| signer.sign_raw(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#), &claims());
    vec![
        ("no kid", Refusal::KidMissing, signer.sign_raw(r#"{"alg":"ES256"}"#, &claims())),
        ("kid a number", Refusal::KidMissing, kid("1")),
        ("kid null", Refusal::KidMissing, kid("null")),
        ("kid a list", Refusal::KidMissing, kid(&format!(r#"["{KID}"]"#))),
        ("an empty kid", Refusal::KidEmpty, kid(r#""""#)),
        ("a kid of 129 bytes", Refusal::KidTooLong, kid(&format!(r#""{}""#, "k".repeat(129)))),
        ("a kid with a space", Refusal::KidCharacter, kid(r#""a b""#)),
        ("a kid with a line break", Refusal::KidCharacter, kid(r#""a\nb""#)),
        ("a kid with a NUL", Refusal::KidCharacter, kid(r#""a\u0000b""#)),
        ("a kid beyond ASCII", Refusal::KidCharacter, kid(r#""ключ""#)),
        ("the kid of another key", Refusal::WrongKey, kid(r#""another""#)),
        ("the kid in another case", Refusal::WrongKey, kid(&format!(r#""{}""#, KID.to_uppercase()))),
    ]
}

fn signatures(signer: &Signer) -> Cases {
    let with = |change: fn(Vec<u8>) -> Vec<u8>| with_signature(signer, change);
    let good = signer.sign(BODY, IAT);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (jose, _) = signed.split_once('.').expect("three parts");
    let over = |message: &str| format!("{signed}.{}", b64(signer.sign_bytes(message.as_bytes())));
    vec![
        ("no signature", Refusal::SignatureLength, format!("{signed}.")),
        ("63 bytes of signature", Refusal::SignatureLength, with(|s| s[..63].to_vec())),
        ("65 bytes of signature", Refusal::SignatureLength, with(|s| [s, vec![0]].concat())),
        ("the signature twice", Refusal::SignatureLength, with(|s| [s.clone(), s].concat())),
        ("the signature in DER", Refusal::SignatureLength, with(|s| der(&s))),
        ("a padded signature", Refusal::SignatureEncoding, format!("{signed}.{signature}==")),
        ("a signature with stray bits", Refusal::SignatureEncoding, format!("{signed}.{}", stray_bits(signature))),
        ("a signature in hex", Refusal::SignatureLength, with(|s| sha256_hex(&s).into_bytes()[..63].to_vec())),
        ("a signature of zeros", Refusal::Forged, with(|_| vec![0; 64])),
        ("a signature of ones", Refusal::Forged, with(|_| vec![0xff; 64])),
        ("r is zero", Refusal::Forged, with(|s| [vec![0; 32], s[32..].to_vec()].concat())),
        ("s is zero", Refusal::Forged, with(|s| [s[..32].to_vec(), vec![0; 32]].concat())),
        ("r and s swapped", Refusal::Forged, with(|s| [s[32..].to_vec(), s[..32].to_vec()].concat())),
        ("the first bit flipped", Refusal::Forged, with(|s| [vec![s[0] ^ 0x80], s[1..].to_vec()].concat())),
        ("the last bit flipped", Refusal::Forged, with(|s| [s[..63].to_vec(), vec![s[63] ^ 1]].concat())),
        ("signed over the payload only", Refusal::Forged, over(&b64(claims()))),
        ("signed over the decoded texts", Refusal::Forged, over(&format!("{HEADER}.{}", claims()))),
        ("signed by another key of that name", Refusal::Forged, Signer::new(KID).sign(BODY, IAT)),
        ("the signature of another token", Refusal::Forged, {
            let other = signer.sign(BODY, IAT - 1);
            format!("{signed}.{}", other.rsplit_once('.').expect("three parts").1)
        }),
        ("a payload put under an old signature", Refusal::Forged, {
            format!("{jose}.{}.{signature}", b64(claims_of(&json!(IAT + 1), &json!(sha256_hex(BODY)))))
        }),
        ("a header put over an old signature", Refusal::Forged, {
            let header = b64(format!(r#"{{"alg":"ES256","kid":"{KID}"}}"#));
            format!("{header}.{}.{signature}", b64(claims()))
        }),
    ]
}

/// ASN.1 as OpenSSL writes it: a sequence of two integers.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| [vec![2, 33, 0], bytes.to_vec()].concat();
    let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [vec![0x30, u8::try_from(both.len()).expect("short")], both].concat()
}

fn payloads(signer: &Signer) -> Cases {
    let hash = sha256_hex(BODY);
    let payload = |text: &str| signer.sign_raw(HEADER, text);
    let bytes = |payload: &[u8]| signed_parts(signer, &b64(HEADER), &b64(payload));
    let iat = |raw: &str| payload(&format!(r#"{{"iat":{raw},"request_body_sha256":"{hash}"}}"#));
    let sha = |raw: &str| payload(&format!(r#"{{"iat":{IAT},"request_body_sha256":{raw}}}"#));
    let doubled = |more: &str| payload(&format!(r#"{{"iat":{IAT},"request_body_sha256":"{hash}",{more}}}"#));
    vec![
        ("a payload that is no JSON", Refusal::PayloadJson, payload("iat=1")),
        ("a payload that is an array", Refusal::PayloadJson, payload("[]")),
        ("a payload that is a string", Refusal::PayloadJson, payload(r#""x""#)),
        ("two payloads in a row", Refusal::PayloadJson, payload(&format!("{}{}", claims(), claims()))),
        ("a payload that is no UTF-8", Refusal::PayloadJson, bytes(b"{\"a\":\"\xff\"}")),
        ("iat twice", Refusal::PayloadDuplicate, doubled(r#""iat":1"#)),
        ("the hash twice", Refusal::PayloadDuplicate, doubled(&format!(r#""request_body_sha256":"{hash}""#))),
        ("no iat", Refusal::IatMissing, payload(&json!({ "request_body_sha256": hash }).to_string())),
        ("iat in quotes", Refusal::IatNotInteger, iat(&format!(r#""{IAT}""#))),
        ("iat with a fraction", Refusal::IatNotInteger, iat(&format!("{IAT}.5"))),
        ("iat with a fraction of nothing", Refusal::IatNotInteger, iat(&format!("{IAT}.0"))),
        ("iat with an exponent", Refusal::IatNotInteger, iat("1795e6")),
        ("iat null", Refusal::IatNotInteger, iat("null")),
        ("iat true", Refusal::IatNotInteger, iat("true")),
        ("iat a list", Refusal::IatNotInteger, iat(&format!("[{IAT}]"))),
        ("iat of thirty digits", Refusal::IatNotInteger, iat("111111111111111111111111111111")),
        ("iat beyond the calendar", Refusal::IatOutOfRange, iat("9223372036854775807")),
        ("iat in milliseconds", Refusal::IatOutOfRange, iat(&format!("{IAT}000"))),
        ("no hash", Refusal::HashMissing, payload(&json!({ "iat": IAT }).to_string())),
        ("hash null", Refusal::HashMissing, sha("null")),
        ("hash a number", Refusal::HashMissing, sha("7")),
        ("hash a list", Refusal::HashMissing, sha(&format!(r#"["{hash}"]"#))),
        ("an empty hash", Refusal::HashForm, sha(r#""""#)),
        ("a hash of 63 digits", Refusal::HashForm, sha(&format!(r#""{}""#, &hash[..63]))),
        ("a hash of 62 digits", Refusal::HashForm, sha(&format!(r#""{}""#, &hash[..62]))),
        ("a hash of 66 digits", Refusal::HashForm, sha(&format!(r#""{hash}00""#))),
        ("a hash with a letter too far", Refusal::HashForm, sha(&format!(r#""{}g""#, &hash[..63]))),
        ("a hash with a sign", Refusal::HashForm, sha(&format!(r#""{}+f""#, &hash[..62]))),
        ("a hash in base64", Refusal::HashForm, sha(r#""47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU""#)),
        ("the hash of nothing", Refusal::BodyChanged, sha(&format!(r#""{}""#, sha256_hex(b"")))),
        ("the hash of the hash", Refusal::BodyChanged, sha(&format!(r#""{}""#, sha256_hex(hash.as_bytes())))),
    ]
}

#[test]
fn every_hostile_token_meets_its_refusal() {
    let signer = Signer::new(KID);
    let key = key_of(&signer, None);
    let table = hostile(&signer);
    assert!(table.len() >= 60, "only {} kinds", table.len());
    for (name, expected, token) in &table {
        assert_eq!(receive(token, &key, BODY), Err(*expected), "{name}");
    }
}

#[test]
fn a_changed_body_is_refused_whatever_the_change() {
    let signer = Signer::new(KID);
    let key = key_of(&signer, None);
    let token = signer.sign(BODY, IAT);
    let four_spaces = String::from_utf8(BODY.to_vec()).expect("text").replace("  ", "    ");
    let compact = serde_json::from_slice::<Value>(BODY).expect("JSON").to_string();
    let changed: [(&str, Vec<u8>); 7] = [
        ("no body", Vec::new()),
        ("a space behind", [BODY, b" "].concat()),
        ("a newline behind", [BODY, b"\n"].concat()),
        ("cut by a byte", BODY[..BODY.len() - 1].to_vec()),
        ("indented by four", four_spaces.into_bytes()),
        ("written again", compact.into_bytes()),
        ("another case", BODY.to_ascii_lowercase()),
    ];
    for (name, body) in changed {
        assert_eq!(receive(&token, &key, &body), Err(Refusal::BodyChanged), "{name}");
    }
}

#[test]
fn a_key_is_good_for_what_was_signed_before_it_expired() {
    let signer = Signer::new(KID);
    let token = signer.sign(BODY, IAT);
    for (expired_at, good) in [(IAT - 1, false), (IAT, false), (IAT + 1, true)] {
        let key = key_of(&signer, Some(expired_at));
        let answer = receive(&token, &key, BODY).map(|_| ()).map_err(|refusal| refusal.name());
        assert_eq!(answer, if good { Ok(()) } else { Err("key_expired") }, "{}", expired_at - IAT);
    }
}

#[test]
fn a_right_signature_has_an_age_and_is_never_refused_for_it() {
    let signer = Signer::new(KID);
    let key = key_of(&signer, None);
    let table = [
        (0, Age::Fresh),
        (-300, Age::Fresh),
        (-301, Age::Late),
        (60, Age::Fresh),
        (61, Age::Early),
        (-86_400 * 365, Age::Late),
        (-IAT - 1, Age::Late),
        (86_400 * 365, Age::Early),
    ];
    for (offset, expected) in table {
        let verified = receive(&signer.sign(BODY, IAT + offset), &key, BODY).expect("Plaid's");
        assert_eq!(verified.age, expected, "{offset}");
        assert_eq!(verified.iat.as_second(), IAT + offset);
    }
}

#[test]
fn the_age_counts_parts_of_a_second() {
    let signer = Signer::new(KID);
    let key = key_of(&signer, None);
    let token = signer.sign(BODY, IAT);
    let token = peek(&token).expect("looks right");
    let at = |millis| verify(&token, &key, BODY, now() + SignedDuration::from_millis(millis)).expect("Plaid's").age;
    assert_eq!(at(300_000), Age::Fresh);
    assert_eq!(at(300_001), Age::Late);
    assert_eq!(at(-60_000), Age::Fresh);
    assert_eq!(at(-60_001), Age::Early);
}

#[test]
fn what_plaid_may_change_without_notice_is_accepted() {
    let signer = Signer::new(KID);
    let key = key_of(&signer, None);
    let upper = claims_of(&json!(IAT), &json!(sha256_hex(BODY).to_uppercase()));
    let more = json!({ "iat": IAT, "request_body_sha256": sha256_hex(BODY), "jti": "1", "aud": ["x"] }).to_string();
    let other_header = json!({ "kid": KID, "alg": "ES256", "typ": "webhook+jwt", "new": { "a": [1, 2] } }).to_string();
    let escaped = HEADER.replace("ES256", r"ES\u003256");
    for (name, header, payload) in [
        ("the hash in capitals", HEADER, upper.as_str()),
        ("more claims", HEADER, more.as_str()),
        ("another order, type and member of the header", other_header.as_str(), claims().as_str()),
        ("white space", &format!(" \n{HEADER}\t"), claims().as_str()),
        ("escapes", escaped.as_str(), claims().as_str()),
    ] {
        assert!(receive(&signer.sign_raw(header, payload), &key, BODY).is_ok(), "{name}");
    }
    let empty = receive(&signer.sign(b"", IAT), &key, b"").expect("an empty body can be signed");
    assert_eq!(sha256_hex(b""), empty.body_sha256.map(|byte| format!("{byte:02x}")).concat());
}

#[test]
fn the_limits_themselves_are_allowed() {
    let kid = "k".repeat(128);
    let signer = Signer::new(&kid);
    let token = signer.sign(BODY, IAT);
    assert_eq!(peek(&token).expect("looks right").kid(), kid);
    let padded =
        |n: usize| signer.sign_raw(&format!(r#"{{"alg":"ES256","kid":"{kid}","pad":"{}"}}"#, "p".repeat(n)), &claims());
    let longest = (0..2_000).map(padded).take_while(|token| token.len() <= TOKEN_BYTES_MAX).last().expect("some fit");
    assert!(longest.len() >= TOKEN_BYTES_MAX - 2, "{}", longest.len());
    assert!(peek(&longest).is_ok());
}

#[test]
fn nothing_of_a_token_is_in_a_refusal_or_in_debug_output() {
    let mut names: Vec<&str> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Refusal::ALL.len(), "each refusal has a name of its own");
    let signer = Signer::new(KID);
    let token = signer.sign(BODY, IAT);
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let debug = format!("{:?}", peek(&token));
    assert!(debug.contains(KID), "{debug}");
    assert!(!debug.contains(signed) && !debug.contains(signature), "{debug}");
}

proptest! {
    #[test]
    fn no_header_value_panics(header in ".{0,300}", body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let signer = Signer::new(KID);
        prop_assert!(receive(&header, &key_of(&signer, None), &body).is_err());
    }

    #[test]
    fn no_signed_header_or_payload_panics(
        header in prop_oneof![Just(HEADER.to_owned()), r#"\{("alg":"ES256"|"kid":"[ -~]{0,9}"|,|"[a-z]{1,3}":[0-9a-z\[\]{}]{0,5}){0,6}\}"#],
        payload in prop_oneof![".{0,80}", r#"\{("iat":[0-9eE.+-]{0,25}|,|"request_body_sha256":"[0-9a-fA-F]{60,66}"){0,5}\}"#],
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let signer = Signer::new(KID);
        prop_assert!(receive(&signer.sign_raw(&header, &payload), &key_of(&signer, None), &body).is_err());
    }

    #[test]
    fn no_change_of_one_byte_survives(at in 0usize..10_000, to in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 1..200)) {
        let signer = Signer::new(KID);
        let token = signer.sign(&body, IAT);
        let key = key_of(&signer, None);
        let mut changed = body.clone();
        changed[at % body.len()] = to;
        prop_assert_eq!(receive(&token, &key, &changed).is_ok(), changed == body);
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = to & 0x7f;
        let other = String::from_utf8(bytes).expect("ASCII");
        prop_assert_eq!(receive(&other, &key, &body).is_ok(), other == token);
    }
}
