//! Calls between two processes over TCP on loopback.

use std::{
    error::Error,
    future::Future,
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::{
    floor::framed_tcp::{self, Handler},
    measure::{Flavor, Result, closed_loop, cpu_time, emit, median},
    nats, ours,
    payload::Size,
    peer::{JS_014, JS_015, Peer},
};

const FLOOR_CT: &str = "framed TCP + raw JSON [ct]";
const FLOOR_MT: &str = "framed TCP + raw JSON [mt]";
const TYPED_CT: &str = "framed TCP + typed JSON [ct]";
const TYPED_MT: &str = "framed TCP + typed JSON [mt]";
/// Requests under way at once when throughput is measured.
const OUTSTANDING: usize = 64;
const WARM_UP: Duration = Duration::from_millis(400);
const WINDOW: Duration = Duration::from_millis(800);

pub(crate) fn peers() -> Result<Vec<Peer>> {
    let payloads = Size::ALL.map(|size| Ok((size.workload(), size.json()?)));
    let payloads: Vec<(&str, String)> = payloads.into_iter().collect::<Result<_>>()?;
    let payloads = serde_json::to_string(&payloads)?;
    Ok(vec![
        Peer::rust(FLOOR_CT, None, &["remote", "floor", "ct"]),
        Peer::rust(TYPED_CT, Some(FLOOR_CT), &["remote", "typed-floor", "ct"]),
        Peer::rust("ours [ct]", Some(FLOOR_CT), &["remote", "ours", "ct"]),
        Peer::rust("ours [mt]", Some(FLOOR_MT), &["remote", "ours", "mt"]),
        Peer::rust(TYPED_MT, Some(FLOOR_MT), &["remote", "typed-floor", "mt"]),
        Peer::rust(FLOOR_MT, None, &["remote", "floor", "mt"]),
        Peer::js(JS_014, Some(FLOOR_MT), &["remote.mjs", "0.14", &payloads]),
        Peer::js(JS_015, Some(FLOOR_MT), &["remote.mjs", "0.15", &payloads]),
    ])
}

/// Runs the answering node of a Rust peer: prints its port, serves until standard input ends.
pub(crate) fn serve(peer: &str, flavor: Flavor, medium: &str) -> Result<()> {
    // The driver holds the other end of standard input, so no server outlives its driver.
    thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        std::process::exit(0);
    });
    // Spawned, since the thread that blocks on a future is not one of the two workers.
    let medium = medium.to_owned();
    flavor.build()?.block_on(async {
        match peer {
            "nats-floor" => tokio::spawn(async move { nats::serve_floor(&medium).await }).await?,
            "nats-ours" => {
                tokio::spawn(ours::remote::serve(ours::remote::over_nats("srv", &medium), 0))
                    .await?
            }
            "floor" => tokio::spawn(serve_floor(framed_tcp::raw)).await?,
            "typed-floor" => tokio::spawn(serve_floor(framed_tcp::typed)).await?,
            "ours" => {
                // The driver may have chosen the port.
                let port = match medium.parse() {
                    Ok(port) => port,
                    Err(_) => std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
                };
                tokio::spawn(ours::remote::serve(ours::remote::over_tcp("srv", port), port)).await?
            }
            _ => Err(unknown(peer)),
        }
    })
}

/// Tells the driver that this node listens on `port`.
pub(crate) fn announce(port: u16) {
    println!("{port}");
}

/// Starts the answering node of a Rust peer and measures it from this process.
pub(crate) fn drive(peer: &str, flavor: Flavor) -> Result<()> {
    let server = Server::start(peer, flavor, "tcp")?;
    flavor.build()?.block_on(async {
        match peer {
            "floor" => drive_floor(&server, framed_tcp::raw).await,
            "typed-floor" => drive_floor(&server, framed_tcp::typed).await,
            "ours" => {
                ours::remote::drive(ours::remote::over_tcp("cli", server.port), &server).await
            }
            _ => Err(unknown(peer)),
        }
    })
}

/// The answering node, as a child process that ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// `medium` tells the node how it is to be reached.
    pub(crate) fn start(peer: &str, flavor: Flavor, medium: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", peer, flavor.as_str(), medium])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut server = Self { child, port: 0 };
        server.port =
            line.trim().parse().map_err(|_| "the server ended before it printed its port")?;
        Ok(server)
    }

    fn cpu_time(&self) -> Option<Duration> {
        Some(cpu_time(std::process::id())? + cpu_time(self.child.id())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reports latency with one request outstanding, then throughput and CPU time with many.
pub(crate) async fn calls<C, F>(workload: &str, server: &Server, call: C) -> Result<()>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<usize>> + Send + 'static,
{
    closed_loop(&call, OUTSTANDING, WARM_UP).await?;
    let mut one = closed_loop(&call, 1, WINDOW).await?;
    emit(workload, "p50 us", median(&mut one.latencies))?;

    let before = server.cpu_time();
    let many = closed_loop(&call, OUTSTANDING, WINDOW).await?;
    let after = server.cpu_time();
    emit(workload, "req/s", many.requests as f64 / many.elapsed.as_secs_f64())?;
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after.saturating_sub(before);
        emit(workload, "CPU us/req", cpu.as_secs_f64() * 1e6 / many.requests as f64)?;
    }
    Ok(())
}

async fn serve_floor(handler: Handler) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?.port());
    framed_tcp::serve(listener, handler).await
}

async fn drive_floor(server: &Server, handler: Handler) -> Result<()> {
    let client = Arc::new(framed_tcp::Client::connect(server.port).await?);
    for size in Size::ALL {
        let params: Arc<RawValue> = RawValue::from_string(size.json()?)?.into();
        let client = Arc::clone(&client);
        let call = move || {
            let (client, params) = (Arc::clone(&client), Arc::clone(&params));
            async move {
                let result = client.call(&handler(&params)?).await?;
                Ok(handler(&result)?.get().len())
            }
        };
        calls(size.workload(), server, call).await?;
    }
    Ok(())
}

fn unknown(peer: &str) -> Box<dyn Error + Send + Sync> {
    format!("no remote peer is called `{peer}`").into()
}
