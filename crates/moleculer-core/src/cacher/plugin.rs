//! Choosing a cacher by name or URL: [`CacherPlugin`].

use std::sync::Arc;

use moleculer_protocol::Value;

use super::{Cacher, DynCacher};
use crate::{PluginSource, Plugins, Result};

/// A cacher that can be chosen by name or URL.
#[derive(Clone, Copy, Debug)]
pub struct CacherPlugin {
    /// The name in configuration, in the reference's spelling; case does not matter.
    pub name: &'static str,
    /// URL schemes, without `://`.
    pub schemes: &'static [&'static str],
    /// Makes one. Its options may name other plug-ins, such as a serializer.
    pub build: fn(PluginSource, &Plugins) -> Result<Arc<dyn DynCacher>>,
}

/// What can be given as a cacher: a value, a builder, a name, a URL, or a flag.
pub trait IntoCacher {
    /// Makes it; names and URLs are looked up in `plugins`. `None` for `false`.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when it cannot be made.
    fn into_cacher(self, plugins: &Plugins) -> Result<Option<Arc<dyn DynCacher>>>;
}

impl<T: Cacher> IntoCacher for T {
    fn into_cacher(self, _: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        Ok(Some(Arc::new(self)))
    }
}

impl IntoCacher for &str {
    fn into_cacher(self, plugins: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        plugins.make_cacher(&self.into())
    }
}

impl IntoCacher for String {
    fn into_cacher(self, plugins: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        plugins.make_cacher(&self.into())
    }
}

/// `true` for `Memory`, `false` for none.
impl IntoCacher for bool {
    fn into_cacher(self, plugins: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        plugins.make_cacher(&self.into())
    }
}

impl IntoCacher for Value {
    fn into_cacher(self, plugins: &Plugins) -> Result<Option<Arc<dyn DynCacher>>> {
        plugins.make_cacher(&self)
    }
}
