//! Two nodes of one process that talk in a format of one's own.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use custom_serializer::TNetstrings;
use moleculer::{InProcessNetwork, prelude::*};
use moleculer_protocol::{Payload, Serializer};

struct Greeter;

#[service(name = "greeter")]
impl Greeter {
    #[action]
    async fn greet(&self, Params(names): Params<Vec<String>>) -> Result<String> {
        Ok(format!("Hello {}", names.join(" and ")))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let network = InProcessNetwork::default();
    let node = |id| {
        let builder = ServiceBroker::builder().node_id(id).serializer(TNetstrings);
        builder.transporter(network.transporter())
    };
    let alice = node("alice").service(Greeter).start().await?;
    let bob = node("bob").start().await?;
    bob.wait_for_services(["greeter"], Duration::from_secs(10)).await?;

    let names = vec!["Ada", "Grace"];
    let mut bytes = bytes::BytesMut::new();
    let encoded = Payload::new(names.clone()).encode(&TNetstrings.format(), &mut bytes);
    encoded.map_err(|error| Error::internal("cannot happen").with_source(error))?;
    println!("on the wire  {}", String::from_utf8_lossy(&bytes));
    let text: String = bob.call("greeter.greet", names).await?;
    println!("the answer   {text}");

    bob.stop().await?;
    alice.stop().await
}
