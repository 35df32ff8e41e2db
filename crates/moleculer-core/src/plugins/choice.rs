//! What configuration says of a plug-in, and what is chosen by that.

use std::fmt;

use moleculer_protocol::{Object, SerializerPlugin, Value};

use super::{MiddlewarePlugin, StrategyPlugin, TransporterPlugin};
use crate::{Error, Result, ValidatorPlugin, cacher::CacherPlugin};

/// What configuration says of a plug-in besides its name.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginSource {
    /// A URL, whole.
    Url(String),
    /// An options object; empty when only the name was given.
    Options(Object),
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Options(options) => write!(f, "{options:?}"),
        }
    }
}

/// A plug-in by name or URL, read from configuration.
pub(super) struct Choice {
    /// For messages.
    pub(super) family: &'static str,
    /// The name, or a whole URL.
    pub(super) name: String,
    pub(super) options: Object,
}

impl Choice {
    /// Reads a name, a URL or `{type, options}`.
    pub(super) fn read(family: &'static str, choice: &Value) -> Result<Self> {
        Self::read_or(family, choice, None)
    }

    /// As [`read`](Self::read); `true` and an object without a `type` stand
    /// for `default`.
    pub(super) fn read_or(
        family: &'static str,
        choice: &Value,
        default: Option<&str>,
    ) -> Result<Self> {
        let named = |name: &str| Self { family, name: name.to_owned(), options: Object::new() };
        match (choice, default) {
            (Value::String(name), _) => Ok(named(name)),
            (Value::Bool(true), Some(name)) => Ok(named(name)),
            (Value::Object(parts), _) => Self::of_parts(family, parts, default),
            (other, _) => Err(Error::options(format!(
                "the {family} must be a name, a URL or {{type, options}}, not {other:?}"
            ))),
        }
    }

    fn of_parts(family: &'static str, parts: &Object, default: Option<&str>) -> Result<Self> {
        let name = match parts.defined("type") {
            Some(name) => name.as_str(),
            None => default,
        };
        let name = name.ok_or_else(|| {
            Error::options(format!("the {family} needs a `type`, as in {{\"type\": \"TCP\"}}"))
        })?;
        if let Some(key) = parts.keys().find(|key| !matches!(*key, "type" | "options")) {
            return Err(Error::options(format!(
                "{family}: unknown key `{key}`; put what belongs to {name} into `options`"
            )));
        }
        let (name, options) = match parts.defined("options") {
            None | Some(Value::Null) => (name, Object::new()),
            Some(Value::Object(options)) => (name, options.clone()),
            Some(Value::String(url)) if url.contains("://") => (url.as_str(), Object::new()),
            Some(other) => {
                return Err(Error::options(format!(
                    "the options of {family} {name} must be an object, not {other:?}"
                )));
            }
        };
        Ok(Self { family, name: name.to_owned(), options })
    }

    /// That of the URL, in lower case.
    pub(super) fn scheme(&self) -> Option<String> {
        self.name.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())
    }

    pub(super) fn into_source(self) -> PluginSource {
        match self.scheme() {
            Some(_) => PluginSource::Url(self.name),
            None => PluginSource::Options(self.options),
        }
    }
}

/// What can be chosen.
pub(super) trait Plugin {
    /// Whether a URL can choose it.
    const BY_URL: bool = false;

    fn name(&self) -> &'static str;

    fn schemes(&self) -> &'static [&'static str] {
        &[]
    }
}

macro_rules! plugins {
    ($($by_name:ty),* ; $($by_url:ty),*) => {
        $(impl Plugin for $by_name {
            fn name(&self) -> &'static str {
                self.name
            }
        })*
        $(impl Plugin for $by_url {
            const BY_URL: bool = true;

            fn name(&self) -> &'static str {
                self.name
            }

            fn schemes(&self) -> &'static [&'static str] {
                self.schemes
            }
        })*
    };
}

plugins!(SerializerPlugin, StrategyPlugin, MiddlewarePlugin, ValidatorPlugin; TransporterPlugin, CacherPlugin);
