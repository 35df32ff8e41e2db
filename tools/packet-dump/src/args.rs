//! The command line.

use std::path::PathBuf;

use moleculer_protocol::{PacketKind, Serializer};

use crate::{dump::SERIALIZERS, input::Form};

pub(crate) const USAGE: &str = "\
usage: cargo xtask packet-dump [--kind KIND] [--serializer NAME] [--form FORM] [FILE]

Shows packets as readable JSON: a stream of TCP frames, or with --kind one bare
packet. Reads standard input if no file is given.

  --kind        EVENT, REQ, RES, DISCOVER, INFO, DISCONNECT, HEARTBEAT, PING, ...
  --serializer  as in the configuration of nodes; else the first that reads it
  --form        raw, hex or base64; else what it looks like";

#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) kind: Option<PacketKind>,
    pub(crate) serializer: Option<&'static dyn Serializer>,
    pub(crate) form: Option<Form>,
    /// Standard input if none.
    pub(crate) file: Option<PathBuf>,
}

impl Args {
    /// Parses the arguments after the program's name; `None` asks for help.
    ///
    /// # Errors
    ///
    /// A message that names the argument and what would be valid.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut args = args.into_iter();
        let mut parsed = Self::default();
        while let Some(arg) = args.next() {
            let (option, inline) = match arg.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value.into())),
                _ => (arg.as_str(), None),
            };
            let mut value = || {
                inline.clone().or_else(|| args.next()).ok_or(format!("`{option}` needs a value"))
            };
            match option {
                "--kind" => parsed.kind = Some(kind(&value()?)?),
                "--serializer" => parsed.serializer = Some(serializer(&value()?)?),
                "--form" => parsed.form = Some(form(&value()?)?),
                "--help" | "-h" => return Ok(None),
                "-" => parsed.file = None,
                _ if option.starts_with('-') => {
                    let valid = "--kind, --serializer, --form, --help";
                    return Err(format!("unknown argument `{arg}`; valid: {valid}"));
                }
                _ if parsed.file.is_some() => return Err(format!("a second file: `{arg}`")),
                _ => parsed.file = Some(arg.into()),
            }
        }
        Ok(Some(parsed))
    }
}

fn kind(name: &str) -> Result<PacketKind, String> {
    PacketKind::parse(&name.to_uppercase()).ok_or_else(|| {
        let valid = PacketKind::ALL.map(PacketKind::as_str).join(", ");
        format!("no packet is of kind `{name}`; valid: {valid}")
    })
}

fn serializer(name: &str) -> Result<&'static dyn Serializer, String> {
    let mut known = SERIALIZERS.iter().copied();
    known.find(|serializer| serializer.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let valid: Vec<_> = SERIALIZERS.iter().map(|serializer| serializer.name()).collect();
        format!("no serializer is called `{name}`; valid: {}", valid.join(", "))
    })
}

fn form(name: &str) -> Result<Form, String> {
    match name {
        "raw" => Ok(Form::Raw),
        "hex" => Ok(Form::Hex),
        "base64" => Ok(Form::Base64),
        _ => Err(format!("no form is called `{name}`; valid: raw, hex, base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Args>, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn valid_lines() {
        let args = parse("--kind info --serializer=msgpack a=b.bin").expect("valid").expect("args");
        assert_eq!(args.kind, Some(PacketKind::Info));
        assert_eq!(args.serializer.expect("a serializer").name(), "MsgPack");
        assert_eq!(args.file, Some("a=b.bin".into()));
        assert_eq!(parse("--form hex -").expect("valid").expect("args").form, Some(Form::Hex));
        assert!(parse("x --help").expect("valid").is_none());
    }

    #[test]
    fn errors_say_what_is_valid() {
        for (line, expected) in [
            ("--kind", "`--kind` needs a value"),
            ("--kind REQUEST", "no packet is of kind `REQUEST`; valid: EVENT, REQ, RES,"),
            ("--serializer XML", "no serializer is called `XML`; valid: JSON, "),
            ("--form octal", "no form is called `octal`; valid: raw, hex, base64"),
            ("--hex", "unknown argument `--hex`; valid: --kind,"),
            ("a b", "a second file: `b`"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
