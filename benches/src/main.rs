#![doc = include_str!("../README.md")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "measurements and the report go to stdout, progress goes to stderr"
)]

use std::{fs::File, io::Write, process::ExitCode};

use crate::{
    measure::{Flavor, Result},
    nats::Nats,
    options::Family,
    peer::{Peer, Record},
};

mod allocations;
mod codec;
mod echo;
mod floor;
mod local;
mod measure;
mod nats;
mod options;
mod ours;
mod payload;
mod peer;
mod remote;
mod report;
mod scale;
mod start;
mod system_calls;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    if cfg!(debug_assertions) {
        return Err("measures nothing useful without optimisation: run it with `cargo run --release -p benches`".into());
    }
    match *args {
        ["drive", "local", peer] => local::drive(peer),
        ["drive", "scale", peer] => scale::drive(peer),
        ["drive", "codec", peer] => codec::drive(peer),
        ["drive", "remote", peer, flavor] => remote::drive(peer, flavor.parse()?),
        ["drive", "nats", peer, flavor, url] => nats::drive(peer, flavor.parse()?, url),
        ["drive", "start"] => start::drive(),
        ["first-call"] => start::first_call(),
        ["serve", peer, flavor, medium] => remote::serve(peer, flavor.parse()?, medium),
        ["--help" | "-h"] => {
            println!("{}", options::USAGE);
            Ok(())
        }
        _ => compare(&options::Options::parse(args)?),
    }
}

fn compare(options: &options::Options) -> Result<()> {
    let nats = options.families.contains(&Family::Nats).then(Nats::start).transpose()?;
    let mut peers = Vec::new();
    for family in &options.families {
        peers.extend(match family {
            Family::Local => local::peers(),
            Family::Scale => scale::peers(),
            Family::Codec => codec::peers()?,
            Family::Remote => remote::peers()?,
            Family::Start => start::peers(),
            Family::Nats => nats::peers(nats.as_ref().map(Nats::url).as_deref())?,
        });
    }
    if options.js && peers.iter().any(Peer::is_js) {
        peer::check_js_installed()?;
    } else {
        peers.retain(|peer| !peer.is_js());
    }
    // Created first, so that a wrong path does not cost a whole run.
    let json = options.json.as_ref().map(File::create).transpose();
    let json = json.map_err(|error| format!("cannot create the --json file: {error}"))?;
    let records = measure_rounds(&peers, options.rounds)?;
    if let Some(mut file) = json {
        file.write_all(report::json_lines(&records)?.as_bytes())?;
    }
    println!("{}", report::machine(options));
    println!("{}", report::markdown(&records, &peers));
    Ok(())
}

/// Every other round goes through the peers backwards, so that a slow drift of the machine favours nobody.
fn measure_rounds(peers: &[Peer], rounds: u32) -> Result<Vec<Record>> {
    let runtime = Flavor::CurrentThread.build()?;
    let mut records = Vec::new();
    for round in 1..=rounds {
        let mut order: Vec<&Peer> = peers.iter().collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for peer in order {
            eprintln!("round {round} of {rounds}: {}", peer.name);
            let samples = runtime.block_on(peer.measure())?;
            records.extend(samples.into_iter().map(|sample| Record::new(round, peer, sample)));
        }
    }
    Ok(records)
}
