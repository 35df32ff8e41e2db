//! Calls between two nodes.

use std::{hint::black_box, time::Duration};

use moleculer::{BrokerBuilder, Payload, prelude::*, transporter::tcp::TcpTransporter};
use serde::{Deserialize, Serialize};

use crate::{
    measure::Result,
    payload::{Page, Size, Small},
    remote::{self, Server},
};

/// How long the nodes may take to find each other.
const DISCOVERY: Duration = Duration::from_secs(10);

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

/// The answering node: announces its port and serves.
pub(crate) async fn serve(node: BrokerBuilder, port: u16) -> Result<()> {
    let broker = node.service(Echo).start().await?;
    remote::announce(port);
    broker.run_until_signal().await?;
    Ok(())
}

/// One call of the answering node.
pub(crate) async fn first_call(broker: &ServiceBroker) -> Result<()> {
    broker.call::<Small>("echo.small", Small { id: 100 }).await?;
    Ok(())
}

/// Reports remote calls of every size.
pub(crate) async fn drive(node: BrokerBuilder, server: &Server) -> Result<()> {
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
            Size::Kilobyte | Size::FiftyKilobytes => {
                calls::<Page>(broker, server, size, "echo.page", &workload).await?
            }
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
