//! One test for each rule of what is told and what is taken over.

use super::*;

/// A node in a registry whose own node is "me".
struct Node {
    id: NodeId,
    available: bool,
    seq: u64,
    cpu: (u64, f64),
    info: Arc<NodeInfo>,
}

impl Node {
    fn row(&self) -> NodeRow<'_> {
        NodeRow {
            id: &self.id,
            local: self.id == "me",
            available: self.available,
            seq: self.seq,
            cpu_seq: self.cpu.0,
            cpu: Some(self.cpu.1),
            info: Some(&self.info),
        }
    }
}

fn node(id: &str, available: bool, seq: u64) -> Node {
    Node { id: id.into(), available, seq, cpu: (7, 20.0), info: info(seq) }
}

fn info(seq: u64) -> Arc<NodeInfo> {
    Arc::new(NodeInfo { seq, ..NodeInfo::default() })
}

fn online(id: &str, seq: u64, cpu_seq: u64) -> GossipRequest {
    let row = OnlineRow { seq, cpu_seq, cpu: 50.0 };
    GossipRequest { online: vec![(id.into(), row)], offline: vec![] }
}

fn offline(id: &str, seq: u64) -> GossipRequest {
    GossipRequest { online: vec![], offline: vec![(id.into(), seq)] }
}

fn nothing() -> Answer {
    Answer::default()
}

fn tells(id: &str, row: NewsRow) -> Answer {
    Answer {
        response: Some(GossipResponse { online: vec![(id.into(), row)], offline: vec![] }),
        changes: vec![],
    }
}

/// All three elements.
fn tells_info(id: &str, seq: u64) -> Answer {
    let row = NewsRow { info: Some(info(seq)), cpu: Some((7, 20.0)) };
    tells(id, row)
}

fn tells_offline(id: &str, seq: u64) -> Answer {
    Answer {
        response: Some(GossipResponse { online: vec![], offline: vec![(id.into(), seq)] }),
        changes: vec![],
    }
}

fn changes(change: Change) -> Answer {
    Answer { response: None, changes: vec![change] }
}

fn gone(node: &str, seq: u64) -> Change {
    Change::Offline { node: node.into(), seq }
}

fn cpu(node: &str, cpu_seq: u64) -> Change {
    Change::Cpu { node: node.into(), cpu_seq, cpu: 50.0 }
}

/// What a node answers that knows of one node.
fn check(ours: &Node, request: &GossipRequest, expected: &Answer) {
    let found = answer([ours.row()], request);
    assert_eq!(found, *expected, "{request:?}");
}

#[test]
fn who_does_not_know_a_node_or_has_an_older_view_is_told() {
    let none = GossipRequest::default();
    for id in ["a", "me"] {
        let here = node(id, true, 3);
        for request in [&none, &online(id, 2, 9), &online(id, 0, 9), &offline(id, 2)] {
            check(&here, request, &tells_info(id, 3));
        }
    }
    let away = node("a", false, 3);
    for request in [&none, &online("a", 2, 9), &offline("a", 2)] {
        check(&away, request, &tells_offline("a", 3));
    }
    // A seq of 0 is none, even where the own view has no other.
    for request in [&online("a", 0, 9), &offline("a", 0)] {
        check(&node("a", true, 0), request, &tells_info("a", 0));
    }
    // Known by its address only, or back without an info: nothing to tell.
    check(&node("a", false, 0), &none, &nothing());
    let bare = node("a", true, 3);
    let bare = NodeRow { info: None, ..bare.row() };
    assert_eq!(answer([bare], &none), nothing());
}

#[test]
fn two_offline_views_take_the_larger_seq() {
    let away = node("a", false, 3);
    check(&away, &offline("a", 4), &changes(gone("a", 4)));
    check(&away, &offline("a", 3), &nothing());
}

#[test]
fn a_node_that_the_requester_lost_is_marked_offline() {
    let here = node("a", true, 3);
    check(&here, &offline("a", 3), &changes(gone("a", 3)));
    check(&here, &offline("a", 4), &changes(gone("a", 4)));
}

