//! The program `relinkd`. All that it does is in the library: see [`relinkd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    relinkd::cli::main()
}
