//! The static list of nodes: option `urls`.

use moleculer_core::{Error, NodeId, PeerAddress, Result};
use serde::Deserialize;

/// Nodes that are known from the start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Urls {
    /// Entries separated by commas, or `file://path` of a file that holds
    /// JSON, or one entry in each line.
    Text(String),
    /// Entries of the form `tcp://host:port/nodeID`; `tcp://` may be missing.
    List(Vec<String>),
    /// `tcp://host:port` by node id.
    ByNode(std::collections::BTreeMap<String, String>),
}

/// A node of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaticPeer {
    pub(crate) node: NodeId,
    pub(crate) host: String,
    pub(crate) port: u16,
}

const FILE: &str = "file://";

impl Urls {
    /// Takes the list apart.
    ///
    /// # Errors
    ///
    /// When an entry is malformed or a file cannot be read.
    pub(crate) fn peers(&self) -> Result<Vec<StaticPeer>> {
        match self {
            Self::Text(text) => match text.trim().strip_prefix(FILE) {
                Some(path) => from_file(path),
                None => all(text.split(',')),
            },
            Self::List(entries) => all(entries.iter().map(String::as_str)),
            Self::ByNode(by_node) => by_node
                .iter()
                .map(|(node, url)| parse(&format!("{}/{node}", url.trim_end_matches('/'))))
                .collect(),
        }
    }

    /// As [`peers`](Self::peers), but without reading a file.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Text(text) if text.trim().starts_with(FILE) => Ok(()),
            list => list.peers().map(drop),
        }
    }
}

impl From<&str> for Urls {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl StaticPeer {
    pub(crate) fn address(&self) -> PeerAddress {
        PeerAddress {
            hostname: Some(self.host.clone()),
            ip_list: vec![self.host.clone()],
            port: Some(self.port),
            ..PeerAddress::default()
        }
    }
}

fn from_file(path: &str) -> Result<Vec<StaticPeer>> {
    let unusable = |reason: &dyn std::fmt::Display| {
        Error::options(format!("urls: the file '{path}' cannot be used: {reason}"))
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
    if !text.trim_start().starts_with(['{', '[']) {
        return all(text.lines());
    }
    match serde_json::from_str(&text).map_err(|error| unusable(&error))? {
        Urls::Text(_) => Err(unusable(&"it must hold a list or an object")),
        list => list.peers(),
    }
}

fn all<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Vec<StaticPeer>> {
    entries.map(str::trim).filter(|entry| !entry.is_empty()).map(parse).collect()
}

/// The last colon separates the port, so that IPv6 addresses need no brackets.
fn parse(entry: &str) -> Result<StaticPeer> {
    let parts = || {
        let (address, node) = entry.strip_prefix("tcp://").unwrap_or(entry).split_once('/')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (!host.is_empty() && !node.is_empty()).then(|| StaticPeer {
            node: node.into(),
            host: host.to_owned(),
            port,
        })
    };
    parts().ok_or_else(|| {
        Error::options(format!("urls: '{entry}' is not of the form tcp://host:port/nodeID"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(urls: &str, expected: &[(&str, &str, u16)]) {
        let urls: Urls = serde_json::from_str(urls).unwrap();
        let peers = urls.peers().unwrap();
        let found: Vec<_> =
            peers.iter().map(|peer| (&*peer.node, &*peer.host, peer.port)).collect();
        assert_eq!(found, expected, "{urls:?}");
    }

    #[test]
    fn every_form_of_the_list() {
        check(r#""tcp://h1:1/a""#, &[("a", "h1", 1)]);
        check(r#""h1:1/a, tcp://h2:2/b,""#, &[("a", "h1", 1), ("b", "h2", 2)]);
        check(
            r#"["::1:1/a", "tcp://[fe80::2]:2/b-2.c"]"#,
            &[("a", "::1", 1), ("b-2.c", "fe80::2", 2)],
        );
        check(r#"{"b": "tcp://h2:2", "a": "h1:1/"}"#, &[("a", "h1", 1), ("b", "h2", 2)]);
        check("[]", &[]);
    }

    #[test]
    fn malformed_entries_are_named() {
        for entry in ["h1/a", "h1:1", "h1:1/", ":1/a", "h1:0/a", "h1:65536/a", "http://h1:1/a"] {
            let error = Urls::from(entry).peers().unwrap_err();
            let expected = format!("urls: '{entry}' is not of the form tcp://host:port/nodeID");
            assert_eq!(error.message(), expected);
        }
    }

    #[test]
    fn lists_in_files() {
        let path = std::env::temp_dir().join(format!("moleculer-urls-{}", std::process::id()));
        let urls = Urls::Text(format!("file://{}", path.display()));
        let b = StaticPeer { node: "b".into(), host: "h2".into(), port: 2 };
        for text in ["\ntcp://h2:2/b\n\n", r#" ["h2:2/b"]"#, r#"{"b": "tcp://h2:2"}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(urls.peers().unwrap(), std::slice::from_ref(&b), "{text:?}");
        }
        std::fs::write(&path, "[5]").unwrap();
        assert!(urls.peers().unwrap_err().message().contains("cannot be used"));
        std::fs::remove_file(&path).unwrap();
        assert!(urls.peers().unwrap_err().message().contains("cannot be used"));
        assert!(urls.check().is_ok(), "it is read when the node connects");
    }
}
