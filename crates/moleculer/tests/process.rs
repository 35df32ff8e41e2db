//! A node as a process: what it prints, and how it ends.
//!
//! The program is its own node: with `ROLE` set it is one, otherwise it starts
//! them. Signals are sent as Unix does it.
#![allow(clippy::print_stdout, reason = "the nodes tell the tests how far they are")]

use std::{
    env,
    future::poll_fn,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    task::Poll,
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use moleculer::{
    BytesFn, InProcessNetwork, Middleware, ServiceHandle, logging,
    prelude::{BuildBroker, Error, Result, Service, ServiceBroker},
};

const ROLE: &str = "ROLE_OF_THE_TESTED_NODE";

/// How long a node may take for each step.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> Result<ExitCode> {
    match env::var(ROLE) {
        Ok(role) => node(&role).map(|()| ExitCode::SUCCESS),
        Err(_) if cfg!(not(unix)) => Ok(ExitCode::SUCCESS),
        Err(_) => Ok(libtest_mimic::run(&Arguments::from_args(), cases()).exit_code()),
    }
}

fn cases() -> Vec<Trial> {
    let case = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok::<(), Failed>(())
        })
    };
    vec![
        case("it_says_who_it_is_and_ends_when_told", it_says_who_it_is_and_ends_when_told),
        case("ctrl_c_is_no_failure_either", ctrl_c_is_no_failure_either),
        case("a_second_signal_ends_it_at_once", a_second_signal_ends_it_at_once),
        case("a_second_signal_ends_a_blocked_node", a_second_signal_ends_a_blocked_node),
        case("a_service_that_fails_to_stop_is_reported", a_service_that_fails_to_stop_is_reported),
        case("a_wrong_option_is_told_in_words", a_wrong_option_is_told_in_words),
        case("a_service_that_fails_to_start_is_told", a_service_that_fails_to_start_is_told),
        case("a_second_node_of_the_same_id_ends", a_second_node_of_the_same_id_ends),
        case("log_lines_follow_the_level", log_lines_follow_the_level),
    ]
}

/// What the nodes are.
fn node(role: &str) -> Result<()> {
    let mut runtime = match role {
        "blocked" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime =
        runtime.enable_all().build().map_err(|error| Error::internal(error.to_string()))?;
    runtime.block_on(run(role.to_owned()))
}

async fn run(role: String) -> Result<()> {
    let options = moleculer::config::load()?;
    logging::init(&options)?;
    let network = InProcessNetwork::default();
    let mut builder = ServiceBroker::builder().options(options).service(service(&role));
    if role == "twin" {
        builder = builder.node_id("twin").transporter(network.transporter());
    }
    let broker = builder.start().await?;
    let twin = async {
        if role == "twin" {
            let twin = ServiceBroker::builder().middleware(Liar);
            twin.transporter(network.transporter()).start().await.map(drop)
        } else {
            Ok(())
        }
    };
    let run = broker.run_until_signal();
    tokio::pin!(run);
    // Polled once, it listens.
    let early = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx))).await;
    println!("ready");
    if let Poll::Ready(ended) = early {
        return ended;
    }
    let (ended, started): (_, Result<()>) = tokio::join!(run, twin);
    println!("ended");
    started.and(ended)
}

/// Tells other nodes that its node id is `twin`, and that it is the one of the
/// two that stays.
#[derive(Debug)]
struct Liar;

impl Middleware for Liar {
    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        Arc::new(move |kind, bytes| {
            let mut packet: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            packet["sender"] = "twin".into();
            if let Some(instance) = packet.get_mut("instanceID") {
                *instance = "0".into();
            }
            next(kind, packet.to_string().into())
        })
    }
}

fn service(role: &str) -> Service {
    let role = role.to_owned();
    let failing = role == "not-started";
    Service::builder("greeter")
        .started(move |_: ServiceHandle, ()| async move {
            if failing { Err(Error::internal("no database")) } else { Ok(()) }
        })
        .stopped(move |_: ServiceHandle, ()| {
            let role = role.clone();
            async move {
                println!("stopping");
                match role.as_str() {
                    "stubborn" => std::future::pending().await,
                    "blocked" => loop {
                        thread::park();
                    },
                    "failing" => Err(Error::internal("the disk is gone")),
                    _ => Ok(()),
                }
            }
        })
        .build()
}

