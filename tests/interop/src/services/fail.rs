//! Errors as `probe.fail` describes them.

use moleculer::{ErrorKind, prelude::*};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Fail {
    #[serde(default = "moleculer_error")]
    name: String,
    #[serde(default)]
    message: String,
    code: Option<i64>,
    r#type: Option<String>,
    data: Option<Value>,
    retryable: Option<bool>,
}

fn moleculer_error() -> String {
    "MoleculerError".into()
}

impl Fail {
    /// Some classes are built from their data alone; the others take what is
    /// given and fill in their defaults.
    pub(super) fn into_error(self) -> Error {
        use ErrorKind as K;
        let kind = K::from_name(&self.name);
        let mut error = match &kind {
            K::Moleculer | K::Retryable | K::Server | K::Client | K::Other(_) => {
                let mut error = Error::new(kind, self.message);
                if let Some(code) = self.code {
                    error = error.with_code(code);
                }
                self.r#type.iter().fold(error, |error, r#type| error.with_type(r#type))
            }
            K::Validation => {
                let error = Error::new(kind, self.message);
                self.r#type.iter().fold(error, |error, r#type| error.with_type(r#type))
            }
            K::ServiceSchema | K::BrokerOptions => Error::new(kind, self.message),
            _ => Error::from_data(
                kind,
                self.data.as_ref().and_then(Value::as_object).cloned().unwrap_or_default(),
            ),
        };
        if let Some(data) = self.data {
            error = error.with_data(data);
        }
        self.retryable.into_iter().fold(error, Error::with_retryable)
    }
}
