//! From records to tables.

use std::{collections::BTreeMap, fmt::Write, thread};

use crate::{
    measure::{Result, median},
    options::Options,
    peer::{JS_014, JS_015, Peer, Record, TARPC, TONIC, node_version},
};

/// Says where and how the numbers were measured.
pub(crate) fn machine(options: &Options) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let node = if options.js { node_version() } else { None };
    let node = node.map_or(String::new(), |version| format!(", Node {version}"));
    format!("{cores} cores{node}, {} alternating rounds, median (minimum-maximum)", options.rounds)
}

pub(crate) fn json_lines(records: &[Record]) -> Result<String> {
    let mut lines = String::new();
    for record in records {
        writeln!(lines, "{}", serde_json::to_string(record)?)?;
    }
    Ok(lines)
}

/// One table per workload, metric by metric.
pub(crate) fn markdown(records: &[Record], peers: &[Peer]) -> String {
    let mut report = String::new();
    for workload in distinct(records.iter().map(|record| record.sample.workload.as_str())) {
        let times = !between_nodes(workload);
        let others = compared(records, workload);
        report += &format!("\n### {workload}\n\n{}", header(times, &others));
        for row in rows(records, peers, workload, &others) {
            report += &format!("| {} |\n", row.join(" | "));
        }
    }
    report
}

fn between_nodes(workload: &str) -> bool {
    workload.starts_with("remote/") || workload.starts_with("nats/")
}

/// The peers that have a column of ratios to them.
fn compared(records: &[Record], workload: &str) -> Vec<&'static str> {
    let measured = |name: &&str| {
        let mut records = records.iter();
        records.any(|record| record.peer == *name && record.sample.workload == workload)
    };
    [JS_014, JS_015, TONIC, TARPC].into_iter().filter(measured).collect()
}

fn header(times: bool, others: &[&str]) -> String {
    let mut titles =
        vec!["metric".to_owned(), "peer".to_owned(), "value".to_owned(), "÷ floor".to_owned()];
    titles.extend(
        others.iter().map(|name| {
            if times { format!("times as fast as {name}") } else { format!("÷ {name}") }
        }),
    );
    format!("| {} |\n| --- | ---{} |\n", titles.join(" | "), " | ---:".repeat(titles.len() - 2))
}

fn rows(records: &[Record], peers: &[Peer], workload: &str, others: &[&str]) -> Vec<Vec<String>> {
    let of_workload = records.iter().filter(|record| record.sample.workload == workload);
    let mut rows = Vec::new();
    for metric in distinct(of_workload.map(|record| record.sample.metric.as_str())) {
        for name in peer_names(peers) {
            let of = |peer| rounds(records, workload, metric, peer);
            let Some(own) = of(name) else { continue };
            let floor =
                peers.iter().filter(|peer| peer.name == name).find_map(|peer| of(peer.floor?));
            let mut row = vec![metric.to_owned(), name.to_owned(), spread(own.values().copied())];
            row.push(floor.map_or_else(none, |floor| ratio(&own, &floor)));
            row.extend(others.iter().map(|other| match of(other) {
                Some(_) if *other == name => none(),
                Some(other) if !between_nodes(workload) => ratio(&other, &own),
                Some(other) => ratio(&own, &other),
                None => none(),
            }));
            rows.push(row);
        }
    }
    rows
}

/// The JS peers last, whatever order the peers run in.
fn peer_names(peers: &[Peer]) -> Vec<&str> {
    let (js, rust): (Vec<&Peer>, Vec<&Peer>) = peers.iter().partition(|peer| peer.is_js());
    distinct(rust.into_iter().chain(js).map(|peer| peer.name))
}

/// The values of one peer, by round; `None` when it measured nothing of the kind.
type Rounds = BTreeMap<u32, f64>;

fn rounds(records: &[Record], workload: &str, metric: &str, peer: &str) -> Option<Rounds> {
    let matching = records.iter().filter(|record| {
        record.peer == peer && record.sample.workload == workload && record.sample.metric == metric
    });
    let rounds: Rounds = matching.map(|record| (record.round, record.sample.value)).collect();
    (!rounds.is_empty()).then_some(rounds)
}

/// A ratio is taken inside each round, so that a slow drift of the machine cancels.
fn ratio(dividend: &Rounds, divisor: &Rounds) -> String {
    spread(dividend.iter().filter_map(|(round, value)| Some(value / divisor.get(round)?)))
}

fn spread(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let middle = median(&mut values);
    match (values.first(), values.last()) {
        (Some(min), Some(max)) if min == max => number(middle),
        (Some(min), Some(max)) => format!("{} ({}-{})", number(middle), number(*min), number(*max)),
        _ => none(),
    }
}

/// Three significant digits, as far as decimals go.
fn number(value: f64) -> String {
    match value {
        10_000.0.. => format!("{:.0} k", value / 1000.0),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn none() -> String {
    "-".to_owned()
}

fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Sample;

    fn record(round: u32, peer: &str, workload: &str, value: f64) -> Record {
        let sample = Sample { workload: workload.into(), metric: "m".into(), value };
        Record { round, peer: peer.into(), sample }
    }

    fn peers() -> Vec<Peer> {
        vec![
            Peer::rust("floor", None, &[]),
            Peer::rust("ours", Some("floor"), &[]),
            Peer::js(JS_015, Some("floor"), &[]),
        ]
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut records = Vec::new();
        for (round, speed) in [(1, 1.0), (2, 10.0), (3, 2.0)] {
            records.push(record(round, "floor", "local/a", 100.0 * speed));
            records.push(record(round, "ours", "local/a", 150.0 * speed));
            records.push(record(round, JS_015, "local/a", 900.0 * speed));
        }
        let report = markdown(&records, &peers());
        assert!(report.contains("| m | ours | 300 (150-1500) | 1.50 | 6.00 |"), "{report}");
        assert!(report.contains("| m | JS 0.15.2 | 1800 (900-9000) | 9.00 | - |"), "{report}");
        assert!(
            report.contains("times as fast as JS 0.15.2") && !report.contains("0.14"),
            "{report}"
        );
    }

    #[test]
    fn remote_tables_divide_by_js() {
        let records =
            [record(1, JS_015, "remote/a", 60_000.0), record(1, "ours", "remote/a", 300_000.0)];
        let mut peers = peers();
        peers.reverse();
        let report = markdown(&records, &peers);
        let rows = "| m | ours | 300 k | - | 5.00 |\n| m | JS 0.15.2 | 60 k | - | - |\n";
        assert!(report.ends_with(rows), "{report}");
    }

    #[test]
    fn json_lines_hold_every_record() {
        let lines = json_lines(&[record(2, "ours", "local/a", 1.5)]).unwrap();
        assert_eq!(
            lines,
            "{\"round\":2,\"peer\":\"ours\",\"workload\":\"local/a\",\"metric\":\"m\",\"value\":1.5}\n"
        );
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0.845, 1.5, 16.66, 594.4, 1594.0, 313_400.0].map(number),
            ["0.84", "1.50", "16.7", "594", "1594", "313 k"]
        );
    }
}
