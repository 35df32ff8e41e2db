//! Files that a logger writes: [`Files`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use moleculer_protocol::{NodeId, Value};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, TryAcquireError},
};

use crate::{broker::now, secrets::mask};

/// Most files that are being written at once; further ones are left out.
const WRITERS: u32 = 64;

/// Most bytes of a file.
const LARGEST: usize = 1024 * 1024;

/// What a logger writes besides lines: nothing without a folder, else each
/// value into a file of its own, in a folder of the node.
#[derive(Clone, Debug)]
pub(super) struct Files(Option<Folder>);

#[derive(Clone, Debug)]
struct Folder {
    path: PathBuf,
    extension: String,
    node: Arc<OnceLock<NodeId>>,
    writers: Arc<Semaphore>,
}

impl Files {
    pub(super) fn new(folder: Option<PathBuf>, extension: String) -> Self {
        let writers = Arc::new(Semaphore::new(WRITERS as usize));
        Self(folder.map(|path| Folder { path, extension, node: Arc::default(), writers }))
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Tells whose files they are.
    pub(super) fn of_node(&self, node: &NodeId) {
        if let Some(folder) = &self.0 {
            folder.node.get_or_init(|| node.clone());
        }
    }

    /// Writes a file, unless too many are being written.
    pub(super) fn write(&self, what: &str, value: impl FnOnce() -> Value) {
        if let Some(folder) = &self.0 {
            folder.write(what, value());
        }
    }

    /// Resolves when all is written.
    pub(super) async fn written(&self) {
        if let Some(folder) = &self.0 {
            drop(folder.writers.acquire_many(WRITERS).await);
        }
    }
}

impl Folder {
    fn write(&self, what: &str, value: Value) {
        let (Ok(runtime), Some(node)) = (Handle::try_current(), self.node.get()) else { return };
        let writer = match self.writers.clone().try_acquire_owned() {
            Ok(writer) => writer,
            Err(TryAcquireError::Closed | TryAcquireError::NoPermits) => {
                tracing::warn!(what, "a log file is left out: too many are being written");
                return;
            }
        };
        let name = format!("{}-{}{}", now(), plain(what), self.extension);
        let path = self.path.join(plain(node)).join(name);
        drop(runtime.spawn_blocking(move || {
            if let Err(error) = save(&path, value) {
                tracing::error!(path = %path.display(), %error, "a log file cannot be written");
            }
            drop(writer);
        }));
    }
}

fn save(path: &Path, value: Value) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(&mask(value))?;
    if text.len() > LARGEST {
        text = format!("\"[{} bytes]\"", text.len()).into_bytes();
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// A name that is no path: other nodes choose their names themselves.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.$".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).take(150).collect();
    if name.chars().all(|c| c == '.') { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        for (name, expected) in [
            ("1-call-v2.posts.$get-error", "1-call-v2.posts.$get-error"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "_"),
            ("a\0b\\c:d", "a_b_c_d"),
        ] {
            assert_eq!(plain(name), expected);
        }
        assert_eq!(plain(&"x".repeat(1000)).len(), 150);
    }
}
