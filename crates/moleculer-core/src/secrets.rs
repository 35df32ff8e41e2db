//! Keeping passwords out of what this node tells.

use moleculer_protocol::Value;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Names that hold a secret when they contain one of these.
const PARTS: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "privatekey"];
/// Names that hold a secret by themselves.
const WHOLE: [&str; 4] = ["pass", "key", "pfx", "auth"];

/// Whether a member of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WHOLE.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// A value without its secrets: members with a telling name, and what stands
/// before the host of a URL.
pub(crate) fn mask(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(name, value)| {
                    let secret = is_secret(&name) && !value.is_nullish();
                    let value = if secret { MASK.into() } else { mask(value) };
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(mask).collect()),
        Value::String(text) => mask_text(&text).into(),
        other => other,
    }
}

/// The arguments of a process without their secrets.
pub(crate) fn mask_arguments(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut next_is_secret = false;
    for argument in arguments {
        let option = argument.starts_with('-');
        masked.push(match argument.split_once('=') {
            _ if next_is_secret && !option => MASK.to_owned(),
            Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
            _ => mask_text(&argument),
        });
        next_is_secret = option && !argument.contains('=') && is_secret(&argument);
    }
    masked
}

/// Masks users and passwords of all URLs in a text, and secret parameters.
fn mask_text(text: &str) -> String {
    let ends = |c: char| matches!(c, '/' | '?' | '#' | ',' | ' ');
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let host_end = after.find(ends).unwrap_or(after.len());
        let (authority, tail) = after.split_at(host_end);
        let host = match authority.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, _)) => format!("{user}:{MASK}@{host}"),
                None => format!("{MASK}@{host}"),
            },
            None => authority.to_owned(),
        };
        out.push_str(&format!("{before}://{host}"));
        rest = tail;
    }
    out.push_str(rest);
    match out.split_once('?') {
        Some((url, query)) if url.contains("://") => format!("{url}?{}", mask_query(query)),
        _ => out,
    }
}

fn mask_query(query: &str) -> String {
    let masked = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    });
    masked.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn urls_lose_their_passwords() {
        for (text, expected) in [
            ("nats://host:4222", "nats://host:4222"),
            ("redis://user:pa@ss@host/1", "redis://user:***@host/1"),
            ("nats://token@host", "nats://***@host"),
            ("amqp://a:b@h1,amqp://c:d@h2", "amqp://a:***@h1,amqp://c:***@h2"),
            ("mqtt://h?password=x&clean=1", "mqtt://h?password=***&clean=1"),
            ("no url at all: me@home", "no url at all: me@home"),
        ] {
            assert_eq!(mask_text(text), expected);
        }
    }

    #[test]
    fn telling_names_hide_their_value() {
        let value = json!({
            "transporter": {"type": "NATS", "options": {"pass": "x", "apiKey": 5, "servers": ["nats://u:p@h"]}},
            "registry": {"strategyOptions": {"shardKey": "id"}}, "token": null
        });
        let expected = json!({
            "transporter": {"type": "NATS", "options": {"pass": "***", "apiKey": "***", "servers": ["nats://u:***@h"]}},
            "registry": {"strategyOptions": {"shardKey": "id"}}, "token": null
        });
        assert_eq!(mask(value.into()), expected.into());
    }

    #[test]
    fn arguments_lose_theirs() {
        let arguments = ["app", "--password", "x", "--db-token=y", "--verbose", "redis://u:p@h"];
        let masked = mask_arguments(arguments.into_iter().map(str::to_owned));
        assert_eq!(
            masked,
            ["app", "--password", "***", "--db-token=***", "--verbose", "redis://u:***@h"]
        );
    }
}
