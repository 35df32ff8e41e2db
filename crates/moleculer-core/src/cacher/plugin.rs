//! Choosing a cacher by name or URL: [`CacherPlugin`].

use std::sync::Arc;

use super::DynCacher;
use crate::{PluginSource, Result};

/// A cacher that can be chosen by name or URL.
#[derive(Clone, Copy, Debug)]
pub struct CacherPlugin {
    /// The name in configuration, in the reference's spelling; case does not matter.
    pub name: &'static str,
    /// URL schemes, without `://`.
    pub schemes: &'static [&'static str],
    /// Makes one.
    pub build: fn(PluginSource) -> Result<Arc<dyn DynCacher>>,
}
