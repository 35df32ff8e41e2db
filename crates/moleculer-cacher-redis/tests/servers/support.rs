//! Servers of one's own, each in a folder of its own.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_cacher_redis::{RedisBuilder, RedisCacher};
use moleculer_core::cacher::{Cacher, CacherHost};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, FromRedisValue, RedisResult,
    TlsCertificates,
};
use tokio::time::{Instant, sleep};

/// No state of the tests takes longer to come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The program to test with.
pub(crate) fn program() -> Option<String> {
    env::var("MOLECULER_TEST_REDIS_SERVER").ok().filter(|program| !program.is_empty())
}

/// Whether the program can be asked for TLS: one that can misses a certificate.
pub(crate) fn speaks_tls() -> bool {
    let mut command = Command::new(program().expect("a program"));
    let output = command.args(["--port", "0", "--tls-port", "1"]).output().expect("it starts");
    String::from_utf8_lossy(&output.stdout).contains("tls-cert-file")
}

/// A server that ends with this.
pub(crate) struct Server {
    pub(crate) port: u16,
    tls: bool,
    options: Vec<String>,
    folder: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let server = Self::prepare(options);
        server.launch().await;
        server
    }

    /// A server that does not run yet.
    pub(crate) fn prepare(options: &[&str]) -> Self {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("redis-{}-{}", std::process::id(), SERVERS.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { port: free_port(), tls: false, options, folder, child: Mutex::default() }
    }

    /// The same with TLS, and without it no more.
    pub(crate) fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    pub(crate) async fn launch(&self) {
        let port = self.port.to_string();
        let mut args: Vec<_> = ["--save", "", "--appendonly", "no"].map(str::to_owned).into();
        if self.tls {
            args.extend(["--port".into(), "0".into(), "--tls-port".into(), port]);
            let files = tls_files().into_iter();
            args.extend(files.flat_map(|(option, file)| [format!("--{option}"), file]));
        } else {
            args.extend(["--port".into(), port]);
        }
        self.spawn(&args.iter().map(String::as_str).collect::<Vec<_>>());
        eventually("the server answers", || async {
            // A password is an answer too.
            let answer = self.query::<String>(&redis::cmd("PING")).await;
            answer.is_ok() || answer.is_err_and(|error| error.code() == Some("NOAUTH"))
        })
        .await;
    }

    /// A sentinel that watches a master.
    pub(crate) async fn sentinel(master: u16) -> Self {
        Self::prepare(&[]).watching(master).await
    }

    /// Starts it as a sentinel.
    pub(crate) async fn watching(self, master: u16) -> Self {
        let file = self.folder.join("sentinel.conf");
        let mut text = format!(
            "bind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        );
        if self.tls {
            text += &format!("port 0\ntls-port {}\ntls-replication yes\n", self.port);
            for (option, file) in tls_files() {
                text += &format!("{option} {file}\n");
            }
        } else {
            text += &format!("port {}\n", self.port);
        }
        fs::write(&file, text).expect("its file");
        self.spawn(&[file.to_str().expect("text"), "--sentinel"]);
        eventually("the sentinel answers", || async {
            self.query::<String>(&redis::cmd("PING")).await.is_ok()
        })
        .await;
        self
    }

    fn spawn(&self, args: &[&str]) {
        let mut command = Command::new(program().expect("a program"));
        if !args.contains(&"--sentinel") {
            command.args(args).args(["--bind", "127.0.0.1", "--dir"]).arg(&self.folder);
        } else {
            command.args(args);
        }
        command.args(&self.options).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("the server starts");
        *self.child.lock().expect("no panic") = Some(child);
    }

    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("no panic").take() {
            child.kill().expect("it is ours");
            child.wait().expect("it ends");
        }
    }

    /// Keeps it from running, and lets it run again when dropped.
    pub(crate) fn freeze(&self) -> impl Drop + use<> {
        struct Frozen(u32);
        impl Drop for Frozen {
            fn drop(&mut self) {
                signal("-CONT", self.0);
            }
        }
        let child = self.child.lock().expect("no panic");
        let id = child.as_ref().expect("it runs").id();
        signal("-STOP", id);
        Frozen(id)
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks it beside the cacher.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        if !self.tls {
            return query(&self.url(), command).await;
        }
        let [ca, cert, key] = ["ca.pem", "client.pem", "client-key.pem"]
            .map(|name| fs::read(certificate(name)).expect("it is there"));
        let client_tls = Some(ClientTlsConfig { client_cert: cert, client_key: key });
        let certificates = TlsCertificates { client_tls, root_cert: Some(ca) };
        ask(Client::build_with_tls(self.url(), certificates)?, command).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // It may have written into it to the end.
        drop(fs::remove_dir_all(&self.folder));
    }
}

