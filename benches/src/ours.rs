//! The framework itself as a peer: what its users write, nothing tuned for the benchmark.

use std::{hint::black_box, time::Duration};

use moleculer::{BrokerBuilder, Payload, prelude::*, transporter::tcp::TcpTransporter};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    local::{self, NO_PARAMS, TYPED_PARAMS, VALUE_PARAMS},
    measure::{Flavor, Result},
    payload::{Page, Size, Small},
    remote::{self, Server},
};

/// How long the nodes may take to find each other.
const DISCOVERY: Duration = Duration::from_secs(10);

#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    a: i64,
    b: i64,
}

struct Users;

#[service(name = "users")]
impl Users {
    #[action]
    async fn empty(&self) -> moleculer::Result<Vec<u32>> {
        Ok(Vec::new())
    }
}

struct Math;

#[service(name = "math")]
impl Math {
    #[action]
    async fn add(&self, Params(pair): Params<Pair>) -> moleculer::Result<i64> {
        Ok(pair.a + pair.b)
    }
}

struct Echo;

#[service(name = "echo")]
impl Echo {
    #[action]
    async fn small(&self, Params(small): Params<Small>) -> moleculer::Result<Small> {
        Ok(small)
    }

    #[action]
    async fn page(&self, Params(page): Params<Page>) -> moleculer::Result<Page> {
        Ok(page)
    }
}

/// Reports local calls: no params, typed params, dynamic params, two callers.
pub(crate) fn drive_local() -> Result<()> {
    let runtime = Flavor::CurrentThread.build()?;
    let broker = runtime.block_on(ServiceBroker::builder().service(Users).service(Math).start())?;
    // A user's broker lives as long as the program.
    let broker: &'static ServiceBroker = Box::leak(Box::new(broker));
    runtime.block_on(async {
        local::calls(NO_PARAMS, || async {
            broker.call::<Vec<u32>>("users.empty", ()).await.is_ok()
        })
        .await?;
        local::calls(TYPED_PARAMS, || async {
            broker.call::<i64>("math.add", Pair { a: black_box(4), b: 2 }).await.is_ok()
        })
        .await?;
        local::calls(VALUE_PARAMS, || async {
            let params = Value::from(json!({"a": black_box(4), "b": 2}));
            broker.call::<i64>("math.add", params).await.is_ok()
        })
        .await
    })?;
    local::callers(move || async move { broker.call::<Vec<u32>>("users.empty", ()).await.is_ok() })
}

/// The answering node: announces its port and serves.
pub(crate) async fn serve(node: BrokerBuilder, port: u16) -> Result<()> {
    let broker = node.service(Echo).start().await?;
    remote::announce(port);
    broker.run_until_signal().await?;
    Ok(())
}

/// Reports remote calls of every size.
pub(crate) async fn drive_remote(node: BrokerBuilder, server: &Server) -> Result<()> {
    let over_nats = server.port == 0;
    let broker = node.start().await?;
    broker.wait_for_services(["echo"], DISCOVERY).await?;
    let broker: &'static ServiceBroker = Box::leak(Box::new(broker));
    for size in Size::ALL {
        let mut workload = size.workload().to_owned();
        if over_nats {
            workload = workload.replace("remote", "nats");
        }
        match size {
            Size::TenBytes => calls::<Small>(broker, server, size, "echo.small", &workload).await?,
            Size::Kilobyte => calls::<Page>(broker, server, size, "echo.page", &workload).await?,
        }
    }
    Ok(())
}

async fn calls<T>(
    broker: &'static ServiceBroker,
    server: &Server,
    size: Size,
    action: &'static str,
    workload: &str,
) -> Result<()>
where
    T: Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static,
{
    // Shared, so that a call clones a pointer and serializes the value.
    let params = Payload::new(serde_json::from_str::<T>(&size.json()?)?);
    let call = move || {
        let params = params.clone();
        async move {
            let result: T = broker.call(action, params).await?;
            black_box(&result);
            Ok(size_of_val(&result))
        }
    };
    remote::calls(workload, server, call).await
}

/// Both nodes know where the answering one is; it learns of the other by its hello.
pub(crate) fn over_tcp(id: &'static str, server: u16) -> BrokerBuilder {
    let tcp = TcpTransporter::builder()
        .udp_discovery(false)
        .use_hostname(false)
        .urls([format!("tcp://127.0.0.1:{server}/srv")]);
    ServiceBroker::builder().node_id(id).transporter(tcp)
}

/// Both nodes meet at the server.
pub(crate) fn over_nats(id: &'static str, url: &str) -> BrokerBuilder {
    ServiceBroker::builder().node_id(id).transporter(url.to_owned())
}
