//! The rules that every cacher keeps, with a limit.

use std::{process::ExitCode, sync::Arc};

use moleculer_cacher_memory::MemoryCacher;

fn main() -> ExitCode {
    moleculer_testkit::cacher::run(|| Arc::new(MemoryCacher::builder().max(200).build()))
}
