//! The framework itself as a peer: what its users write, nothing tuned for the benchmark.

pub(crate) mod local;
pub(crate) mod remote;
