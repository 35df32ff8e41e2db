//! Which cases have passed where, and the table of it in `docs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use moleculer::{
    ProtocolVersion::{self, V4, V5},
    prelude::*,
};
use serde::Deserialize;

use crate::{
    balancing,
    checks::{self, guards},
    cluster::Medium,
    dependencies, life_cycle, server_balancing, strategies, transmission,
};

/// What each version of the reference can speak.
pub(crate) const SERIALIZERS: &[(ProtocolVersion, &[&str])] = &[
    (V4, &["JSON", "Avro", "MsgPack", "Notepack", "ProtoBuf", "Thrift", "CBOR"]),
    (V5, &["JSON", "JSONExt", "MsgPack", "Notepack", "CBOR"]),
];
pub(crate) const MEDIA: [Medium; 2] = [Medium::Tcp, Medium::Nats];

/// Where a case runs.
pub(crate) type Place = (ProtocolVersion, Medium, &'static str);

/// What is left out, and why.
#[derive(Deserialize)]
struct Exclusions {
    excluded: Vec<Exclusion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    case: String,
    reason: String,
    /// The medium to which it is confined, if it is.
    medium: Option<String>,
}

/// Whether a case has passed in a column of the table, for each serializer.
type Results = BTreeMap<(&'static str, String), BTreeMap<&'static str, bool>>;

static RESULTS: Mutex<Results> = Mutex::new(BTreeMap::new());

/// Keeps the result of a case.
pub(crate) fn record(case: &'static str, (version, medium, serializer): Place, passed: bool) {
    let mut results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let results = results.entry((case, column(version, medium))).or_default();
    // A case that runs twice has to pass twice.
    *results.entry(serializer).or_insert(true) &= passed;
}

/// Writes the table with what has run.
pub(crate) fn write() -> Result<()> {
    let failed = |error| Error::internal(document().display().to_string()).with_source(error);
    let text = fs::read_to_string(document()).map_err(failed)?;
    let results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let table = table(|case, version, medium| {
        let none = BTreeMap::new();
        let results = results.get(&(case, column(version, medium))).unwrap_or(&none);
        let all = serializers(version);
        let failed = all.iter().filter(|name| results.get(*name) != Some(&true)).copied();
        let failed: Vec<_> = failed.collect();
        match failed.as_slice() {
            [] => green(version),
            failed => format!("**not {}**", failed.join(", ")),
        }
    })?;
    let (before, after) = around(&text)?;
    fs::write(document(), format!("{before}{BEGIN}\n{table}{END}{after}")).map_err(failed)
}

/// The table in the documents is the one of a run in which everything passed.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(document())
        .map_err(|error| Error::internal(document().display().to_string()).with_source(error))?;
    let (before, after) = around(&text)?;
    let found = &text[before.len() + BEGIN.len() + 1..text.len() - after.len() - END.len()];
    let expected = table(|_, version, _| green(version))?;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (found, expected) = (lines(found), lines(&expected));
    let wrong: Vec<_> = found.symmetric_difference(&expected).cloned().collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::internal(format!(
        "docs/compatibility.md is red or out of date, see below; what `cargo xtask interop --all` \
         finds must be mended, and its table committed:\n{}",
        wrong.join("\n")
    )))
}

const BEGIN: &str = "<!-- written by cargo xtask interop --all -->";
const END: &str = "<!-- end -->";

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md")
}

fn around(text: &str) -> Result<(&str, &str)> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    parts.ok_or_else(|| Error::internal("docs/compatibility.md has no place for the table"))
}

/// Whether a case is left out on a medium.
pub(crate) fn excluded(case: &str, medium: Medium) -> bool {
    exclusions().iter().flatten().any(|exclusion| exclusion.covers(case, medium))
}

/// The exclusions as they are in `exclusions.toml`.
///
/// # Errors
///
/// The file is malformed.
fn exclusions() -> Result<Vec<Exclusion>> {
    let file: Exclusions = toml::from_str(include_str!("../../exclusions.toml"))
        .map_err(|error| Error::internal(format!("exclusions.toml: {error}")))?;
    Ok(file.excluded)
}

fn table(cell: impl Fn(&'static str, ProtocolVersion, Medium) -> String) -> Result<String> {
    let exclusions = exclusions()?;
    let mut table = String::from("| case |");
    for_columns(|version, medium| write!(table, " {} |", column(version, medium)));
    table.push_str("\n| --- |");
    for_columns(|_, _| write!(table, " --- |"));
    table.push('\n');
    for case in cases() {
        write!(table, "| {case} |").ok();
        for_columns(|version, medium| {
            let excluded = exclusions.iter().any(|exclusion| exclusion.covers(case, medium));
            let cell = if excluded { "-".to_owned() } else { cell(case, version, medium) };
            write!(table, " {cell} |")
        });
        table.push('\n');
    }
    table.push_str("\n| left out | where | because |\n| --- | --- | --- |\n");
    for Exclusion { case, reason, medium, .. } in &exclusions {
        let medium = medium.as_deref().unwrap_or("everywhere");
        writeln!(table, "| {case} | {medium} | {reason} |").ok();
    }
    Ok(table)
}

impl Exclusion {
    fn covers(&self, case: &str, medium: Medium) -> bool {
        let there = self.medium.as_ref().is_none_or(|name| *name == name_of(medium));
        self.case == case && there
    }
}

/// All cases, in the order of the table.
fn cases() -> impl Iterator<Item = &'static str> {
    let checks = [
        checks::ALL,
        guards::ALL,
        balancing::ALL,
        server_balancing::ALL,
        strategies::ALL,
        dependencies::ALL,
    ];
    let checks = checks.into_iter().flatten();
    let checks = checks.map(|(name, _)| *name);
    checks.chain(life_cycle::ALL.iter().chain(transmission::ALL).map(|(name, _)| *name))
}

fn for_columns(mut each: impl FnMut(ProtocolVersion, Medium) -> std::fmt::Result) {
    for (version, _) in SERIALIZERS {
        for medium in MEDIA {
            // Writing to a string does not fail.
            each(*version, medium).ok();
        }
    }
}

fn column(version: ProtocolVersion, medium: Medium) -> String {
    let package = if version == V4 { "0.14.35" } else { "0.15.2" };
    format!("{package}, {}", name_of(medium))
}

const fn name_of(medium: Medium) -> &'static str {
    match medium {
        Medium::Tcp => "TCP",
        Medium::Nats => "NATS",
    }
}

fn green(version: ProtocolVersion) -> String {
    format!("all {}", serializers(version).len())
}

/// Those that a version has.
pub(crate) fn serializers(version: ProtocolVersion) -> &'static [&'static str] {
    SERIALIZERS.iter().find(|(known, _)| *known == version).map_or(&[], |(_, names)| names)
}