#[test]
fn a_node_that_is_said_to_be_gone_comes_back_with_a_higher_seq() {
    let mut me = node("me", true, 3);
    assert_eq!(rejoin(&me.row(), &offline("me", 2)), None);
    assert_eq!(rejoin(&me.row(), &offline("a", 9)), None);
    assert_eq!(rejoin(&me.row(), &online("me", 9, 0)), None);
    assert_eq!(rejoin(&me.row(), &offline("me", 3)), Some(4));
    assert_eq!(rejoin(&me.row(), &offline("me", 6)), Some(7));
    me.seq = 7;
    me.info = info(7);
    check(&me, &offline("me", 6), &tells_info("me", 7));
    // At the end of all numbers it can only insist.
    me.seq = rejoin(&me.row(), &offline("me", u64::MAX)).unwrap();
    assert_eq!(me.seq, u64::MAX);
    check(&me, &offline("me", u64::MAX), &tells_info("me", 7));
}

#[test]
fn the_newer_load_wins() {
    for id in ["a", "me"] {
        let here = node(id, true, 3);
        check(&here, &online(id, 3, 8), &changes(cpu(id, 8)));
        check(&here, &online(id, 3, 7), &nothing());
        let row = NewsRow { info: None, cpu: Some((7, 20.0)) };
        check(&here, &online(id, 3, 6), &tells(id, row.clone()));
        check(&here, &online(id, 4, 6), &tells(id, row));
    }
}

#[test]
fn a_node_that_only_the_requester_sees_is_left_to_the_own_gossip() {
    check(&node("a", false, 3), &online("a", 3, 8), &nothing());
    check(&node("a", false, 3), &online("a", 4, 8), &nothing());
    check(&node("a", false, 0), &online("a", 4, 8), &nothing());
}

#[test]
fn unknown_nodes_in_a_request_are_ignored() {
    let (me, mut request) = (node("me", true, 3), online("x", 9, 9));
    request.offline.push(("y".into(), 9));
    request.online.extend(online("me", 3, 7).online);
    check(&me, &request, &nothing());
}

fn response(id: &str, info: Option<Arc<NodeInfo>>, cpu: Option<(u64, f64)>) -> GossipResponse {
    GossipResponse { online: vec![(id.into(), NewsRow { info, cpu })], offline: vec![] }
}

fn check_apply(ours: &Node, response: &GossipResponse, expected: &[Change]) {
    let found = apply(response, |id| (*id == ours.id).then(|| ours.row()));
    assert_eq!(found, expected, "{response:?}");
}

fn came(node: &str, seq: u64) -> Change {
    Change::Info { node: node.into(), info: info(seq) }
}

#[test]
fn a_response_brings_newer_infos() {
    let full = |seq| response("a", Some(info(seq)), Some((8, 50.0)));
    let both = [came("a", 4), cpu("a", 8)];
    check_apply(&node("a", true, 3), &full(4), &both);
    check_apply(&node("a", false, 3), &full(4), &both);
    check_apply(&node("b", true, 3), &full(4), &both);
    // The info is old, the load is not.
    check_apply(&node("a", true, 4), &full(4), &[cpu("a", 8)]);
    check_apply(&node("a", false, 4), &full(4), &[]);
    let bare = response("a", Some(info(4)), None);
    check_apply(&node("a", true, 3), &bare, &[came("a", 4)]);
    // A first info is news even without a seq.
    let first = response("b", Some(info(0)), Some((0, 0.0)));
    check_apply(&node("a", true, 3), &first, &[came("b", 0)]);
}

#[test]
fn a_response_brings_newer_loads() {
    let load = |cpu_seq| response("a", None, Some((cpu_seq, 50.0)));
    check_apply(&node("a", true, 3), &load(8), &[cpu("a", 8)]);
    check_apply(&node("a", true, 3), &load(7), &[]);
    check_apply(&node("a", false, 3), &load(8), &[]);
    check_apply(&node("b", true, 3), &load(8), &[]);
}

