//! What `probe` does with streams.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use moleculer::{ByteStream, Object, ObjectStream, prelude::*};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::values::hexadecimal;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Download {
    size: usize,
    #[serde(default = "chunk")]
    chunk: usize,
    fail_after: Option<usize>,
}

const fn chunk() -> usize {
    65_536
}

#[derive(Deserialize)]
pub(crate) struct Count {
    pub(crate) count: u64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Numbered {
    n: u64,
}

/// What arrived, by number and hash.
pub(crate) async fn upload(params: Value, meta: Object, mut body: ByteStream) -> Result<Object> {
    let (mut size, mut chunks, mut hash) = (0_usize, 0_u64, Sha1::new());
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        size += chunk.len();
        chunks += 1;
        hash.update(&chunk);
    }
    let sha1 = hexadecimal(&hash.finalize());
    Ok(Object::from([
        ("size", Value::from(size)),
        ("chunks", chunks.into()),
        ("sha1", sha1.into()),
        ("params", params),
        ("meta", meta.into()),
    ]))
}

/// Bytes of the test pattern; with `failAfter` that many and an error.
///
/// The error comes a little later: the reference loses one that it reads
/// together with the stream's first packet, when nobody listens yet, and never
/// ends the stream. A server between the nodes makes that more likely.
pub(crate) fn download(params: &Download) -> ByteStream {
    let (size, chunk) = (params.fail_after.unwrap_or(params.size), params.chunk.max(1));
    let chunks = (0..size)
        .step_by(chunk)
        .map(move |at| Ok((at..size.min(at + chunk)).map(|i| (i % 251) as u8).collect::<Vec<_>>()));
    let failure = stream::iter(params.fail_after).then(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(Error::internal("The download failed.").with_type("DOWNLOAD_FAILED"))
    });
    ByteStream::new(stream::iter(chunks).chain(failure))
}

pub(crate) fn objects(count: u64) -> ObjectStream<Numbered> {
    ObjectStream::new(stream::iter((0..count).map(|n| Ok::<_, Error>(Numbered { n }))))
}

pub(crate) async fn count_objects(mut objects: ObjectStream<Numbered>) -> Result<Object> {
    let (mut count, mut sum) = (0_u64, 0);
    while let Some(object) = objects.next().await {
        count += 1;
        sum += object?.n;
    }
    Ok(Object::from([("count", count), ("sum", sum)]))
}
