//! Facts about the machine and the process.

use std::{fs, net::IpAddr, sync::OnceLock, time::Duration};

/// Version of the compiler that built this crate.
pub(crate) const RUST_VERSION: &str = env!("MOLECULER_RUSTC_VERSION");

/// Time between the two looks of a measurement.
const SAMPLE: Duration = Duration::from_millis(100);

/// The host name; `localhost` where the system tells none.
pub(crate) fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| fs::read_to_string("/etc/hostname"))
            .ok()
            .or_else(|| std::env::var("HOSTNAME").ok())
            .or_else(|| std::env::var("COMPUTERNAME").ok())
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "localhost".to_owned())
    })
}

/// The first IPv4 address of each interface: of those that lead outside, or
/// of the internal ones when there is no other.
pub(crate) fn ip_list() -> Vec<String> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    first_of_each(interfaces.map(|interface| {
        let internal = interface.is_loopback();
        (interface.ip(), interface.name, internal)
    }))
}

fn first_of_each(addresses: impl Iterator<Item = (IpAddr, String, bool)>) -> Vec<String> {
    let mut first: Vec<(String, String, bool)> = Vec::new();
    for (address, name, internal) in addresses.filter(|(address, ..)| address.is_ipv4()) {
        if !first.iter().any(|(_, other, _)| *other == name) {
            first.push((address.to_string(), name, internal));
        }
    }
    let all_internal = first.iter().all(|(_, _, internal)| *internal);
    let wanted = first.into_iter().filter(|(_, _, internal)| *internal == all_internal);
    wanted.map(|(address, ..)| address).collect()
}

/// CPU load of the machine in whole percent, over 100 ms; `None` where the
/// system does not tell.
pub(crate) async fn cpu_load() -> Option<f64> {
    let before = cpu_times(&fs::read_to_string("/proc/stat").ok()?)?;
    tokio::time::sleep(SAMPLE).await;
    let after = cpu_times(&fs::read_to_string("/proc/stat").ok()?)?;
    let total = after.1.saturating_sub(before.1);
    let busy = after.0.saturating_sub(before.0);
    (total > 0).then(|| (busy as f64 * 100.0 / total as f64).round())
}

/// Busy and total time of all cores, in clock ticks since the system started.
fn cpu_times(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    let total: u64 = times.iter().take(8).sum();
    // The fourth and fifth are idle time and waiting for a disk.
    let idle = times.get(3)? + times.get(4).unwrap_or(&0);
    Some((total.saturating_sub(idle), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_of_each_interface() {
        let check = |addresses: &[(&str, &str, bool)], expected: &[&str]| {
            let parsed = addresses.iter().map(|(address, name, internal)| {
                (address.parse().unwrap(), (*name).to_owned(), *internal)
            });
            assert_eq!(first_of_each(parsed), expected);
        };
        let own = ("127.0.0.1", "lo", true);
        check(&[own, ("::1", "lo", true)], &["127.0.0.1"]);
        check(
            &[
                own,
                ("fe80::1", "eth0", false),
                ("192.0.2.2", "eth0", false),
                ("192.0.2.3", "eth0", false),
                ("198.51.100.1", "eth1", false),
            ],
            &["192.0.2.2", "198.51.100.1"],
        );
        check(&[("fe80::1", "eth0", false)], &[]);
    }

    #[test]
    fn load_is_what_is_not_idle() {
        let stat = "cpu  10 0 20 60 10 0 0 0 5 5\ncpu0 1 2 3 4\n";
        assert_eq!(cpu_times(stat), Some((30, 100)));
        assert_eq!(cpu_times("nothing of the kind"), None);
    }
}
