//! Running programs from the root of the workspace.
#![expect(
    clippy::disallowed_types,
    reason = "nobody pauses the clock of this program, and it has no tokio"
)]

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How often a silent program is asked whether it has ended.
const POLL: Duration = Duration::from_millis(50);
/// How long output may still arrive after the program has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) lines: Vec<String>,
    pub(crate) end: End,
}

#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Exited(ExitStatus),
    /// It ran into its time limit and was killed.
    TimedOut,
    /// It exited, but a process that it started lives on and holds its output.
    LeftProcess,
}

impl End {
    /// Says what went wrong, if anything did.
    pub(crate) fn error(&self) -> Option<String> {
        match self {
            Self::Exited(status) if status.success() => None,
            Self::Exited(status) => Some(format!("ended with {status}")),
            Self::TimedOut => Some("did not end in time and was killed".to_owned()),
            Self::LeftProcess => Some("ended, but left a process behind".to_owned()),
        }
    }
}

pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The cargo that runs us, for another command.
///
/// What it told us about our own package would reach build scripts that ask
/// for these variables, and make cargo build their crates once more.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(args).current_dir(root());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs a program to its end, showing its output as it comes and keeping what
/// it wrote to stdout.
///
/// # Errors
///
/// The program could not be started or watched.
pub(crate) fn stream(command: &mut Command, limit: Option<Duration>) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let lines = read_lines(child.stdout.take());
    collect(&mut child, &lines, limit)
}

/// Runs a program for its effect, showing the command and its output.
///
/// # Errors
///
/// A message if it could not be started or failed.
pub(crate) fn show(command: &mut Command) -> Result<(), String> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    println!("{line}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(e) => Err(format!("cannot run `{line}`: {e}")),
    }
}

/// Runs a program in the place of this one: with the same input and output.
/// What it exits with is success, misuse (2) or failure.
pub(crate) fn exit_code(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) => match status.code() {
            Some(0) => ExitCode::SUCCESS,
            Some(2) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        },
        Err(e) => {
            eprintln!("error: cannot run {}: {e}", command.get_program().display());
            ExitCode::FAILURE
        }
    }
}

/// Runs a program for its stdout alone.
///
/// # Errors
///
/// A message if it could not be started or failed.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let last_line = message.trim().lines().last().unwrap_or_default();
    Err(format!("{name} ended with {}: {last_line}", output.status))
}

fn read_lines(stdout: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = stdout.map(BufReader::new);
        let mut line = Vec::new();
        while let Some(Ok(1..)) = reader.as_mut().map(|r| r.read_until(b'\n', &mut line)) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches(['\r', '\n']).to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

fn collect(
    child: &mut Child,
    output: &Receiver<String>,
    limit: Option<Duration>,
) -> io::Result<Output> {
    let started = Instant::now();
    let mut lines = Vec::new();
    let mut exited = None;
    let end = loop {
        match output.recv_timeout(if exited.is_some() { DRAIN } else { POLL }) {
            Ok(line) => {
                println!("{line}");
                lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break End::Exited(child.wait()?),
            Err(RecvTimeoutError::Timeout) if exited.is_some() => break End::LeftProcess,
            Err(RecvTimeoutError::Timeout) => exited = child.try_wait()?,
        }
        if exited.is_none() && limit.is_some_and(|limit| started.elapsed() > limit) {
            child.kill()?;
            child.wait()?;
            break End::TimedOut;
        }
    };
    Ok(Output { lines, end })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Option<Duration>) -> Output {
        stream(Command::new("sh").args(["-c", script]), limit).expect("sh starts")
    }

    #[test]
    fn lines_and_exit_code_are_kept() {
        let output = sh("echo one; printf 'two\\r\\nthree'; exit 3", None);
        assert_eq!(output.lines, ["one", "two", "three"]);
        assert_eq!(output.end.error().as_deref(), Some("ended with exit status: 3"));
    }

    #[test]
    fn success_is_no_error() {
        assert_eq!(sh("exit 0", None).end.error(), None);
    }

    #[test]
    fn a_hanging_program_is_killed() {
        let started = Instant::now();
        let output = sh("echo before; exec sleep 600", Some(Duration::from_secs(2)));
        assert!(started.elapsed() < Duration::from_secs(300), "it ended by itself");
        assert_eq!(output.lines, ["before"]);
        assert_eq!(output.end, End::TimedOut);
    }

    #[test]
    fn a_process_left_behind_is_noticed() {
        let output = sh("sleep 600 & echo $!", None);
        let kill = Command::new("kill").args(&output.lines).status();
        assert!(kill.expect("there is kill").success(), "{output:?}");
        assert_eq!(output.end, End::LeftProcess);
    }

    #[test]
    fn show_names_the_command_that_failed() {
        let error = show(Command::new("false").arg("now"));
        assert_eq!(error, Err("`false now` ended with exit status: 1".to_owned()));
        assert_eq!(show(&mut Command::new("true")), Ok(()));
        let error = show(Command::new("no-such-program").arg("x")).expect_err("does not exist");
        assert!(error.starts_with("cannot run `no-such-program x`: "), "{error}");
    }

    #[test]
    fn capture_reports_the_last_line_of_an_error() {
        let error = capture(Command::new("sh").args(["-c", "echo a >&2; echo b >&2; exit 1"]));
        assert_eq!(error, Err("sh ended with exit status: 1: b".to_owned()));
        assert_eq!(capture(Command::new("sh").args(["-c", "echo ' 1.2 '"])), Ok("1.2".to_owned()));
    }
}