#[test]
fn a_response_tells_who_is_gone() {
    let away = |seq| GossipResponse { online: vec![], offline: vec![("a".into(), seq)] };
    check_apply(&node("a", true, 3), &away(4), &[gone("a", 4)]);
    check_apply(&node("a", false, 3), &away(4), &[gone("a", 4)]);
    check_apply(&node("a", true, 3), &away(3), &[]);
    check_apply(&node("b", true, 3), &away(4), &[]);
}

#[test]
fn nobody_can_tell_a_node_about_itself() {
    let mut rows = response("me", Some(info(9)), Some((9, 50.0)));
    rows.offline.push(("me".into(), u64::MAX));
    check_apply(&node("me", true, 3), &rows, &[]);
}

#[test]
fn what_is_no_number_is_no_load() {
    let (me, here) = (node("me", true, 3), node("a", true, 3));
    for load in [f64::NAN, f64::INFINITY] {
        let mut request = online("a", 3, 8);
        request.online[0].1.cpu = load;
        check(&here, &request, &nothing());
        check_apply(&here, &response("a", None, Some((8, load))), &[]);

        let ill = NodeRow { cpu: Some(load), ..here.row() };
        let round = round([me.row(), ill], || 0.0).unwrap();
        assert_eq!(round.request.online[1].1.cpu, 0.0);
        let news = news([ill]).unwrap();
        assert_eq!(news.online[0].1.cpu, Some((7, 0.0)));
    }
}

#[test]
fn news_of_a_node_that_changed_or_stops() {
    assert_eq!(news([node("me", true, 4).row()]), tells_info("me", 4).response);
    assert_eq!(news([node("me", false, 5).row()]), tells_offline("me", 5).response);
    assert_eq!(news([]), None);
}

#[test]
fn a_request_shows_what_the_node_knows() {
    let nodes = [node("me", true, 3), node("a", true, 0), node("b", false, 5), node("c", false, 0)];
    let rows = nodes.iter().map(Node::row);
    let request = round(rows, || 0.0).unwrap().request;
    let row = |seq| OnlineRow { seq, cpu_seq: 7, cpu: 20.0 };
    assert_eq!(request.online, [("me".into(), row(3)), ("a".into(), row(0))]);
    assert_eq!(request.offline, [("b".into(), 5)]);
    assert_eq!(round([nodes[0].row()], || 0.0), None);
}

/// Whom a node gossips to that knows `online` and `offline` others, with
/// these random numbers.
fn targets(online: usize, offline: usize, random: &[f64]) -> Vec<String> {
    let mut nodes = vec![node("me", true, 1)];
    nodes.extend((0..online).map(|n| node(&format!("on{n}"), true, 1)));
    nodes.extend((0..offline).map(|n| node(&format!("off{n}"), false, 0)));
    let mut random = random.iter();
    let round = round(nodes.iter().map(Node::row), || *random.next().unwrap()).unwrap();
    assert_eq!(random.next(), None, "all numbers are used");
    round.targets.iter().map(ToString::to_string).collect()
}

#[test]
fn offline_nodes_are_probed_by_their_share() {
    assert_eq!(targets(0, 1, &[0.9]), ["off0"]);
    assert_eq!(targets(0, 4, &[0.5]), ["off2"]);
    assert_eq!(targets(2, 0, &[0.5, 0.0]), ["on1"]);
    // One offline node to two others and the local one.
    assert_eq!(targets(2, 1, &[0.0, 0.34]), ["on0"]);
    assert_eq!(targets(2, 1, &[0.0, 0.33, 0.0]), ["on0", "off0"]);
    assert_eq!(targets(2, 3, &[0.99, 0.99]), ["on1", "off2"]);
    // Out of range is no reason to panic.
    assert_eq!(targets(2, 3, &[1.0, f64::NAN]), ["on1", "off0"]);
}
