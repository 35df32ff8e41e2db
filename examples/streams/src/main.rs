//! Streams: a text goes to another node and comes back changed, and a list is
//! read while it is still being made.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use moleculer::{ByteStream, InProcessNetwork, ObjectStream, prelude::*};

struct Text;

#[service(name = "text")]
impl Text {
    /// Takes a stream and returns one: the first bytes are back before the
    /// last are sent, however long it is.
    #[action]
    async fn shout(&self, text: ByteStream) -> Result<ByteStream> {
        Ok(ByteStream::new(text.map_ok(|chunk| chunk.to_ascii_uppercase())))
    }

    /// Each value is made when somebody asks for it; any may be an error.
    #[action]
    async fn squares(&self, Params(up_to): Params<u64>) -> Result<ObjectStream<u64>> {
        let squares = stream::iter(1..=up_to).map(|n| {
            let too_large = || Error::client(422, "TOO_LARGE", format!("{n} has no square here"));
            n.checked_mul(n).ok_or_else(too_large)
        });
        Ok(ObjectStream::new(squares))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let network = InProcessNetwork::default();
    let node = |name| ServiceBroker::builder().node_id(name).transporter(network.transporter());
    let far = node("far").service(Text).start().await?;
    let near = node("near").start().await?;
    near.wait_for_services(["text"], Duration::from_secs(5)).await?;

    // Anything that implements `AsyncRead` can be sent: here, this file.
    let source = ByteStream::from_reader(&include_bytes!("main.rs")[..]);
    let shouted: ByteStream = near.call("text.shout", ()).stream(source).await?;
    let shouted = shouted.collect_up_to(1_000_000).await?;
    let first = shouted.split(|byte| *byte == b'\n').next().unwrap_or_default();
    println!("bytes    {}", String::from_utf8_lossy(first));

    let squares: ObjectStream<u64> = near.call("text.squares", 5).await?;
    let squares: Vec<u64> = squares.try_collect().await?;
    println!("objects  {squares:?}");

    // Dropping a stream ends it on both nodes: nobody counts to the end.
    let endless: ObjectStream<u64> = near.call("text.squares", u64::MAX).await?;
    let few: Vec<u64> = endless.take(3).try_collect().await?;
    println!("dropped  after {few:?}");

    near.stop().await?;
    far.stop().await
}
