//! The body of a message: what a handler takes and gives.

use moleculer_protocol::Payload;
use serde::{Serialize, de::DeserializeOwned};

use crate::Result;

/// The result of an action.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// A value.
    Payload(Payload),
    /// No value; on the wire the member is absent.
    #[default]
    Empty,
}

impl Body {
    /// The value, nothing if there is none.
    pub fn into_payload(self) -> Payload {
        match self {
            Self::Payload(payload) => payload,
            Self::Empty => Payload::nothing(),
        }
    }
}

/// What a handler may return: every serializable value.
pub trait IntoBody {
    /// Makes it a body.
    fn into_body(self) -> Body;
}

impl<T: Serialize + Send + Sync + 'static> IntoBody for T {
    fn into_body(self) -> Body {
        Body::Payload(Payload::new(self))
    }
}

/// What a caller may ask for: every deserializable value.
pub trait FromBody: Sized {
    /// Takes it out of a body.
    ///
    /// # Errors
    ///
    /// When the body does not fit.
    fn from_body(body: Body) -> Result<Self>;
}

impl<T: DeserializeOwned + Send + Sync + 'static> FromBody for T {
    fn from_body(body: Body) -> Result<Self> {
        body.into_payload().take().map_err(|error| {
            crate::Error::from(
                error.within("the result does not fit the type that the caller expects"),
            )
        })
    }
}
