//! Floors: the least that a program without a framework does for the same work.

pub(crate) mod actor;
pub(crate) mod framed_tcp;
pub(crate) mod in_process;
