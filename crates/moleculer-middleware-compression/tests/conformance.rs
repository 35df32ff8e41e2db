//! The rules that every middleware has to keep.

use std::process::ExitCode;

use moleculer_middleware_compression::{Compression, Method};

fn main() -> ExitCode {
    moleculer_testkit::middleware::run(&[
        ("compression", |broker| broker.middleware(Compression::default())),
        ("compression of all", |broker| {
            broker.middleware(Compression::default().method(Method::DeflateRaw).threshold(0))
        }),
    ])
}
