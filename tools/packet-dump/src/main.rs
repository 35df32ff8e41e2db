#![doc = include_str!("../README.md")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a command line tool is for"
)]

mod args;
mod dump;
mod input;
mod show;

use std::{env, process::ExitCode};

use crate::args::{Args, USAGE};

fn main() -> ExitCode {
    let args = match Args::parse(env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let bytes = match input::read(args.file.as_deref(), args.form) {
        Ok(bytes) => bytes,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    let dump = dump::dump(bytes, args.kind, args.serializer);
    for packet in &dump.packets {
        println!("{}", show::pretty(packet));
    }
    for error in &dump.errors {
        eprintln!("error: {error}");
    }
    if dump.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
