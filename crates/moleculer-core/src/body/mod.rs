//! The body of a message: what a handler takes and gives.

mod stream;

use moleculer_protocol::{DecodeError, Payload};
use serde::{Serialize, de::DeserializeOwned};

pub use self::stream::{BodyStream, ByteStream, ObjectStream};
use crate::{Error, Result};

/// The result of an action.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Body {
    /// A value.
    Payload(Payload),
    /// A stream of bytes or values.
    Stream(BodyStream),
    /// No value; on the wire the member is absent.
    #[default]
    Empty,
}

impl Body {
    /// The value, nothing if there is none.
    ///
    /// # Errors
    ///
    /// When it is a stream.
    pub fn into_payload(self) -> Result<Payload> {
        match self {
            Self::Payload(payload) => Ok(payload),
            Self::Empty => Ok(Payload::nothing()),
            Self::Stream(_) => Err(stream::misfit("a stream, not a value")),
        }
    }
}

/// What a handler may return: every serializable value, [`ByteStream`] and
/// [`ObjectStream`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a handler",
    label = "not serializable, or not `Send + Sync + 'static`",
    note = "derive `serde::Serialize` for it"
)]
pub trait IntoBody {
    /// Makes it a body.
    fn into_body(self) -> Body;
}

impl<T: Serialize + Send + Sync + 'static> IntoBody for T {
    fn into_body(self) -> Body {
        Body::Payload(Payload::new(self))
    }
}

/// What a caller may ask for: every deserializable value, [`ByteStream`],
/// [`ObjectStream`], and [`Body`] as it is.
pub trait FromBody: Sized {
    /// Takes it out of a body.
    ///
    /// # Errors
    ///
    /// When the body does not fit.
    fn from_body(body: Body) -> Result<Self>;
}

impl<T: DeserializeOwned + Send + Sync + 'static> FromBody for T {
    #[inline]
    fn from_body(body: Body) -> Result<Self> {
        // No detour over `into_payload`: it would move the body once more.
        let taken = match body {
            Body::Payload(payload) => payload.take(),
            Body::Empty => Payload::nothing().take(),
            Body::Stream(_) => return Err(stream::misfit("a stream, not a value")),
        };
        taken.map_err(misfit)
    }
}

impl FromBody for Body {
    fn from_body(body: Body) -> Result<Self> {
        Ok(body)
    }
}

impl IntoBody for Body {
    fn into_body(self) -> Body {
        self
    }
}

#[cold]
fn misfit(error: DecodeError) -> Error {
    error.within("the result does not fit the type that the caller expects").into()
}
