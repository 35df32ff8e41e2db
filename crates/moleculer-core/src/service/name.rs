//! Naming services: [`ServiceName`].

use std::sync::Arc;

use moleculer_protocol::{Object, Value};

use super::{Service, ServiceHandle};

/// A service by its full name, or by name and version: as a dependency, or to
/// look one up.
///
/// ```
/// use moleculer_core::ServiceName;
///
/// // These two are the same.
/// let _ = ServiceName::from("v2.posts");
/// let _ = ServiceName::new("posts").version(2);
/// // Any of the versions will do.
/// let _ = ServiceName::new("posts").version(1).version(2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceName {
    name: Arc<str>,
    versions: Vec<Value>,
}

impl ServiceName {
    /// A service without version, or with its version in the name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), versions: Vec::new() }
    }

    /// Adds a version; any of those added suffices.
    #[must_use]
    pub fn version(mut self, version: impl Into<Value>) -> Self {
        self.versions.push(version.into());
        self
    }

    /// Members of errors about it.
    pub(crate) fn to_object(&self) -> Object {
        let mut object = Object::from([("service", Value::from(&*self.name))]);
        if let Some(version) = self.versions.first() {
            object.insert("version", version.clone());
        }
        object
    }

    /// The full names of which one suffices.
    pub(crate) fn full_names(&self) -> Vec<String> {
        if self.versions.is_empty() {
            return vec![self.name.to_string()];
        }
        let full_name = |version: &Value| {
            let named = Service::builder(self.name.clone()).version(version.clone());
            named.build().full_name()
        };
        self.versions.iter().map(full_name).collect()
    }
}

macro_rules! names {
    ($($name:ty),*) => {$(
        impl From<$name> for ServiceName {
            fn from(name: $name) -> Self {
                Self::new(name.as_ref() as &str)
            }
        }
    )*};
}

names!(&str, &&str, String, &String);

impl From<&Self> for ServiceName {
    fn from(other: &Self) -> Self {
        other.clone()
    }
}

impl From<&ServiceHandle> for ServiceName {
    fn from(service: &ServiceHandle) -> Self {
        Self::new(service.full_name())
    }
}
