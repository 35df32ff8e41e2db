//! The framework itself as a peer: what its users write, nothing tuned for the benchmark.
#![expect(clippy::unused_async, reason = "the framework is not built yet")]

use crate::{measure::Result, remote::Server};

/// Whether the framework is compiled in.
pub(crate) const BUILT: bool = false;

const NOT_BUILT: &str = "not built yet";

/// Reports local calls: no params, typed params, dynamic params, two callers.
pub(crate) fn drive_local() -> Result<()> {
    Err(NOT_BUILT.into())
}

/// The answering node: announces its port and serves.
pub(crate) async fn serve() -> Result<()> {
    Err(NOT_BUILT.into())
}

/// Reports remote calls of every size.
pub(crate) async fn drive_remote(_server: &Server) -> Result<()> {
    Err(NOT_BUILT.into())
}
