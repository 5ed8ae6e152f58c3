//! Where the control socket is, for the daemon and for commands that can read little of the configuration.

use super::*;

fn found(text: &str, variables: &[(&str, &str)]) -> Result<PathBuf, Faults> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("relinkd.toml");
    fs::write(&file, text).expect("written");
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let found = control_socket(&file, variables)?;
    Ok(found.strip_prefix(folder.path()).map(Path::to_owned).unwrap_or(found))
}

#[test]
fn what_the_operator_wrote_is_where_daemon_and_commands_look() {
    let chosen = minimal_with("server", "control_socket = \"/srv/relinkd/c.sock\"");
    assert_eq!(check(&chosen).expect("valid").control_socket(), Path::new("/srv/relinkd/c.sock"));
    assert_eq!(found(&chosen, &[]).expect("there"), Path::new("/srv/relinkd/c.sock"));
    let relative = minimal_with("server", "control_socket = \"c.sock\"");
    assert_eq!(check(&relative).expect("valid").control_socket(), Path::new("/nowhere/c.sock"));
    assert_eq!(found(&relative, &[]).expect("there"), Path::new("c.sock"));
    let variable = [("RELINKD_SERVER__CONTROL_SOCKET", "/elsewhere/c.sock")];
    assert_eq!(found(&chosen, &variable).expect("there"), Path::new("/elsewhere/c.sock"));
}

#[test]
fn nothing_said_means_systemds_folder_or_beside_the_store() {
    let usual = Path::new("/run/relinkd").is_dir();
    let expected =
        |beside: &str| if usual { PathBuf::from("/run/relinkd/control.sock") } else { PathBuf::from(beside) };
    assert_eq!(check(MINIMAL).expect("valid").control_socket(), expected("/nowhere/control.sock"));
    assert_eq!(found(MINIMAL, &[]).expect("there"), expected("control.sock"));
}

#[test]
fn a_command_needs_no_secret_and_minds_no_fault_elsewhere() {
    let text = "
[store]
path = \"relinkd.db\"
data_key_file = \"/nowhere/data-key\"
[mial]
[server]
control_socket = \"c.sock\"
public_listen = 5
";
    assert_eq!(found(text, &[("RELINKD_NO__KEY", "x")]).expect("there"), Path::new("c.sock"));
}

#[test]
fn where_it_cannot_be_told_the_fault_says_why() {
    let said = |text: &str| found(text, &[]).expect_err("a fault").to_string();
    assert!(said("[store]\n").contains("store.path: is missing. Write: path = "), "{}", said("[store]\n"));
    assert!(said("[server]\ncontrol_socket = 5\n[store]\npath = \"x\"").contains("is a number, not a text"));
    assert!(said("[server").contains("is no TOML here"));
}