/// A node and what it prints, until it is dropped.
struct Node {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Node {
    fn start(role: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env::current_exe().expect("a path"))
            .env_remove("RUST_LOG")
            .env("NODEID", "node-1")
            .env("RUST_BACKTRACE", "0")
            .envs(variables.iter().copied())
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = lines(child.stdout.take().expect("it is piped"));
        let err = lines(child.stderr.take().expect("it is piped"));
        Self { child, out, err }
    }

    fn prints(&self, expected: &str) {
        loop {
            let line = self.out.recv_timeout(LIMIT).unwrap_or_else(|error| {
                let log: Vec<_> = self.err.try_iter().collect();
                panic!("no line {expected:?}: {error}; {log:?}")
            });
            if line == expected {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// How it ended, and its standard error.
    fn ends(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        loop {
            match self.err.recv_timeout(LIMIT) {
                Ok(line) => log.push_str(&(line + "\n")),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {log}"),
            }
        }
        (self.child.wait().expect("it ends"), log)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already where the test passed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn it_says_who_it_is_and_ends_when_told() {
    let node = Node::start("plain", &[("NAMESPACE", "dev"), ("TRANSPORTER", "")]);
    node.prints("ready");
    node.signal("TERM");
    node.prints("stopping");
    node.prints("ended");
    let (status, log) = node.ends();
    assert_eq!(status.code(), Some(0), "{log}");
    for expected in [
        "Moleculer for Rust starts node_id=node-1 namespace=\"dev\"",
        concat!("version=\"", env!("CARGO_PKG_VERSION"), "\" protocol=5"),
        "transporter=\"none\" serializer=\"none\"",
        "started node_id=node-1 services=2",
        "told to end node_id=node-1 signal=\"SIGTERM\"",
        "stopped node_id=node-1",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

fn ctrl_c_is_no_failure_either() {
    let node = Node::start("plain", &[]);
    node.prints("ready");
    node.signal("INT");
    assert_eq!(node.ends().0.code(), Some(0));
}

fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let node = Node::start("stubborn", &[]);
        node.prints("ready");
        node.signal(first);
        node.prints("stopping");
        node.signal(second);
        let (status, log) = node.ends();
        assert_eq!(status.code(), Some(130), "{log}");
        assert!(log.contains("a second signal: ended before everything has stopped"), "{log}");
    }
}

fn a_second_signal_ends_a_blocked_node() {
    let node = Node::start("blocked", &[]);
    node.prints("ready");
    node.signal("TERM");
    node.prints("stopping");
    node.signal("TERM");
    assert_eq!(node.ends().0.code(), Some(130));
}

fn a_service_that_fails_to_stop_is_reported() {
    let node = Node::start("failing", &[]);
    node.prints("ready");
    node.signal("TERM");
    let (status, log) = node.ends();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the stopped handler failed service=\"greeter\""), "{log}");
    assert!(log.contains("the disk is gone"), "{log}");
}

fn a_wrong_option_is_told_in_words() {
    let (status, log) = Node::start("plain", &[("REQUESTTIMEOUT", "soon")]).ends();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        log,
        "Error: BrokerOptionsError: the environment variable REQUESTTIMEOUT: requestTimeout: \"soon\" is no duration; write a number or a text such as \"500ms\", \"5s\" or \"2m\" (BROKER_OPTIONS_ERROR)\n"
    );
}

fn a_service_that_fails_to_start_is_told() {
    let (status, log) = Node::start("not-started", &[]).ends();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("the broker does not start node_id=node-1"), "{log}");
    assert!(log.ends_with("Error: MoleculerError: no database\n"), "{log}");
}

fn a_second_node_of_the_same_id_ends() {
    let (status, log) = Node::start("twin", &[]).ends();
    assert_eq!(status.code(), Some(1), "{log}");
    let error =
        "Error: MoleculerError: another node uses the node id 'twin'; give each node its own\n";
    assert!(log.ends_with(error), "{log}");
}

fn log_lines_follow_the_level() {
    let log_of = |variables: &[(&str, &str)]| {
        let node = Node::start("failing", variables);
        node.prints("ready");
        node.signal("TERM");
        node.ends().1
    };
    let log = log_of(&[("LOGLEVEL", "error")]);
    assert!(log.contains("ERROR") && !log.contains("INFO"), "{log}");
    let log =
        log_of(&[("LOGLEVEL", "error"), ("RUST_LOG", "moleculer_core::broker::signals=info")]);
    assert!(log.contains("told to end") && !log.contains("ERROR"), "{log}");
    assert_eq!(log_of(&[("LOGGER", "false")]), "");
    let log = log_of(&[("HOTRELOAD", "true")]);
    assert!(log.contains("WARN") && log.contains("option=\"hotReload\""), "{log}");
}
