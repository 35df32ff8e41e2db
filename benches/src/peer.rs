//! A peer is a command that measures itself and prints samples; this module runs it.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};

use crate::measure::{Result, Sample};

pub(crate) const JS_014: &str = "JS 0.14.35";
pub(crate) const JS_015: &str = "JS 0.15.2";
pub(crate) const TONIC: &str = "tonic [mt]";
pub(crate) const TARPC: &str = "tarpc [mt]";

/// No peer takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The peer by whose values this one's are divided in the column `÷ floor`.
    pub(crate) floor: Option<&'static str>,
    program: Program,
    args: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Program {
    Benches,
    Node,
    Other(OsString),
}

/// One value of one peer in one round.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Record {
    pub(crate) round: u32,
    pub(crate) peer: String,
    #[serde(flatten)]
    pub(crate) sample: Sample,
}

impl Peer {
    /// A peer of this binary: `benches drive <args>`.
    pub(crate) fn rust(name: &'static str, floor: Option<&'static str>, args: &[&str]) -> Self {
        let args = ["drive"].iter().chain(args).map(ToString::to_string).collect();
        Self { name, floor, program: Program::Benches, args }
    }

    /// A peer that is a program of its own.
    pub(crate) fn program(
        name: &'static str,
        floor: Option<&'static str>,
        program: &OsStr,
        args: &[&str],
    ) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self { name, floor, program: Program::Other(program.to_owned()), args }
    }

    /// A peer of `benches/js`: `node <args>`.
    pub(crate) fn js(name: &'static str, floor: Option<&'static str>, args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self { name, floor, program: Program::Node, args }
    }

    pub(crate) fn is_js(&self) -> bool {
        self.program == Program::Node
    }

    /// Runs the peer once, in a process of its own.
    pub(crate) async fn measure(&self) -> Result<Vec<Sample>> {
        let program = match &self.program {
            Program::Benches => std::env::current_exe()?,
            Program::Node => PathBuf::from("node"),
            Program::Other(program) => PathBuf::from(program),
        };
        let mut command = Command::new(program);
        command
            .args(&self.args)
            .current_dir(js_directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = command.kill_on_drop(true).spawn()?;
        let output = timeout(DEADLINE, child.wait_with_output())
            .await
            .map_err(|_| format!("`{}` did not end within {DEADLINE:?}", self.name))??;
        if !output.status.success() {
            return Err(format!("`{}` failed: {}", self.name, output.status).into());
        }
        let lines = String::from_utf8(output.stdout)?;
        lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

impl Record {
    pub(crate) fn new(round: u32, peer: &Peer, sample: Sample) -> Self {
        Self { round, peer: peer.name.to_owned(), sample }
    }
}

/// Makes a missing installation an error before anything is measured.
pub(crate) fn check_js_installed() -> Result<()> {
    let directory = js_directory().join("../../tests/interop/node");
    if directory.join("node_modules").is_dir() && node_version().is_some() {
        return Ok(());
    }
    let directory = directory.display();
    Err(format!(
        "the JS peers need Node.js and `npm ci` in {directory}; give --no-js to leave them out"
    )
    .into())
}

/// The version of the Node.js that runs the JS peers, when there is one.
pub(crate) fn node_version() -> Option<String> {
    let output = std::process::Command::new("node").arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok().map(|version| version.trim().to_owned())
}

fn js_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("js")
}
