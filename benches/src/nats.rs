//! Calls and events between two processes through a NATS server on loopback.

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::value::RawValue;

use crate::{
    echo::{self, Server},
    floor::framed_tcp,
    measure::{Flavor, Result},
    ours,
    payload::Size,
    peer::{JS_014, JS_015, Peer},
    remote,
};

const FLOOR: &str = "async-nats [mt]";
const FLOOR_CT: &str = "async-nats [ct]";
/// The program to measure with.
const PROGRAM: &str = "MOLECULER_TEST_NATS_SERVER";
const EVENTS: &str = "nats/events";
const ECHO: &str = "bench.echo";
const EVENT: &str = "bench.event";
const COUNT: &str = "bench.count";

pub(crate) fn peers(url: Option<&str>) -> Result<Vec<Peer>> {
    let url = url.ok_or("no NATS server was started")?;
    let payloads = remote::js_payloads("nats")?;
    let js = |name, version| {
        Peer::js(name, Some(FLOOR), &["remote.mjs", version, url, EVENTS, &payloads])
    };
    Ok(vec![
        Peer::rust(FLOOR_CT, None, &["nats", "floor", "ct", url]),
        Peer::rust("ours [ct]", Some(FLOOR_CT), &["nats", "ours", "ct", url]),
        Peer::rust("ours [mt]", Some(FLOOR), &["nats", "ours", "mt", url]),
        Peer::rust(FLOOR, None, &["nats", "floor", "mt", url]),
        js(JS_014, "0.14"),
        js(JS_015, "0.15"),
    ])
}

/// Starts the answering node, and measures from this process.
pub(crate) fn drive(peer: &str, flavor: Flavor, url: &str) -> Result<()> {
    let server = Server::start(&format!("nats-{peer}"), flavor, url)?;
    flavor.build()?.block_on(async {
        match peer {
            "ours" => {
                ours::remote::drive(|| ours::remote::over_nats("cli", url), &server, "nats").await
            }
            _ => drive_floor(url, &server).await,
        }
    })
}

/// Echoes without looking; events are read.
pub(crate) async fn serve_floor(url: &str) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let mut requests = client.subscribe(ECHO).await?;
    let events = Arc::new(AtomicU64::new(0));
    tokio::spawn(count_events(client.subscribe(EVENT).await?, events.clone()));
    tokio::spawn(tell_count(client.clone(), client.subscribe(COUNT).await?, events));
    // The server has taken the subscriptions when it says that nobody listens here.
    client.request("bench.nobody", Bytes::new()).await.ok();
    echo::announce(0);
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await?;
        }
    }
    Ok(())
}

async fn count_events(mut arriving: Subscriber, events: Arc<AtomicU64>) -> Result<()> {
    while let Some(event) = arriving.next().await {
        framed_tcp::read_event(&event.payload, framed_tcp::raw)?;
        events.fetch_add(1, Relaxed);
    }
    Ok(())
}

async fn tell_count(client: Client, mut asked: Subscriber, events: Arc<AtomicU64>) -> Result<()> {
    while let Some(request) = asked.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, events.load(Relaxed).to_string().into()).await?;
        }
    }
    Ok(())
}

async fn drive_floor(url: &str, server: &Server) -> Result<()> {
    let client = async_nats::connect(url).await?;
    for size in Size::ALL {
        let (client, params) = (client.clone(), Bytes::from(size.json()?));
        let call = move || {
            let (client, params) = (client.clone(), params.clone());
            async move { Ok(client.request(ECHO, params).await?.payload.len()) }
        };
        echo::calls(&size.workload("nats"), server, call).await?;
    }
    let data = RawValue::from_string(Size::TenBytes.json()?)?;
    let (client, data, next_id) = (&client, &*data, &AtomicU64::new(1));
    let send = || async {
        let id = framed_tcp::uuid(next_id.fetch_add(1, Relaxed));
        let event = framed_tcp::Event::new(&id, "echo.event", data);
        Ok(client.publish(EVENT, serde_json::to_vec(&event)?.into()).await?)
    };
    let count = || async {
        let answer = client.request(COUNT, Bytes::new()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    };
    echo::events(EVENTS, server, send, count).await
}

/// A server that ends with this value.
pub(crate) struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    pub(crate) fn start() -> Result<Self> {
        let program = env::var_os(PROGRAM).ok_or(
            "no NATS server: `cargo xtask bench nats` gets one, or set MOLECULER_TEST_NATS_SERVER",
        )?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let nats = Self { child, port };
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(nats);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err("the NATS server takes no connections".into())
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
