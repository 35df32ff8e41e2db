//! Calls and events between two nodes.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use moleculer::{
    BrokerBuilder, BytesFn, Middleware, Payload, prelude::*, transporter::tcp::TcpTransporter,
};
use serde::{Deserialize, Serialize};

use crate::{
    echo::{self, Server},
    measure::{Result, emit},
    payload::{Page, Size, Small},
};

/// How long the nodes may take to find each other.
const DISCOVERY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Echo {
    events: AtomicU64,
}

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

    #[event("echo.event")]
    async fn count_event(&self, Params(data): Params<Small>) -> moleculer::Result<()> {
        black_box(data);
        self.events.fetch_add(1, Relaxed);
        Ok(())
    }

    #[action]
    async fn count(&self) -> moleculer::Result<u64> {
        Ok(self.events.load(Relaxed))
    }
}

/// The answering node: announces its port and serves.
pub(crate) async fn serve(node: BrokerBuilder, port: u16) -> Result<()> {
    let broker = node.service(Echo::default()).start().await?;
    echo::announce(port);
    broker.run_until_signal().await?;
    Ok(())
}

/// One call of the answering node.
pub(crate) async fn first_call(broker: &ServiceBroker) -> Result<()> {
    broker.call::<Small>("echo.small", Small { id: 100 }).await?;
    Ok(())
}

/// Reports remote calls of every size, then events, then how long packets are.
pub(crate) async fn drive(
    node: impl Fn() -> BrokerBuilder,
    server: &Server,
    family: &str,
) -> Result<()> {
    let broker = node().start().await?;
    broker.wait_for_services(["echo"], DISCOVERY).await?;
    for size in Size::ALL {
        match size {
            Size::TenBytes => calls::<Small>(&broker, server, size, family).await?,
            Size::Kilobyte | Size::FiftyKilobytes => {
                calls::<Page>(&broker, server, size, family).await?
            }
        }
    }
    let send = || async { Ok(broker.emit("echo.event", Small { id: 100 }).await?) };
    let count = || async { Ok(broker.call("echo.count", ()).await?) };
    echo::events(&format!("{family}/events"), server, send, count).await?;
    broker.stop().await?;
    packets(node(), family).await
}

async fn calls<T>(broker: &ServiceBroker, server: &Server, size: Size, family: &str) -> Result<()>
where
    T: Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static,
{
    // Shared, so that a call clones a pointer and serializes the value.
    let params = Payload::new(serde_json::from_str::<T>(&size.json()?)?);
    let broker = broker.clone();
    let call = move || {
        let (broker, params) = (broker.clone(), params.clone());
        async move {
            let result: T = broker.call(size.action(), params).await?;
            black_box(&result);
            Ok(size_of_val(&result))
        }
    };
    echo::calls(&size.workload(family), server, call).await
}

/// Reports the bytes of a request and of its response, by a node of its own, since counting takes time.
async fn packets(node: BrokerBuilder, family: &str) -> Result<()> {
    let counter = Counter::default();
    let broker = node.middleware(counter.clone()).start().await?;
    broker.wait_for_services(["echo"], DISCOVERY).await?;
    for size in Size::ALL {
        let mut least = u64::MAX;
        // A heartbeat may fall between.
        for _ in 0..5 {
            counter.0.store(0, Relaxed);
            let params = Value::from(serde_json::from_str::<serde_json::Value>(&size.json()?)?);
            broker.call::<Payload>(size.action(), params).await?;
            least = least.min(counter.0.load(Relaxed));
        }
        emit(&size.workload(family), "packet bytes/req", least as f64)?;
    }
    broker.stop().await?;
    Ok(())
}

/// Counts the bytes of packets in both directions.
#[derive(Clone, Debug, Default)]
struct Counter(Arc<AtomicU64>);

impl Counter {
    fn counted(&self, next: BytesFn) -> BytesFn {
        let count = self.0.clone();
        Arc::new(move |kind, bytes: Bytes| {
            count.fetch_add(bytes.len() as u64, Relaxed);
            next(kind, bytes)
        })
    }
}

impl Middleware for Counter {
    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        self.counted(next)
    }

    fn transporter_receive(&self, next: BytesFn) -> BytesFn {
        self.counted(next)
    }
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
