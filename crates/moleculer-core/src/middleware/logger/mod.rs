//! Middlewares that log, chosen by name: `ActionLogger` and `TransitLogger`.

mod action;
mod folder;
mod transit;

use std::sync::Arc;

use moleculer_protocol::{Object, Value};
use serde::Deserialize;

pub(crate) use self::{action::ActionLogger, transit::TransitLogger};
use super::Middleware;
use crate::{MiddlewarePlugin, Result, config::strict, secrets::mask};

/// The loggers by the reference's names, and by the short ones.
pub(crate) const LOGGERS: [MiddlewarePlugin; 4] = [
    MiddlewarePlugin { name: "Debugging.ActionLogger", build: action_logger },
    MiddlewarePlugin { name: "ActionLogger", build: action_logger },
    MiddlewarePlugin { name: "Debugging.TransitLogger", build: transit_logger },
    MiddlewarePlugin { name: "TransitLogger", build: transit_logger },
];

fn action_logger(options: Object) -> Result<Arc<dyn Middleware>> {
    let options = strict("the middleware ActionLogger", without_colors(options))?;
    Ok(Arc::new(ActionLogger::new(options)))
}

fn transit_logger(options: Object) -> Result<Arc<dyn Middleware>> {
    let options = strict("the middleware TransitLogger", without_colors(options))?;
    Ok(Arc::new(TransitLogger::new(options)))
}

/// Where logs go and in which colours, subscribers of `tracing` decide. A null
/// `logger` is the default of the reference; another one is an unknown key.
fn without_colors(mut options: Object) -> Object {
    if options.remove("colors").is_some() {
        tracing::warn!(option = "colors", "this option has a meaning only in JavaScript");
    }
    if options.get("logger").is_some_and(Value::is_nullish) {
        options.remove("logger");
    }
    options
}

/// A level by the reference's names.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Fatal,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Logs at a level that is known at run time only.
macro_rules! log {
    ($level:expr, $($event:tt)+) => {
        match $level {
            $crate::middleware::logger::Level::Fatal
            | $crate::middleware::logger::Level::Error => tracing::error!($($event)+),
            $crate::middleware::logger::Level::Warn => tracing::warn!($($event)+),
            $crate::middleware::logger::Level::Info => tracing::info!($($event)+),
            $crate::middleware::logger::Level::Debug => tracing::debug!($($event)+),
            $crate::middleware::logger::Level::Trace => tracing::trace!($($event)+),
        }
    };
}
use log;

/// Most bytes of a value in a line of the log.
const LINE: usize = 4096;

/// A value as a line of the log shows it: without secrets, and not too long.
fn line(value: Value) -> String {
    let mut text = serde_json::to_string(&mask(value)).unwrap_or_else(|error| error.to_string());
    if text.len() > LINE {
        let whole = text.len();
        let end = (0..=LINE).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(&format!("… ({whole} bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_have_no_secrets_and_an_end() {
        let value = json!({"user": "a", "password": "b", "more": [{"token": "c"}]});
        assert_eq!(line(value.into()), r#"{"more":[{"token":"***"}],"password":"***","user":"a"}"#);
        let long = line("é".repeat(10_000).into());
        assert!(long.len() < LINE + 50 && long.ends_with("… (20002 bytes)"), "{}", long.len());
    }

    #[test]
    fn options_are_those_of_the_reference() {
        type Build = fn(Object) -> Result<Arc<dyn Middleware>>;
        let check = |build: Build, options: serde_json::Value, expected: &str| {
            let options = Value::from(options);
            let made = build(options.as_object().cloned().expect("an object"));
            let message = made.map_or_else(|error| error.message().to_owned(), |_| String::new());
            assert!(
                message.contains(expected) && expected.is_empty() == message.is_empty(),
                "{message}"
            );
        };
        let all = json!({
            "logger": null, "logLevel": "debug", "logParams": true, "logResponse": true,
            "logMeta": true, "folder": null, "extension": ".txt", "whitelist": ["posts.*"],
            "colors": {"request": "yellow"},
        });
        check(action_logger, all, "");
        let all = json!({
            "logger": null, "logLevel": "trace", "logPacketData": true, "folder": null,
            "extension": ".json", "packetFilter": ["PING"], "colors": {},
        });
        check(transit_logger, all, "");
        check(action_logger, json!({"logParam": true}), "did you mean `logParams`?");
        check(action_logger, json!({"logLevel": "loud"}), "loud");
        check(transit_logger, json!({"logger": "x"}), "unknown key `logger`");
    }
}
