//! The command line.

use crate::measure::Result;

pub(crate) const USAGE: &str = "\
usage: benches [local|scale|codec|remote|start|nats] [--rounds N] [--no-js] [--json FILE]

  local, scale, codec, remote, start
                  only this family of workloads (default: all)
  nats            calls over NATS, which needs a server (not part of all)
  --rounds N      rounds of every peer, alternating (default: 3)
  --no-js         leave the Moleculer JS peers out
  --json FILE     also write every single measurement, one JSON object a line";

/// Workloads that are measured together, by the same peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Family {
    Local,
    Scale,
    Codec,
    Remote,
    Start,
    Nats,
}

impl Family {
    /// What runs if none is named.
    const DEFAULT: [Self; 5] = [Self::Local, Self::Scale, Self::Codec, Self::Remote, Self::Start];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "local" => Self::Local,
            "scale" => Self::Scale,
            "codec" => Self::Codec,
            "remote" => Self::Remote,
            "start" => Self::Start,
            "nats" => Self::Nats,
            _ => return None,
        })
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) families: Vec<Family>,
    pub(crate) rounds: u32,
    pub(crate) js: bool,
    pub(crate) json: Option<String>,
}

impl Options {
    pub(crate) fn parse(args: &[&str]) -> Result<Self> {
        let mut options =
            Self { families: Family::DEFAULT.to_vec(), rounds: 3, js: true, json: None };
        let mut family = None;
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            match (arg, Family::named(arg)) {
                (_, Some(named)) if family.is_none() => family = Some(named),
                (_, Some(_)) => {
                    return Err("families exclude each other: give none to run all".into());
                }
                ("--no-js", _) => options.js = false,
                ("--rounds", _) => options.rounds = rounds(args.next())?,
                ("--json", _) => {
                    options.json = Some(args.next().ok_or("--json needs a file name")?.to_owned())
                }
                _ => return Err(format!("unknown argument `{arg}`\n\n{USAGE}").into()),
            }
        }
        if let Some(family) = family {
            options.families = vec![family];
        }
        Ok(options)
    }
}

fn rounds(arg: Option<&str>) -> Result<u32> {
    match arg.map(str::parse) {
        Some(Ok(rounds)) if rounds > 0 => Ok(rounds),
        _ => Err("--rounds needs a number above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_runs_everything() {
        let expected =
            Options { families: Family::DEFAULT.to_vec(), rounds: 3, js: true, json: None };
        assert_eq!(Options::parse(&[]).unwrap(), expected);
    }

    #[test]
    fn every_argument_has_an_effect() {
        let parsed =
            Options::parse(&["local", "--rounds", "5", "--no-js", "--json", "out"]).unwrap();
        let expected = Options {
            families: vec![Family::Local],
            rounds: 5,
            js: false,
            json: Some("out".into()),
        };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |args: &[&str]| Options::parse(args).unwrap_err().to_string();
        assert!(error(&["--round", "5"]).contains("`--round`"));
        assert!(error(&["--rounds", "0"]).contains("above 0"));
        assert!(error(&["--rounds"]).contains("above 0"));
        assert!(error(&["--json"]).contains("file name"));
        assert!(error(&["local", "remote"]).contains("exclude"));
    }
}
