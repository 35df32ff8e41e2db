#![doc = include_str!("../README.md")]

mod datagrams;
mod frames;
mod gossip;
mod memory;
mod packets;
mod values;
#[path = "../../../crates/moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::fmt;

/// A decoder with what it must keep to.
pub struct Target {
    /// The name on the command line and of the folders.
    pub name: String,
    check: Box<Check>,
    seeds: Box<Seeds>,
}

type Check = dyn Fn(&[u8]) + Send + Sync;
type Seeds = dyn Fn() -> Vec<Vec<u8>> + Send + Sync;

impl Target {
    fn new(
        name: impl Into<String>,
        check: impl Fn(&[u8]) + Send + Sync + 'static,
        seeds: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), check: Box::new(check), seeds: Box::new(seeds) }
    }

    /// All targets.
    pub fn all() -> Vec<Self> {
        let mut targets = packets::targets();
        targets.extend(values::targets());
        targets.extend([frames::target(), datagrams::target(), gossip::target()]);
        targets
    }

    /// The target of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|target| target.name == name)
    }

    /// Feeds the decoder.
    ///
    /// # Panics
    ///
    /// When it does not keep to what it must.
    pub fn check(&self, input: &[u8]) {
        (self.check)(input);
    }

    /// Inputs made from the golden vectors.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}
