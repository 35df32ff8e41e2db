//! tonic: gRPC over HTTP/2.

use bytes::Bytes;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Endpoint, Server, server::TcpIncoming},
};

use self::generated::{
    echo_client::EchoClient,
    echo_server::{Echo, EchoServer},
};
use crate::{echo, measure::Result, payload::Size};

/// Generated code has its own style.
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "written by tonic-build"
)]
mod generated {
    tonic::include_proto!("echo.Echo");
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(string, tag = "1")]
    action: String,
    #[prost(bytes = "bytes", tag = "2")]
    body: Bytes,
}

struct Service;

#[tonic::async_trait]
impl Echo for Service {
    async fn call(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    echo::announce(listener.local_addr()?.port());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(Server::builder()
        .add_service(EchoServer::new(Service))
        .serve_with_incoming(incoming)
        .await?)
}

pub(crate) async fn drive(server: &echo::Server) -> Result<()> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", server.port))?;
    let client = EchoClient::new(endpoint.tcp_nodelay(true).connect().await?);
    for size in Size::ALL {
        let (client, body) = (client.clone(), Bytes::from(size.json()?));
        let call = move || {
            let (mut client, body) = (client.clone(), body.clone());
            async move {
                let message = Message { action: "echo.reply".to_owned(), body };
                Ok(client.call(message).await?.into_inner().body.len())
            }
        };
        echo::calls(&size.workload("remote"), server, call).await?;
    }
    Ok(())
}
