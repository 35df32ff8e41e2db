//! Choosing the cachers by name.

use std::sync::Arc;

use moleculer_core::{
    Error, PluginSource, Plugins, Result,
    cacher::{CacherPlugin, DynCacher, IntoCacher},
    strict,
};

use crate::{MemoryConfig, config::MemoryBuilder};

/// `Memory`, for the broker's plug-ins.
pub const MEMORY: CacherPlugin = CacherPlugin {
    name: "Memory",
    schemes: &[],
    build: |source, _| {
        let config = read("Memory", source)?;
        if config.max.is_some() {
            return Err(Error::options("cacher Memory: `max` is an option of MemoryLRU"));
        }
        Ok(make(config.into()))
    },
};

/// `MemoryLRU`, for the broker's plug-ins.
pub const MEMORY_LRU: CacherPlugin = CacherPlugin {
    name: "MemoryLRU",
    schemes: &[],
    build: |source, _| {
        let builder = MemoryBuilder::from(read("MemoryLRU", source)?);
        Ok(make(builder.least_recently_used()))
    },
};

fn read(name: &str, source: PluginSource) -> Result<MemoryConfig> {
    match source {
        PluginSource::Options(options) => strict(&format!("cacher {name}"), options),
        PluginSource::Url(url) => Err(Error::options(format!("cacher {name} has no URL: {url}"))),
    }
}

fn make(builder: MemoryBuilder) -> Arc<dyn DynCacher> {
    Arc::new(builder.build())
}

impl IntoCacher for MemoryBuilder {
    fn into_cacher(self, _: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        Ok(Some(make(self)))
    }
}

#[cfg(test)]
mod tests {
    use moleculer_core::Value;
    use serde_json::json;

    use super::*;

    fn build(plugin: CacherPlugin, options: serde_json::Value) -> Result<Arc<dyn DynCacher>> {
        let Value::Object(options) = options.into() else { panic!("no object") };
        (plugin.build)(PluginSource::Options(options), &Plugins::core())
    }

    #[test]
    fn options_are_those_of_the_reference() {
        let options = json!({
            "ttl": 30, "maxParamsLength": 60, "missingResponse": null, "prefix": "x", "clone": true
        });
        let made = build(MEMORY, options).unwrap();
        assert_eq!((made.name(), made.capabilities().max), ("Memory", None));
        assert_eq!(made.options().ttl.map(|ttl| ttl.as_secs()), Some(30));
        assert_eq!(made.options().max_params_length, Some(60));
        assert_eq!(made.options().missing_response, Value::Null);
        let made = build(MEMORY_LRU, json!({})).unwrap();
        assert_eq!((made.name(), made.capabilities().max), ("MemoryLRU", Some(1000)));
        assert_eq!(made.options().missing_response, Value::Undefined);
        let made = build(MEMORY_LRU, json!({"max": 5, "ttl": "1m"})).unwrap();
        assert_eq!(made.capabilities().max, Some(5));
        assert_eq!(made.options().ttl.map(|ttl| ttl.as_secs()), Some(60));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |plugin, options, expected: &str| {
            let error = build(plugin, options).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check(MEMORY, json!({"max": 5}), "`max` is an option of MemoryLRU");
        check(MEMORY, json!({"tll": 5}), "did you mean `ttl`?");
        check(MEMORY_LRU, json!({"max": "many"}), "max: invalid type: string");
        let url = PluginSource::Url("memory://x".to_owned());
        assert!(
            (MEMORY.build)(url, &Plugins::core()).unwrap_err().message().contains("has no URL")
        );
    }
}
