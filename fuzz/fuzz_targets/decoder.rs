//! One program for all targets, so that one link serves them all: the
//! environment variable `TARGET` names the one to run.
#![no_main]

use std::{env, sync::LazyLock};

use decoders::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("TARGET").unwrap_or_default();
    Target::find(&name).unwrap_or_else(|| {
        let names: Vec<_> = Target::all().into_iter().map(|target| target.name).collect();
        panic!("TARGET has to be one of {}", names.join(", "))
    })
});

fuzz_target!(|input: &[u8]| TARGET.check(input));
