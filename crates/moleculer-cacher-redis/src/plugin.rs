//! Choosing the cacher by name or URL.

use std::sync::Arc;

use moleculer_core::{
    PluginSource, Plugins, Result,
    cacher::{CacherPlugin, DynCacher, IntoCacher},
};

use crate::{RedisBuilder, RedisCacher, RedisConfig};

/// `Redis` and `redis://...`, for the broker's plug-ins.
pub const REDIS: CacherPlugin = CacherPlugin {
    name: "Redis",
    schemes: &["redis", "rediss"],
    build: |source, plugins| {
        let builder = match source {
            PluginSource::Options(options) => {
                RedisBuilder::from(RedisConfig::from_object(options)?)
            }
            PluginSource::Url(url) => RedisCacher::builder().url(url),
        };
        Ok(Arc::new(builder.build_with(plugins)?))
    },
};

impl IntoCacher for RedisBuilder {
    fn into_cacher(self, plugins: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        Ok(Some(Arc::new(self.build_with(plugins)?)))
    }
}