pub(crate) async fn query<T: FromRedisValue>(url: &str, command: &Cmd) -> RedisResult<T> {
    ask(Client::open(url)?, command).await
}

async fn ask<T: FromRedisValue>(client: Client, command: &Cmd) -> RedisResult<T> {
    // The client's own limits are too short for a machine that is busy.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(DEADLINE))
        .set_response_timeout(Some(DEADLINE));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    command.query_async(&mut connection).await
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {name} {process}");
}

/// A file made for these tests.
pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/certificates").join(name)
}

/// The options of a server that speaks TLS, and takes clients without a
/// certificate unless it is told otherwise.
fn tls_files() -> [(&'static str, String); 4] {
    let file = |name| certificate(name).display().to_string();
    [
        ("tls-cert-file", file("server.pem")),
        ("tls-key-file", file("server-key.pem")),
        ("tls-ca-cert-file", file("ca.pem")),
        ("tls-auth-clients", "optional".to_owned()),
    ]
}

/// For a cluster's second port there have to be 10 000 more above.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// Three masters that share the slots.
pub(crate) async fn cluster() -> Vec<Server> {
    let prepare = || Server::prepare(&["--cluster-enabled", "yes"]);
    join([prepare(), prepare(), prepare()]).await
}

/// The same with TLS, also among them.
pub(crate) async fn cluster_with_tls() -> Vec<Server> {
    let options = &["--cluster-enabled", "yes", "--tls-cluster", "yes"];
    let prepare = || Server::prepare(options).with_tls();
    join([prepare(), prepare(), prepare()]).await
}

async fn join(servers: [Server; 3]) -> Vec<Server> {
    for server in &servers {
        server.launch().await;
    }
    let slots = [(0, 5460), (5461, 10922), (10923, 16383)];
    for (index, (server, (first, last))) in servers.iter().zip(slots).enumerate() {
        let mut command = redis::cmd("CLUSTER");
        command.arg("ADDSLOTSRANGE").arg(first).arg(last);
        server.query::<()>(&command).await.expect("it takes slots");
        let mut command = redis::cmd("CLUSTER");
        command.arg("SET-CONFIG-EPOCH").arg(index + 1);
        server.query::<()>(&command).await.expect("it takes an epoch");
        let mut command = redis::cmd("CLUSTER");
        command.arg("MEET").arg("127.0.0.1").arg(servers[0].port);
        server.query::<()>(&command).await.expect("it meets another");
    }
    for server in &servers {
        eventually("the cluster is whole", || async {
            let info = server.query::<String>(redis::cmd("CLUSTER").arg("INFO")).await;
            let slots = server.query::<Vec<redis::Value>>(redis::cmd("CLUSTER").arg("SLOTS")).await;
            info.is_ok_and(|info| info.contains("cluster_state:ok"))
                && slots.is_ok_and(|slots| slots.len() == 3)
        })
        .await;
    }
    servers.into()
}

/// Waits until a condition holds.
pub(crate) async fn eventually<Fut: Future<Output = bool>>(what: &str, holds: impl Fn() -> Fut) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A cacher that runs.
pub(crate) async fn connect(builder: RedisBuilder) -> (Arc<RedisCacher>, CacherHost) {
    let host = CacherHost::without_broker("test");
    let cacher = Arc::new(builder.build().expect("sound options"));
    cacher.connect(host.clone()).await.expect("it begins");
    (cacher, host)
}
