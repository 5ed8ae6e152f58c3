//! The sender's domain: does it say who may write in its name. Without that the letters land among the spam, or nowhere.
//!
//! SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489). relinkd does not sign; the mail server does. So a DKIM key can be
//! looked for only where its selector is told; without one it is still seen when a domain has no keys at all.

use super::dns::{Answer, DnsError, Resolver};
use super::finding::Finding;

const SPF: &str = "mail.spf";
const DKIM: &str = "mail.dkim";
const DMARC: &str = "mail.dmarc";

/// How many labels a domain has at least that can have a policy: no top-level domain has one.
const LABELS_MIN: usize = 2;

pub(super) async fn look(domain: &str, selector: Option<&str>, resolver: &Resolver) -> Vec<Finding> {
    let dkim_name = match selector {
        Some(selector) => format!("{selector}._domainkey.{domain}"),
        None => format!("_domainkey.{domain}"),
    };
    let (own, key, policy) = tokio::join!(resolver.texts(domain), resolver.texts(&dkim_name), policy(domain, resolver));
    if let (Err(error), Err(_), Err(_)) = (&own, &key, &policy) {
        let says = format!("not known: {error}. SPF, DKIM and DMARC of {domain} cannot be looked up from here");
        return vec![Finding::warn("mail.dns", says).next(format!("dig +short TXT {domain}"))];
    }
    vec![spf(domain, own), dkim(domain, selector, key), dmarc(domain, policy)]
}

/// The policy of a domain, or of the nearest one above it that has one.
async fn policy(domain: &str, resolver: &Resolver) -> Result<Vec<String>, DnsError> {
    let mut of = domain;
    loop {
        if let Answer::Texts(texts) = resolver.texts(&format!("_dmarc.{of}")).await? {
            let policies: Vec<String> = texts.into_iter().filter(|text| is_of_version(text, "v=DMARC1")).collect();
            if !policies.is_empty() {
                return Ok(policies);
            }
        }
        match of.split_once('.') {
            Some((_, above)) if above.split('.').count() >= LABELS_MIN => of = above,
            _ => return Ok(Vec::new()),
        }
    }
}

fn is_of_version(text: &str, version: &str) -> bool {
    let first = text.split([' ', ';']).next().unwrap_or_default();
    first.trim().eq_ignore_ascii_case(version)
}

fn unknown(check: &'static str, name: &str, error: &DnsError) -> Finding {
    Finding::warn(check, format!("not known: {error}")).next(format!("dig TXT {name}"))
}

fn spf(domain: &str, answer: Result<Answer, DnsError>) -> Finding {
    let texts = match answer {
        Ok(Answer::Texts(texts)) => texts,
        Ok(Answer::NoName) => {
            let says = format!("there is no domain {domain}, from which the letters come");
            return Finding::fail(SPF, says, "Write: from = \"NAME <ADDRESS>\" with an address of a domain of yours");
        }
        Err(error) => return unknown(SPF, domain, &error),
    };
    let records: Vec<&String> = texts.iter().filter(|text| is_of_version(text, "v=spf1")).collect();
    let publish =
        format!("Publish for {domain}: TXT \"v=spf1 include:YOUR-MAIL-PROVIDER ~all\", as your mail provider says");
    match records.as_slice() {
        [] => Finding::warn(SPF, format!("{domain} does not say which servers may write in its name")).next(publish),
        [record] if record.split(' ').any(|word| matches!(word, "+all" | "all")) => {
            Finding::warn(SPF, format!("{domain} lets every server write in its name: {record}")).next(publish)
        }
        [record] => Finding::pass(SPF, format!("{domain}: {record}")),
        [_, _, ..] => {
            let says = format!("{domain} has {} SPF records, and receivers then believe none", records.len());
            Finding::fail(SPF, says, format!("Make one TXT record of them: dig +short TXT {domain}"))
        }
    }
}

fn dkim(domain: &str, selector: Option<&str>, answer: Result<Answer, DnsError>) -> Finding {
    let Some(selector) = selector else {
        let again = "relinkd check --online --dkim-selector SELECTOR, the s= in a DKIM-Signature of your mail server";
        return match answer {
            Ok(Answer::Texts(_)) => Finding::pass(
                DKIM,
                format!("{domain} has keys for signatures, or may have; --dkim-selector looks for one"),
            ),
            Ok(Answer::NoName) => Finding::warn(
                DKIM,
                format!("{domain} seems to have no key for signatures: receivers distrust the letters"),
            )
            .next(again),
            Err(error) => unknown(DKIM, &format!("_domainkey.{domain}"), &error),
        };
    };
    let name = format!("{selector}._domainkey.{domain}");
    let publish = format!("Publish at {name} the TXT record that your mail provider gives you");
    match answer {
        Ok(Answer::Texts(texts)) => match texts.iter().find_map(|text| key_of(text)) {
            Some("") => Finding::fail(DKIM, format!("the key at {name} is revoked: p= is empty"), publish),
            Some(_) => Finding::pass(DKIM, format!("{name} has a key")),
            None => Finding::fail(DKIM, format!("there is no key at {name}"), publish),
        },
        Ok(Answer::NoName) => Finding::fail(DKIM, format!("there is no key at {name}"), publish),
        Err(error) => unknown(DKIM, &name, &error),
    }
}

/// The public key in a record, if it has one.
fn key_of(text: &str) -> Option<&str> {
    text.split(';').find_map(|tag| tag.trim().strip_prefix("p=")).map(str::trim)
}

fn dmarc(domain: &str, policies: Result<Vec<String>, DnsError>) -> Finding {
    let name = format!("_dmarc.{domain}");
    match policies.as_deref() {
        Ok([]) => Finding::warn(DMARC, format!("{domain} has no DMARC policy, which large receivers ask for"))
            .next(format!("Publish at {name}: TXT \"v=DMARC1; p=none; rua=mailto:YOU@{domain}\"")),
        Ok([policy]) => Finding::pass(DMARC, format!("{domain}: {policy}")),
        Ok(_) => Finding::fail(
            DMARC,
            format!("{domain} has several DMARC policies, and receivers then believe none"),
            format!("Make one TXT record of them: dig +short TXT {name}"),
        ),
        Err(error) => unknown(DMARC, &name, error),
    }
}
