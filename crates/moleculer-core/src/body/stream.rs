//! Streams as the body of a message: [`ByteStream`] and [`ObjectStream`].

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{self, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use moleculer_protocol::Payload;
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::{Body, FromBody, IntoBody};
use crate::{Context, Error, FromContext, Result, service::panic_error};

/// A stream of bytes: the result of an action, or sent along with a call.
///
/// The receiver pulls: nothing is read from the source before somebody asks
/// for it, and dropping the stream drops the source. After an error the stream
/// has ended. A source that panics ends with an error.
///
/// ```
/// use futures_util::{StreamExt, stream};
/// use moleculer_core::{Action, BrokerBuilder, ByteStream, Error, Plugins, Result, Service};
///
/// async fn shout(mut body: ByteStream) -> Result<ByteStream> {
///     Ok(ByteStream::new(body.map(|chunk| Ok::<_, Error>(chunk?.to_ascii_uppercase()))))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let service = Service::builder("text").action(Action::new("shout", shout));
/// let broker = BrokerBuilder::new(Plugins::core()).service(service).start().await?;
/// let upload = ByteStream::new(stream::iter(["hello ", "world"].map(Ok::<_, Error>)));
/// let answer: ByteStream = broker.call("text.shout", ()).stream(upload).await?;
/// assert_eq!(answer.collect_up_to(100).await?, "HELLO WORLD");
/// # broker.stop().await
/// # }
/// ```
#[must_use = "a stream is read by polling it"]
pub struct ByteStream(BoxStream<'static, Result<Bytes>>);

impl ByteStream {
    /// A stream of the chunks that `source` yields.
    pub fn new<S, B, E>(source: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes> + 'static,
        E: Into<Error> + 'static,
    {
        Self(Box::pin(Guarded::new(source.map_ok(Into::into).map_err(Into::into))))
    }

    /// A stream of what `reader` reads: a file, a socket, a decompressor.
    pub fn from_reader(reader: impl AsyncRead + Send + 'static) -> Self {
        let failed = |error: std::io::Error| {
            Error::internal(format!("the source of a stream failed: {error}")).with_source(error)
        };
        Self::new(ReaderStream::new(reader).map_err(failed))
    }

    /// The stream as a reader; the stream's error is the source of its error.
    pub fn into_reader(self) -> impl AsyncRead + Send + Unpin {
        StreamReader::new(self.map_err(std::io::Error::other))
    }

    /// Reads the stream to its end.
    ///
    /// # Errors
    ///
    /// The stream's own, and `PAYLOAD_TOO_LARGE` (413) when there are more
    /// than `limit` bytes.
    pub async fn collect_up_to(mut self, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if chunk.len() > limit - all.len() {
                let message = format!("the stream has more than {limit} bytes");
                return Err(Error::client(413, "PAYLOAD_TOO_LARGE", message));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByteStream")
    }
}

/// A stream of values, as [`ByteStream`] is one of bytes.
///
/// Within a node the values are handed over as they are when both sides agree
/// on the type, and converted when they do not. Any item may be an error; the
/// stream then has ended.
#[must_use = "a stream is read by polling it"]
pub struct ObjectStream<T>(BoxStream<'static, Result<T>>);

impl<T: Send + 'static> ObjectStream<T> {
    /// A stream of the values that `source` yields.
    pub fn new<S, E>(source: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        E: Into<Error> + 'static,
    {
        Self(Box::pin(Guarded::new(source.map_err(Into::into))))
    }
}

impl<T> Stream for ObjectStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl<T> fmt::Debug for ObjectStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectStream")
    }
}

/// A stream of either kind, for those who pass it on.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyStream {
    /// Bytes.
    Bytes(ByteStream),
    /// Values.
    Objects(ObjectStream<Payload>),
}

impl From<ByteStream> for BodyStream {
    fn from(stream: ByteStream) -> Self {
        Self::Bytes(stream)
    }
}

impl<T: Serialize + Send + Sync + 'static> From<ObjectStream<T>> for BodyStream {
    fn from(stream: ObjectStream<T>) -> Self {
        Self::Objects(ObjectStream(Box::pin(stream.map_ok(Payload::new))))
    }
}

/// A type that a stream can be taken as.
trait StreamKind: Sized {
    fn of(stream: BodyStream) -> Result<Self>;
}

impl StreamKind for BodyStream {
    fn of(stream: BodyStream) -> Result<Self> {
        Ok(stream)
    }
}

impl StreamKind for ByteStream {
    fn of(stream: BodyStream) -> Result<Self> {
        match stream {
            BodyStream::Bytes(stream) => Ok(stream),
            BodyStream::Objects(_) => Err(misfit("a stream of objects, not of bytes")),
        }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> StreamKind for ObjectStream<T> {
    fn of(stream: BodyStream) -> Result<Self> {
        let BodyStream::Objects(stream) = stream else {
            return Err(misfit("a stream of bytes, not of objects"));
        };
        let take = |item: Result<Payload>| {
            item?.take().map_err(|error| Error::from(error.within("an object of the stream")))
        };
        Ok(Self::new(stream.map(take)))
    }
}

/// What came is of another kind than what the code asks for.
#[cold]
pub(super) fn misfit(found: &str) -> Error {
    Error::internal(format!("found {found}; ask for the type that the other side gives"))
        .with_type("STREAM_MISMATCH")
}

macro_rules! bodies {
    ($($stream:ty, [$($given:tt)*], [$($taken:tt)*];)*) => {$(
        impl<$($given)*> IntoBody for $stream {
            fn into_body(self) -> Body {
                Body::Stream(self.into())
            }
        }

        impl<$($taken)*> FromBody for $stream {
            fn from_body(body: Body) -> Result<Self> {
                match body {
                    Body::Stream(stream) => <$stream>::of(stream),
                    _ => Err(misfit("a value, not a stream")),
                }
            }
        }

        /// The stream that came with the call.
        impl<S, $($taken)*> FromContext<S> for $stream {
            fn from_context(ctx: &Context, state: &S) -> Result<Self> {
                Option::<Self>::from_context(ctx, state)?.ok_or_else(|| {
                    let message = "the action takes a stream; call it with `.stream(...)`";
                    Error::client(400, "STREAM_MISSING", message)
                })
            }
        }

        /// The stream that came with the call, if one did.
        impl<S, $($taken)*> FromContext<S> for Option<$stream> {
            fn from_context(ctx: &Context, _: &S) -> Result<Self> {
                ctx.take_stream().map(<$stream>::of).transpose()
            }
        }
    )*};
}

bodies! {
    ByteStream, [], [];
    BodyStream, [], [];
    ObjectStream<T>, [T: Serialize + Send + Sync + 'static], [T: DeserializeOwned + Send + Sync + 'static];
}

/// Ends with the first error, and makes a panic one. The source is dropped as
/// soon as nothing more will come of it.
struct Guarded<S>(Option<Pin<Box<S>>>);

impl<S> Guarded<S> {
    fn new(source: S) -> Self {
        Self(Some(Box::pin(source)))
    }
}

impl<T, S: Stream<Item = Result<T>>> Stream for Guarded<S> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<T>>> {
        let Some(source) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = catch_unwind(AssertUnwindSafe(|| source.as_mut().poll_next(cx)))
            .unwrap_or_else(|panic| Poll::Ready(Some(Err(panic_error(&*panic)))));
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }
}
