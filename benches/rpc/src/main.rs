//! Other RPC libraries as peers of the benchmarks, called as those call themselves: `drive <peer> <runtime>`.
//!
//! They carry the payload as bytes and never look into it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "measurements go to stdout")]

use std::process::ExitCode;

use crate::{
    echo::Server,
    measure::{Flavor, Result},
};

#[path = "../../src/allocations.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks, which use all of it")]
mod allocations;
#[path = "../../src/echo.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks, which use all of it")]
mod echo;
#[path = "../../src/measure.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks, which use all of it")]
mod measure;
#[path = "../../src/payload.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks, which use all of it")]
mod payload;
#[path = "../../src/system_calls.rs"]
mod system_calls;
mod tarpc_echo;
mod tonic_echo;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches-rpc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match *args {
        ["drive", peer, flavor] => drive(peer, flavor.parse()?),
        ["serve", peer, flavor, _] => serve(peer, flavor.parse()?),
        _ => Err("usage: benches-rpc drive <tonic|tarpc> <ct|mt>".into()),
    }
}

fn serve(peer: &str, flavor: Flavor) -> Result<()> {
    echo::end_with_driver();
    // Spawned, since the thread that blocks on a future is not one of the two workers.
    flavor.build()?.block_on(async {
        match peer {
            "tonic" => tokio::spawn(tonic_echo::serve()).await?,
            _ => tokio::spawn(tarpc_echo::serve()).await?,
        }
    })
}

fn drive(peer: &str, flavor: Flavor) -> Result<()> {
    let server = Server::start(peer, flavor, "tcp")?;
    flavor.build()?.block_on(async {
        match peer {
            "tonic" => tonic_echo::drive(&server).await,
            "tarpc" => tarpc_echo::drive(&server).await,
            _ => Err(format!("no peer is called `{peer}`").into()),
        }
    })
}
