//! The reference's serializers read our packets as they read their own.

use std::process::Stdio;

use bytes::Bytes;
use moleculer::{ProtocolVersion, prelude::*};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Child,
};

use crate::{
    process::javascript,
    vectors::{self, Vector},
};

/// What we write otherwise on purpose: no meta and no headers are `{}`, -0
/// keeps its sign, and Notepack, which spoils integers of more than 64 bits in
/// the reference, keeps their value.
const OTHERWISE: &[(&str, &str)] = &[
    ("meta: null", "meta: {}"),
    ("headers: null", "headers: {}"),
    ("negzero: 0", "negzero: -0"),
    ("e21: 3875820019684212700", "e21: 1e+21"),
];

/// A packet with halves of surrogate pairs, which our text cannot hold: each
/// becomes U+FFFD.
const HALVES: &str = "request-lone-surrogates";

/// What JavaScript reads from both.
#[derive(Deserialize)]
struct Read {
    theirs: String,
    ours: String,
}

/// Encodes the recorded packets anew and lets JavaScript compare.
pub(crate) async fn run(version: ProtocolVersion, serializer: &'static str) -> Result<()> {
    let ours = moleculer::plugins().make_serializer(&serializer.into())?;
    let package = if version == ProtocolVersion::V4 { "0.14" } else { "0.15" };
    let vectors = vectors::load(&format!("{package}/{}.json", serializer.to_lowercase()));
    let mut reader = Reader::start(version, serializer)?;
    let (mut compared, mut wrong) = (0, Vec::new());
    for vector in &vectors {
        let (Some(theirs), Some(_)) = (&vector.bytes, &vector.decoded) else { continue };
        if vector.name == HALVES {
            continue;
        }
        let ours = vectors::encode(&*ours, &vector.packet())
            .map_err(|error| failed(&vector.name, error))?;
        let read = reader.read(vector, theirs, &ours).await?;
        compared += 1;
        let [theirs, ours] = [&read.theirs, &read.ours].map(|text| {
            OTHERWISE.iter().fold(text.clone(), |text, (theirs, ours)| text.replace(theirs, ours))
        });
        if theirs != ours {
            wrong.push(format!("{}: {}\n    instead of {}", vector.name, read.ours, read.theirs));
        }
    }
    reader.end().await?;
    if compared < 50 {
        wrong.push(format!("only {compared} packets were compared"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::internal(wrong.join("\n"))) }
}

/// The process that decodes with the reference's serializer.
struct Reader {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Reader {
    fn start(version: ProtocolVersion, serializer: &str) -> Result<Self> {
        let mut child = javascript("read-packets.js")
            .env("PROTOCOL", version.to_string())
            .env("SERIALIZER", serializer)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("read-packets.js", error))?;
        let output = child.stdout.take().ok_or_else(|| Error::internal("no output"))?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    async fn read(&mut self, vector: &Vector, theirs: &Bytes, ours: &Bytes) -> Result<Read> {
        let (theirs, ours) = (format!("{theirs:x}"), format!("{ours:x}"));
        let question = json!({ "type": vector.kind.as_str(), "theirs": theirs, "ours": ours });
        let input = self.child.stdin.as_mut().ok_or_else(|| Error::internal("no input"))?;
        let broken = |error| failed("read-packets.js", error);
        input.write_all(format!("{question}\n").as_bytes()).await.map_err(broken)?;
        let line = self.lines.next_line().await.map_err(broken)?;
        let line = line.ok_or_else(|| Error::internal("read-packets.js has ended"))?;
        serde_json::from_str(&line).map_err(|error| failed(&line, error))
    }

    async fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().await.map_err(|error| failed("read-packets.js", error))?;
        if status.success() { Ok(()) } else { Err(Error::internal(format!("it ended: {status}"))) }
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::internal(format!("{what}: {error}"))
}
