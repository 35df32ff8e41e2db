//! The state of the machine and the process, as `$node.health` tells it.

use std::{env, fs, thread::available_parallelism};

use moleculer_protocol::{Object, Value};

use crate::{broker::now, secrets::mask_arguments, system};

pub(crate) fn health() -> Object {
    let client = [("type", "rust"), ("version", env!("CARGO_PKG_VERSION"))];
    let client = client.into_iter().chain([("langVersion", system::RUST_VERSION)]);
    Object::from([
        ("cpu", Value::from(cpu())),
        ("mem", memory(&read("/proc/meminfo")).into()),
        ("os", os().into()),
        ("process", process().into()),
        ("client", client.collect::<Object>().into()),
        ("net", Object::from([("ip", system::ip_list())]).into()),
        ("time", time(now()).into()),
    ])
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn cpu() -> Object {
    let text = read("/proc/loadavg");
    let mut loads = text.split_whitespace().map(|load| load.parse().unwrap_or(0.0));
    let [load1, load5, load15] = [(); 3].map(|()| loads.next().unwrap_or(0.0));
    let cores = available_parallelism().map_or(1, usize::from);
    let utilization = (load1 * 100.0 / cores as f64).floor().min(100.0);
    [
        ("load1", Value::from(load1)),
        ("load5", load5.into()),
        ("load15", load15.into()),
        ("cores", cores.into()),
        ("utilization", utilization.into()),
    ]
    .into()
}

/// The percentage is that of free memory, as in the reference.
fn memory(meminfo: &str) -> Object {
    let bytes = |name: &str| kilobytes(meminfo, name).unwrap_or(0) * 1024;
    let (free, total) = (bytes("MemAvailable:"), bytes("MemTotal:"));
    let percent = if total == 0 { 0.0 } else { free as f64 * 100.0 / total as f64 };
    [("free", Value::from(free)), ("total", total.into()), ("percent", percent.into())].into()
}

/// A line such as `MemTotal:   1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn uptime() -> f64 {
    read("/proc/uptime").split_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or(0.0)
}

/// Names are those that Node.js has for systems and processors.
fn os() -> Object {
    let (kind, platform) = match env::consts::OS {
        "macos" => ("Darwin", "darwin"),
        "windows" => ("Windows_NT", "win32"),
        "linux" => ("Linux", "linux"),
        other => (other, other),
    };
    let arch = match env::consts::ARCH {
        "x86_64" => "x64",
        "x86" => "ia32",
        "aarch64" => "arm64",
        other => other,
    };
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).or_else(|_| env::var("USERNAME"));
    let release = Some(read("/proc/sys/kernel/osrelease").trim().to_owned());
    [
        ("uptime", Value::from(uptime())),
        ("type", kind.into()),
        ("release", release.filter(|text| !text.is_empty()).into()),
        ("hostname", system::hostname().into()),
        ("arch", arch.into()),
        ("platform", platform.into()),
        ("user", Object::from([("username", user.ok())]).into()),
    ]
    .into()
}

fn process() -> Object {
    let memory = kilobytes(&read("/proc/self/status"), "VmRSS:").map(|size| size * 1024);
    let arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    [
        ("pid", Value::from(std::process::id())),
        ("memory", Object::from([("rss", memory.unwrap_or(0))]).into()),
        ("uptime", process_uptime(&read("/proc/self/stat"), uptime()).into()),
        ("argv", mask_arguments(arguments).into()),
    ]
    .into()
}

/// Seconds since the process started.
fn process_uptime(stat: &str, uptime: f64) -> f64 {
    /// Fixed for programs, whatever the kernel counts in.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The name before the bracket may hold anything; 20th after it is the start.
    let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19));
    let start = start.and_then(|ticks| ticks.parse::<f64>().ok());
    start.map_or(0.0, |ticks| (uptime - ticks / TICKS_PER_SECOND).max(0.0))
}

/// A time in milliseconds since 1970, also as text.
fn time(now: i64) -> Object {
    let (days, ms) = (now.div_euclid(86_400_000), now.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let iso = format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    );
    // The first day of 1970 was a Thursday.
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let name = MONTHS[month as usize - 1];
    let utc = format!("{weekday}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
    [("now", Value::from(now)), ("iso", iso.into()), ("utc", utc.into())].into()
}

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month and day of a day counted from 1970.
fn date(days: i64) -> (i64, i64, i64) {
    // Counted in years that begin in March, leap days come last; 400 years
    // have 146 097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_written_as_javascript_writes_them() {
        for (now, iso, utc) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_704_067_199_999, "2023-12-31T23:59:59.999Z", "Sun, 31 Dec 2023 23:59:59 GMT"),
            (1_794_000_645_007, "2026-11-06T21:30:45.007Z", "Fri, 06 Nov 2026 21:30:45 GMT"),
        ] {
            let expected = json!({"now": now, "iso": iso, "utc": utc});
            assert_eq!(Value::from(time(now)), expected.into());
        }
    }

    #[test]
    fn memory_tells_the_free_share() {
        let meminfo = "MemTotal:        8000 kB\nMemFree: 10 kB\nMemAvailable:    2000 kB\n";
        let expected = json!({"free": 2_048_000, "total": 8_192_000, "percent": 25.0});
        assert_eq!(Value::from(memory(meminfo)), expected.into());
        assert_eq!(Value::from(memory("")), json!({"free": 0, "total": 0, "percent": 0.0}).into());
    }

    #[test]
    fn a_process_started_some_ticks_after_the_system() {
        let stat = "17 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 2500 20";
        assert_eq!(process_uptime(stat, 40.0), 15.0);
        assert_eq!(process_uptime("", 40.0), 0.0);
    }
}
