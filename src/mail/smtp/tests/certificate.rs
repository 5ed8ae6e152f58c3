//! A certificate for `localhost` that signs itself, valid from 2020 to 2119, and its key. Made for these tests and used
//! nowhere else.

use std::sync::Arc;

use base64::Engine as _;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{BASE64, Trust};

const CERTIFICATE: &str = "MIIBPTCB5aADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMF\
    owFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELpJDh9mAj6gwxzg+a16edQI7wDQH9Y5vf/i5L58amJE+\
    E9SQFmHgC1Z7kHG3LlqZhVLFHOUId2rAYbj9en3gbKMmMCQwFAYDVR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAw\
    IDRwAwRAIgS3nc19TYuvlsVZH++/xf4Zr0aNBxbit/fQc3RK5+KnECIB6rEBHcVDXFOCpS5F6WWj38f38/LlJLR1YdpjX0CM5h";

const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8i0j1I/fRfVZIA5oxc/XVONuneysnke7Mv22axSsnBWhRANCAAQukkOH2YCPqD\
    DHOD5rXp51AjvANAf1jm9/+LkvnxqYkT4T1JAWYeALVnuQcbcuWpmFUsUc5Qh3asBhuP16feBs";

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from(BASE64.decode(CERTIFICATE).expect("base64"))
}

/// What the peer shows.
pub fn server_config() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(BASE64.decode(KEY).expect("base64")));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("protocols").with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate()], key).expect("a certificate"))
}

/// Believes that certificate, or none at all.
pub fn trust(believes: bool) -> Trust {
    let mut roots = RootCertStore::empty();
    if believes {
        roots.add(certificate()).expect("a certificate");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("protocols");
    Trust::new(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
