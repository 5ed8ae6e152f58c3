//! Where secrets come from, and that nothing prints them.

use secrecy::ExposeSecret as _;

use super::*;

#[test]
fn secrets_come_from_files_without_their_last_newline() {
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = tempfile::tempdir().expect("a folder");
    for (folder, secret) in [(&folder, "canary-beside\n"), (&credentials, "canary-credential\r\n")] {
        fs::write(folder.path().join("plaid-secret"), secret).expect("written");
    }
    fs::write(folder.path().join("old"), format!("{DATA_KEY}\n\n{DATA_KEY}\n")).expect("written");
    let text =
        minimal_with("plaid", "secret_file = \"plaid-secret\"").replace("secret = \"canary-plaid-secret\"\n", "");
    let load = |text: &str, variables: Vec<(&str, String)>| {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
        from_text(text, "relinkd.toml", variables, folder.path())
    };
    let secret = |config: Config| config.plaid.secret.expose_secret().to_owned();
    assert_eq!(load(&text, vec![]).map(secret).expect("valid"), "canary-beside");
    let directory = ("CREDENTIALS_DIRECTORY", credentials.path().display().to_string());
    assert_eq!(load(&text, vec![directory.clone()]).map(secret).expect("valid"), "canary-credential");
    let absolute = folder.path().join("plaid-secret").display().to_string();
    let absolute = text.replace("\"plaid-secret\"", &format!("\"{absolute}\""));
    assert_eq!(load(&absolute, vec![directory]).map(secret).expect("valid"), "canary-beside");
    let variable = ("RELINKD_STORE__DATA_KEYS_OLD_FILE", "old".to_owned());
    assert_eq!(load(&text, vec![variable]).expect("valid").store.data_keys_old.len(), 2);

    fs::write(folder.path().join("plaid-secret"), "canary\n\n").expect("written");
    let said = load(&text, vec![]).expect_err("a newline inside").to_string();
    assert!(said.contains("plaid.secret_file = \"plaid-secret\": holds a space, a line break"), "{said}");
    fs::write(folder.path().join("plaid-secret"), [0xff]).expect("written");
    let said = load(&text, vec![]).expect_err("not UTF-8").to_string();
    assert!(said.contains("cannot be read"), "{said}");
    fs::remove_file(folder.path().join("plaid-secret")).expect("removed");
    let said = load(&text, vec![]).expect_err("missing").to_string();
    assert!(said.contains(&folder.path().join("plaid-secret").display().to_string()), "{said}");
}

#[test]
fn a_secret_pasted_where_a_path_belongs_is_not_repeated() {
    let text = minimal_with("plaid", "secret_file = \"canary0123456789abcdef\"")
        .replace("secret = \"canary-plaid-secret\"\n", "");
    let said = faults(&text);
    assert!(
        said.contains("plaid.secret_file: takes the path of a file, and seems to hold the secret itself"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn nothing_prints_a_secret() {
    let login = "username = \"canary-username\"\npassword = \"canary-password\"\n";
    let key = "[[api.keys]]\nname = \"a\"\nkey = \"canary-0123456789-0123456789-0123456789\"\nscope = \"read\"\n";
    let text = format!("{MINIMAL}{login}{key}").replace("smtp://", "smtps://");
    let config = check(&text).expect("valid");
    let printed = format!("{config:?}");
    assert!(!printed.contains("canary"), "{printed}");
    // Bytes would be printed as numbers.
    for bytes in [config.store.data_key.expose(), &config.api_keys[0].sha256] {
        assert!(!printed.contains(format!("{bytes:?}").trim_matches(['[', ']'])), "{printed}");
    }
}

#[test]
fn a_list_or_a_text_that_is_not_closed_does_not_tell_the_secrets_below_it() {
    let bracket = MINIMAL.replace("country_codes = [\"US\"]", "").replace("client_id", "country_codes = [\nclient_id");
    let quotes = MINIMAL.replace("client_id = \"", "link_mode = \"\"\"") + "\n#\"\"\"\n";
    let other = MINIMAL.replace("environment = \"sandbox\"", "link_mode = canary\nenvironment = \"canary\"");
    // Each line below would be a fault of its own.
    assert_eq!(check(&bracket).expect_err("faults").iter().len(), 1, "{}", faults(&bracket));
    for text in [bracket, quotes, other] {
        let said = faults(&text);
        assert!(!said.contains("canary"), "{text}\n{said}");
    }
}
