//! Broker options from a file and from the environment.
//!
//! A node is configured by one file, `moleculer.config.toml`,
//! `moleculer.config.yaml` or `moleculer.config.json`, in the directory where
//! it is started; `MOLECULER_CONFIG` names another. Keys, units and defaults
//! are those of Moleculer JS, so that the options of a JavaScript node do here
//! as well. JSON is always read; the others need the feature `config`.
//!
//! ```no_run
//! use moleculer::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let broker = ServiceBroker::builder().options(moleculer::config::load()?).start().await?;
//! broker.run_until_signal().await
//! # }
//! ```
//!
//! # Environment
//!
//! Variables go before the file, by the rules of Moleculer's runner:
//!
//! - the path of a key that has a default or stands in the file, in upper case
//!   and joined by `_`: `NAMESPACE`, `NODEID`, `TRANSPORTER`, `LOGLEVEL`,
//!   `REQUESTTIMEOUT`, `TRANSIT_MAXQUEUESIZE`;
//! - any path, after `MOL_`, with `__` between levels and `_` between words:
//!   `MOL_REQUEST_TIMEOUT`, `MOL_TRANSPORTER__OPTIONS__URL`,
//!   `MOL_METADATA__REGION`. They go before the former.
//!
//! An empty variable is as good as none. A value that does not fit its key is
//! an error that names the variable.

mod environment;
mod json;
mod text;
#[cfg(feature = "config")]
mod toml;
#[cfg(feature = "config")]
mod yaml;

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use moleculer_core::{BrokerOptions, Error, Object, Places, Result, Value};

use self::{environment::Variables, text::Text};

/// The files that are looked for.
const NAMES: [&str; 4] = [
    "moleculer.config.toml",
    "moleculer.config.yaml",
    "moleculer.config.yml",
    "moleculer.config.json",
];

/// Names another file.
const VARIABLE: &str = "MOLECULER_CONFIG";

/// More than this is no configuration.
const MAX_SIZE: u64 = 1024 * 1024;

/// Lists and objects inside each other; more is no configuration.
const MAX_DEPTH: usize = 64;

/// Reads the file that `MOLECULER_CONFIG` names, or else
/// `moleculer.config.{toml,yaml,yml,json}` in the working directory, or else
/// no file, and then the environment.
///
/// # Errors
///
/// `BrokerOptionsError` that says where the mistake is: file and line, or
/// variable, and key. Also when there are several such files.
pub fn load() -> Result<BrokerOptions> {
    let variables = environment::variables();
    let named = variables.get(VARIABLE).filter(|name| !name.is_empty());
    let file = match named {
        Some(name) => Some(PathBuf::from(name)),
        None => find()?,
    };
    read(file.as_deref(), &variables)
}

/// Reads this file, and then the environment. The end of its name tells the
/// format: `.toml`, `.yaml`, `.yml` or `.json`.
///
/// # Errors
///
/// As [`load`].
pub fn load_file(path: impl AsRef<Path>) -> Result<BrokerOptions> {
    read(Some(path.as_ref()), &environment::variables())
}

fn read(file: Option<&Path>, variables: &Variables) -> Result<BrokerOptions> {
    let (mut options, mut places) = match file {
        Some(file) => read_file(file)?,
        None => (Object::new(), Places::new()),
    };
    environment::apply(&mut options, &mut places, variables)?;
    BrokerOptions::from_value_at(options, places)
}

fn find() -> Result<Option<PathBuf>> {
    let found: Vec<_> = NAMES.into_iter().filter(|name| Path::new(name).exists()).collect();
    match found[..] {
        [] => Ok(None),
        [name] => Ok(Some(name.into())),
        _ => Err(Error::options(format!(
            "there are several configurations: {}; keep one, or name it in {VARIABLE}",
            found.join(", ")
        ))),
    }
}

fn read_file(path: &Path) -> Result<(Object, Places)> {
    let name = path.display().to_string();
    let format = format_of(path)
        .ok_or_else(|| Error::options(format!("{name}: {}", unknown_format(path))))?;
    let content = content(path).map_err(|problem| Error::options(format!("{name}: {problem}")))?;
    let mut text = Text::new(&name, &content);
    match format(&mut text).map_err(|problem| text.error(&problem))? {
        Value::Object(options) => Ok((options, text.into_places())),
        Value::Null => Ok((Object::new(), text.into_places())),
        other => Err(Error::options(format!(
            "{name}: expected keys and values, found {}",
            if other.as_array().is_some() { "a list" } else { "a single value" }
        ))),
    }
}

type Format = fn(&mut Text<'_>) -> Result<Value, text::Problem>;

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "json" => Some(json::parse),
        #[cfg(feature = "config")]
        "toml" => Some(toml::parse),
        #[cfg(feature = "config")]
        "yaml" | "yml" => Some(yaml::parse),
        _ => None,
    }
}

fn unknown_format(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml" | "yaml" | "yml") => {
            "to read this format, enable the feature `config` of the crate `moleculer`"
        }
        Some("js" | "mjs" | "cjs" | "ts" | "mts") => {
            "this is a program; write its options as .toml, .yaml or .json"
        }
        _ => "not supported file extension; known are .toml, .yaml, .yml and .json",
    }
}

fn content(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "config file not found".to_owned(),
        _ => error.to_string(),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_SIZE + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err("more than 1 MiB is no configuration".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        format!("this is no text: byte {} is not UTF-8", error.utf8_error().valid_up_to() + 1)
    })
}

#[cfg(test)]
mod tests;
