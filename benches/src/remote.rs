//! Calls and events between two processes over TCP on loopback.

use std::{env, error::Error, sync::Arc};

use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::{
    echo::{self, Server},
    floor::framed_tcp::{self, Handler},
    measure::{Flavor, Result},
    nats, ours,
    payload::Size,
    peer::{JS_014, JS_015, Peer, TARPC, TONIC},
};

const FLOOR_CT: &str = "framed TCP + raw JSON [ct]";
const FLOOR_MT: &str = "framed TCP + raw JSON [mt]";
const TYPED_CT: &str = "framed TCP + typed JSON [ct]";
const TYPED_MT: &str = "framed TCP + typed JSON [mt]";
pub(crate) const EVENTS: &str = "remote/events";

pub(crate) fn peers() -> Result<Vec<Peer>> {
    let payloads = js_payloads("remote")?;
    let js = |name, version| {
        Peer::js(name, Some(FLOOR_MT), &["remote.mjs", version, "tcp", EVENTS, &payloads])
    };
    let mut peers = vec![
        Peer::rust(FLOOR_CT, None, &["remote", "floor", "ct"]),
        Peer::rust(TYPED_CT, Some(FLOOR_CT), &["remote", "typed-floor", "ct"]),
        Peer::rust("ours [ct]", Some(FLOOR_CT), &["remote", "ours", "ct"]),
        Peer::rust("ours [mt]", Some(FLOOR_MT), &["remote", "ours", "mt"]),
        Peer::rust(TYPED_MT, Some(FLOOR_MT), &["remote", "typed-floor", "mt"]),
        Peer::rust(FLOOR_MT, None, &["remote", "floor", "mt"]),
        js(JS_014, "0.14"),
        js(JS_015, "0.15"),
    ];
    if let Some(program) = env::var_os(RPC) {
        for (name, peer, flavor) in [
            ("tonic [ct]", "tonic", "ct"),
            (TONIC, "tonic", "mt"),
            ("tarpc [ct]", "tarpc", "ct"),
            (TARPC, "tarpc", "mt"),
        ] {
            let floor = if flavor == "ct" { FLOOR_CT } else { FLOOR_MT };
            peers.push(Peer::program(name, Some(floor), &program, &["drive", peer, flavor]));
        }
    }
    Ok(peers)
}

/// Where the other RPC libraries are: a program of its own, since they take minutes to build.
const RPC: &str = "MOLECULER_BENCH_RPC";

/// What the JS peers call with what: workload, action, params.
pub(crate) fn js_payloads(family: &str) -> Result<String> {
    let payloads = Size::ALL.map(|size| Ok((size.workload(family), size.action(), size.json()?)));
    let payloads: Vec<_> = payloads.into_iter().collect::<Result<_>>()?;
    Ok(serde_json::to_string(&payloads)?)
}

/// Runs the answering node of a Rust peer: prints its port, serves until standard input ends.
pub(crate) fn serve(peer: &str, flavor: Flavor, medium: &str) -> Result<()> {
    echo::end_with_driver();
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

/// Starts the answering node of a Rust peer and measures it from this process.
pub(crate) fn drive(peer: &str, flavor: Flavor) -> Result<()> {
    let server = Server::start(peer, flavor, "tcp")?;
    flavor.build()?.block_on(async {
        match peer {
            "floor" => drive_floor(&server, framed_tcp::raw).await,
            "typed-floor" => drive_floor(&server, framed_tcp::typed).await,
            "ours" => {
                let node = || ours::remote::over_tcp("cli", server.port);
                ours::remote::drive(node, &server, "remote").await
            }
            _ => Err(unknown(peer)),
        }
    })
}

async fn serve_floor(handler: Handler) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    echo::announce(listener.local_addr()?.port());
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
                let result = client.call("echo.reply", &handler(&params)?).await?;
                Ok(handler(&result)?.get().len())
            }
        };
        echo::calls(&size.workload("remote"), server, call).await?;
    }
    let data = RawValue::from_string(Size::TenBytes.json()?)?;
    let (client, data) = (&*client, &*data);
    let send = || async { client.emit("echo.event", &handler(data)?) };
    echo::events(EVENTS, server, send, || client.count()).await
}

fn unknown(peer: &str) -> Box<dyn Error + Send + Sync> {
    format!("no remote peer is called `{peer}`").into()
}
