//! Log lines for programs that have no `tracing` subscriber of their own.
//!
//! The framework emits `tracing` events and leaves it to the program what
//! becomes of them. This is the short way: readable lines on standard error.
//!
//! ```
//! use moleculer::{BuildBroker, ServiceBroker};
//!
//! # fn main() -> moleculer::Result<()> {
//! let options = moleculer::config::load()?;
//! moleculer::logging::init(&options)?;
//! let broker = ServiceBroker::builder().options(options);
//! # Ok(())
//! # }
//! ```

use std::{
    env,
    io::{IsTerminal, stderr},
};

use moleculer_core::{BrokerOptions, Error, LogLevel, Result, Severity};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The reference's names of modules, and the code that does their work here.
const MODULES: [(&str, &str); 5] = [
    ("BROKER", "moleculer_core::broker"),
    ("DISCOVERER", "moleculer_core::discoverer"),
    ("REGISTRY", "moleculer_core::registry"),
    ("TRANSIT", "moleculer_core::transit"),
    ("TRANSPORTER", "moleculer_transporter"),
];

/// Shows the log lines of this process on standard error.
///
/// Which ones, the first of these says that is set: the variable `RUST_LOG`,
/// as in `info,moleculer_core::transit=debug`; the variable `LOGLEVEL`; the
/// option `logLevel`, whose modules are the reference's (`TRANSIT`, `TRANS*`)
/// or the beginning of a `tracing` target. Without any, it is `info`. With
/// `logger: false` nothing is shown.
///
/// # Errors
///
/// When the program has a subscriber already, and when one of the variables
/// cannot be read.
pub fn init(options: &BrokerOptions) -> Result<()> {
    let filter = match (env::var("RUST_LOG"), env::var("LOGLEVEL")) {
        (Ok(text), _) if !text.is_empty() => text.parse::<Targets>().map_err(|error| {
            Error::options(format!("the environment variable RUST_LOG: {error}"))
        })?,
        (_, Ok(name)) if !name.is_empty() => {
            let severity = Severity::from_name(&name).ok_or_else(|| {
                let message = format!("the environment variable LOGLEVEL: no log level {name:?}");
                Error::options(message)
            })?;
            filter(Some(&LogLevel::All(severity)))
        }
        _ => filter(options.log_level.as_ref()),
    };
    moleculer_core::__private::set_shown();
    if !options.logger {
        return Ok(());
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && env::var_os("NO_COLOR").is_none());
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|error| {
        Error::options(format!("the program has a subscriber of its own: {error}"))
    })
}

fn filter(level: Option<&LogLevel>) -> Targets {
    match level {
        None => Targets::new().with_default(LevelFilter::INFO),
        Some(LogLevel::All(severity)) => Targets::new().with_default(level_of(*severity)),
        Some(LogLevel::ByModule(modules)) => {
            let targets = Targets::new().with_default(LevelFilter::INFO);
            // The first that fits counts, and the last one added.
            modules.iter().rev().fold(targets, |targets, (module, severity)| {
                let level = level_of(*severity);
                match module.as_str() {
                    "*" | "**" => targets.with_default(level),
                    module => targets
                        .with_targets(targets_of(module).into_iter().map(|target| (target, level))),
                }
            })
        }
    }
}

fn targets_of(module: &str) -> Vec<&str> {
    let beginning = module.trim_end_matches('*');
    let fits = |name: &str| match beginning.len() == module.len() {
        true => name == module,
        false => name.starts_with(beginning),
    };
    let known: Vec<_> =
        MODULES.iter().filter(|(name, _)| fits(name)).map(|(_, target)| *target).collect();
    if known.is_empty() { vec![beginning] } else { known }
}

const fn level_of(severity: Severity) -> LevelFilter {
    match severity {
        Severity::Trace => LevelFilter::TRACE,
        Severity::Debug => LevelFilter::DEBUG,
        Severity::Info => LevelFilter::INFO,
        Severity::Warn => LevelFilter::WARN,
        Severity::Error | Severity::Fatal => LevelFilter::ERROR,
        Severity::Off => LevelFilter::OFF,
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter as Level;

    use super::*;

    #[test]
    fn modules_of_the_reference_become_targets() {
        let modules =
            [("TRANS*", Severity::Warn), ("posts", Severity::Off), ("**", Severity::Debug)];
        let modules = modules.map(|(name, severity)| (name.to_owned(), severity));
        let made = filter(Some(&LogLevel::ByModule(modules.into())));
        for (target, expected) in [
            ("moleculer_core::transit", Level::WARN),
            ("moleculer_core::transit::inbound", Level::WARN),
            ("moleculer_transporter_nats", Level::WARN),
            ("moleculer_core::broker", Level::DEBUG),
            ("posts", Level::OFF),
            ("elsewhere", Level::DEBUG),
        ] {
            let shown = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
                .into_iter()
                .rfind(|level| {
                    level.into_level().is_some_and(|level| made.would_enable(target, &level))
                });
            assert_eq!(shown.unwrap_or(Level::OFF), expected, "{target}");
        }
    }

    #[test]
    fn one_level_is_for_all() {
        let made = filter(Some(&LogLevel::All(Severity::Fatal)));
        assert_eq!(made.default_level(), Some(Level::ERROR));
        assert_eq!(filter(None).default_level(), Some(Level::INFO));
        assert_eq!(filter(Some(&LogLevel::All(Severity::Off))).default_level(), Some(Level::OFF));
    }
}
