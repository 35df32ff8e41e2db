//! Counting the system calls of processes, where `perf` is installed and allowed to.

use std::process::{Child, Command, Stdio};

/// All system calls, and those that write to sockets: std's sockets use no `write`, eventfds do.
const EVENTS: &str = "raw_syscalls:sys_enter,syscalls:sys_enter_sendto,\
    syscalls:sys_enter_sendmsg,syscalls:sys_enter_writev";
/// For how long, in seconds.
const WINDOW: &str = "0.4";

/// A running count.
pub(crate) struct Counting(Child);

/// How many there were in a second.
#[derive(Debug, PartialEq)]
pub(crate) struct PerSecond {
    pub(crate) all: f64,
    pub(crate) writes: f64,
}

/// Starts to count; `None` without `perf`.
pub(crate) fn count(pids: [u32; 2]) -> Option<Counting> {
    let pids = format!("{},{}", pids[0], pids[1]);
    let child = Command::new("perf")
        .args(["stat", "-x", ";", "-e", EVENTS, "-p", &pids, "--", "sleep", WINDOW])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    child.ok().map(Counting)
}

impl Counting {
    /// What was counted, unless that was not allowed. Waits for the end.
    pub(crate) fn per_second(self) -> Option<PerSecond> {
        let output = self.0.wait_with_output().ok()?;
        parse(&String::from_utf8(output.stderr).ok()?)
    }
}

/// Lines of `count;unit;event;...`.
fn parse(report: &str) -> Option<PerSecond> {
    let window: f64 = WINDOW.parse().ok()?;
    let mut counts = report.lines().filter_map(|line| {
        let count = line.split(';').next()?;
        line.contains("sys_enter").then(|| count.parse::<f64>().ok())
    });
    let all = counts.next()?? / window;
    let writes = counts.sum::<Option<f64>>()? / window;
    Some(PerSecond { all, writes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_rates() {
        let report = "800;;raw_syscalls:sys_enter;1;100.00;;\n\
            40;;syscalls:sys_enter_sendto;1;100.00;;\n4;;syscalls:sys_enter_writev;1;100.00;;\n";
        assert_eq!(parse(report), Some(PerSecond { all: 2000.0, writes: 110.0 }));
    }

    #[test]
    fn what_is_not_allowed_counts_nothing() {
        assert_eq!(parse("Error:\nNo permission\n"), None);
        assert_eq!(parse("<not supported>;;raw_syscalls:sys_enter;0;100.00;;\n"), None);
    }
}
