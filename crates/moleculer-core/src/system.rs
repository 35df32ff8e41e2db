//! Facts about the machine: host name, addresses, CPU load.

use std::{
    net::{IpAddr, UdpSocket},
    sync::{Mutex, OnceLock, PoisonError},
};

/// Version of the compiler that built this crate.
pub(crate) const RUST_VERSION: &str = env!("MOLECULER_RUSTC_VERSION");

/// The host name; `localhost` where the system tells none.
pub(crate) fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .ok()
            .or_else(|| std::env::var("HOSTNAME").ok())
            .or_else(|| std::env::var("COMPUTERNAME").ok())
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "localhost".to_owned())
    })
}

/// The address from which packets to the outside leave, else loopback.
///
/// Nothing is sent: connecting a datagram socket only chooses a route.
pub(crate) fn ip_list() -> Vec<String> {
    static LIST: OnceLock<Vec<String>> = OnceLock::new();
    LIST.get_or_init(|| {
        let route = UdpSocket::bind("0.0.0.0:0")
            .and_then(|socket| socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()));
        let address = route.map_or(IpAddr::from([127, 0, 0, 1]), |local| local.ip());
        vec![address.to_string()]
    })
    .clone()
}

/// CPU load of the machine in whole percent since the last look; `None` at
/// the first look and where the system does not tell.
pub(crate) fn cpu_load() -> Option<f64> {
    static LAST: Mutex<Option<(u64, u64)>> = Mutex::new(None);
    let now = cpu_times()?;
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).replace(now)?;
    let total = now.1.saturating_sub(last.1);
    let busy = now.0.saturating_sub(last.0);
    (total > 0).then(|| (busy as f64 * 100.0 / total as f64).round())
}

/// Busy and total time of all cores, in clock ticks since the system started.
fn cpu_times() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    let total: u64 = times.iter().take(8).sum();
    // The fourth and fifth are idle time and waiting for a disk.
    let idle = times.get(3)? + times.get(4).unwrap_or(&0);
    Some((total - idle, total))
}
