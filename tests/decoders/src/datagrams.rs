//! Announcements by UDP.

use moleculer_protocol::tcp::Announcement;

use crate::{
    Target,
    memory::bounded,
    vectors::{hex, read, text},
};

pub(crate) fn target() -> Target {
    Target::new("datagrams", check, seeds)
}

fn check(input: &[u8]) {
    let Ok(announcement) = bounded(input.len(), || Announcement::parse(input)) else { return };
    let text = announcement.encode().expect("what was parsed can be encoded");
    assert_eq!(Announcement::parse(text.as_bytes()), Ok(announcement));
}

fn seeds() -> Vec<Vec<u8>> {
    let file = read("0.14/tcp.json");
    let datagrams = file.get("udpDatagrams").and_then(|list| list.as_array()).expect("datagrams");
    let datagrams = datagrams.iter().map(|datagram| datagram.as_object().expect("a datagram"));
    datagrams.map(|datagram| hex(text(datagram, "hex")).to_vec()).collect()
}
