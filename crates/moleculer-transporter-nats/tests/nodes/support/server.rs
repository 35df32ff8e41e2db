//! A server of the test's own.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// A `nats-server` process; killed when dropped. Its port stays the same.
pub(crate) struct Server {
    arguments: Vec<OsString>,
    port: u16,
    child: Option<Child>,
    /// For questions about its connections.
    monitor: u16,
    _reserved: [Socket; 2],
}

impl Server {
    /// The program to test with, if there is one.
    pub(crate) fn program() -> Option<OsString> {
        env::var_os("MOLECULER_TEST_NATS_SERVER")
    }

    /// Starts one; the arguments are those of the program.
    pub(crate) fn start<S: Into<OsString>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut server = Self::prepare(arguments);
        server.start_again();
        server
    }

    /// Starts one with a configuration file.
    pub(crate) fn configured(text: &str) -> Self {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let file = env::temp_dir().join(format!("nats-{}-{number}.conf", std::process::id()));
        fs::write(&file, text).expect("a temporary file");
        let server = Self::start([OsString::from("-c"), file.clone().into()]);
        // It has been read.
        fs::remove_file(file).expect("it is there");
        server
    }

    /// One that is not started yet.
    pub(crate) fn prepare<S: Into<OsString>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let ((port, own), (monitor, other)) = (reserve(), reserve());
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { arguments, port, child: None, monitor, _reserved: [own, other] }
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start_again(&mut self) {
        let program = Self::program().expect("MOLECULER_TEST_NATS_SERVER is set");
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["-m", &self.monitor.to_string()]).args(&self.arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("the server starts"));
        for _ in 0..1000 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the server takes no connections");
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).expect("it can be killed");
        }
    }

    /// Stops its clock, or lets it run on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let child = self.child.as_ref().expect("it runs");
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let sent: io::Result<_> =
            Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The name of each connection and the subjects that it subscribed to, in
    /// order, as the server itself says.
    pub(crate) fn subscriptions(&self) -> Vec<(String, Vec<String>)> {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.monitor)).expect("a monitor");
        stream.write_all(b"GET /connz?subs=1 HTTP/1.0\r\n\r\n").expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let answer: Value = serde_json::from_str(body).expect("JSON");
        let connections = answer["connections"].as_array().expect("a list");
        let connection = |connection: &Value| {
            let name = connection["name"].as_str().unwrap_or_default().to_owned();
            let subjects = connection["subscriptions_list"].as_array();
            let text = |subject: &Value| subject.as_str().unwrap_or_default().to_owned();
            let mut subjects: Vec<_> = subjects.into_iter().flatten().map(text).collect();
            subjects.sort();
            (name, subjects)
        };
        let mut connections: Vec<_> = connections.iter().map(connection).collect();
        connections.sort();
        connections
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody else gets, as long as the socket is there.
fn reserve() -> (u16, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Only then may it be shared, or two could get the same one.
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.set_reuse_address(true).expect("a port that can be shared");
    let address = socket.local_addr().expect("an address");
    (address.as_socket().expect("an IP address").port(), socket)
}

/// A file for TLS.
pub(crate) fn certificate(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "nodes", "certificates", name].iter().collect()
}
