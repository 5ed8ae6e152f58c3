//! `relinkd check`: is the configuration valid, and if not, what is to be written instead.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{EXIT_USAGE, environment};
use crate::config::{self, Config, Faults};

/// Says whether the configuration is valid, and all that is wrong with it.
///
/// Opens nothing but the configuration file and the files that it names for secrets, and asks nobody over the network.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Checks the configuration and says how it is: exit code 0 if it is valid, 2 if not.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    let result = config::load(config, environment());
    let said = say(config, args, &result);
    // Nobody listens any more if this fails, and the exit code says the same.
    let _ = io::stdout().write_all(said.stdout.as_bytes());
    let _ = io::stderr().write_all(said.stderr.as_bytes());
    ExitCode::from(said.code)
}

struct Said {
    stdout: String,
    stderr: String,
    code: u8,
}

fn say(config: &Path, args: &Args, result: &Result<Config, Faults>) -> Said {
    let code = if result.is_ok() { 0 } else { EXIT_USAGE };
    let mut said = Said { stdout: String::new(), stderr: String::new(), code };
    match result {
        Ok(config) if args.json => {
            said.stdout = format!("{}\n", json!({ "valid": true, "faults": [], "warnings": config.warnings }));
        }
        Err(faults) if args.json => {
            said.stdout = format!("{}\n", json!({ "valid": false, "faults": faults, "warnings": [] }));
        }
        Ok(valid) => {
            said.stdout = format!("{}: configuration is valid\n", config.display());
            for warning in &valid.warnings {
                said.stderr.push_str(&format!("warning: {warning}\n"));
            }
        }
        Err(faults) => {
            let count = faults.iter().len();
            let noun = if count == 1 { "fault" } else { "faults" };
            said.stderr = format!("{faults}\n{count} {noun}. relinkd does not start with this configuration.\n");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const VALID: &str = include_str!("../config/tests/minimal.toml");

    fn said(text: &str, json: bool) -> Said {
        let result = config::from_text(text, "relinkd.toml", std::iter::empty(), Path::new("/nowhere"));
        say(&PathBuf::from("relinkd.toml"), &Args { json }, &result)
    }

    #[test]
    fn a_valid_configuration_is_said_to_be_so() {
        let said = said(VALID, false);
        assert_eq!((said.code, said.stdout.as_str()), (0, "relinkd.toml: configuration is valid\n"));
        insta::assert_snapshot!(said.stderr, @r#"warning: relinkd.toml:22:1: api.keys: is missing, so nobody can use the API. Write: [[api.keys]], and below it name, key_file and scope."#);
    }

    #[test]
    fn faults_go_to_stderr_and_are_counted() {
        let said = said(&VALID.replace("\"smtp://localhost\"", "\"localhost\""), false);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""));
        insta::assert_snapshot!(said.stderr, @r#"
relinkd.toml:21:12: mail.smtp_url = "localhost": has to begin with smtp://, smtps:// or smtp+starttls://. Write: smtp_url = "smtp+starttls://mail.example.com:587".
1 fault. relinkd does not start with this configuration.
"#);
    }

    #[test]
    fn json_is_one_object_on_stdout() {
        let valid = said(VALID, true);
        assert_eq!((valid.code, valid.stderr.as_str()), (0, ""));
        let valid: serde_json::Value = serde_json::from_str(&valid.stdout).expect("JSON");
        assert_eq!(valid["valid"], true);
        assert_eq!(valid["warnings"].as_array().map(Vec::len), Some(1));
        let faulty = said(&VALID.replace("smtp_url", "smtp_ulr"), true);
        assert_eq!((faulty.code, faulty.stderr.as_str()), (2, ""));
        insta::assert_snapshot!(faulty.stdout, @r#"{"faults":[{"column":1,"file":"relinkd.toml","key":"mail.smtp_ulr","line":21,"nearest":"smtp_url","problem":"is no key of [mail]; did you mean smtp_url?","remedy":"Write: smtp_url = \"smtp+starttls://mail.example.com:587\".","value":null}],"valid":false,"warnings":[]}"#);
    }
}
