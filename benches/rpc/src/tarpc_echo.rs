//! tarpc with bincode over TCP.

use futures_util::StreamExt;
use tarpc::{
    client, context, serde_transport,
    server::{BaseChannel, Channel},
    tokio_serde::formats::Bincode,
};
use tokio::net::{TcpListener, TcpStream};

use crate::{echo, measure::Result, payload::Size};

#[tarpc::service]
trait Echo {
    async fn reply(action: String, body: Vec<u8>) -> Vec<u8>;
}

#[derive(Clone)]
struct Service;

impl Echo for Service {
    async fn reply(self, _: context::Context, _: String, body: Vec<u8>) -> Vec<u8> {
        body
    }
}

pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    echo::announce(listener.local_addr()?.port());
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let transport = serde_transport::Transport::from((stream, Bincode::default()));
    let requests = BaseChannel::with_defaults(transport).execute(Service.serve());
    requests
        .for_each(|request| async {
            tokio::spawn(request);
        })
        .await;
    Ok(())
}

pub(crate) async fn drive(server: &echo::Server) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await?;
    stream.set_nodelay(true)?;
    let transport = serde_transport::Transport::from((stream, Bincode::default()));
    let client = EchoClient::new(client::Config::default(), transport).spawn();
    for size in Size::ALL {
        let (client, body) = (client.clone(), size.json()?.into_bytes());
        let call = move || {
            let (client, body) = (client.clone(), body.clone());
            async move {
                let action = "echo.reply".to_owned();
                Ok(client.reply(context::current(), action, body).await?.len())
            }
        };
        echo::calls(&size.workload("remote"), server, call).await?;
    }
    Ok(())
}
