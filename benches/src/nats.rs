//! Calls between two processes through a NATS server on loopback.

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;

use crate::{
    measure::{Flavor, Result},
    ours,
    payload::Size,
    peer::Peer,
    remote::{self, Server},
};

const FLOOR: &str = "async-nats request/reply [mt]";
const FLOOR_CT: &str = "async-nats request/reply [ct]";
/// The program to measure with.
const PROGRAM: &str = "MOLECULER_TEST_NATS_SERVER";
const SUBJECT: &str = "bench.echo";

pub(crate) fn peers() -> Vec<Peer> {
    vec![
        Peer::rust(FLOOR_CT, None, &["nats", "floor", "ct"]),
        Peer::rust("ours over NATS [ct]", Some(FLOOR_CT), &["nats", "ours", "ct"]),
        Peer::rust("ours over NATS [mt]", Some(FLOOR), &["nats", "ours", "mt"]),
        Peer::rust(FLOOR, None, &["nats", "floor", "mt"]),
    ]
}

/// Starts a NATS server and the answering node, and measures from this process.
pub(crate) fn drive(peer: &str, flavor: Flavor) -> Result<()> {
    let nats = Nats::start()?;
    let server = Server::start(&format!("nats-{peer}"), flavor, &nats.url())?;
    flavor.build()?.block_on(async {
        match peer {
            "ours" => {
                ours::remote::drive(ours::remote::over_nats("cli", &nats.url()), &server).await
            }
            _ => drive_floor(&nats.url(), &server).await,
        }
    })
}

/// Echoes without looking.
pub(crate) async fn serve_floor(url: &str) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let mut requests = client.subscribe(SUBJECT).await?;
    // The server has taken the subscription when it says that nobody listens here.
    client.request("bench.nobody", Bytes::new()).await.ok();
    remote::announce(0);
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await?;
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
            async move { Ok(client.request(SUBJECT, params).await?.payload.len()) }
        };
        remote::calls(&size.workload().replace("remote", "nats"), server, call).await?;
    }
    Ok(())
}

/// A server that ends with this value.
struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    fn start() -> Result<Self> {
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

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
