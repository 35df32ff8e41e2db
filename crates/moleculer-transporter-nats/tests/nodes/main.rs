//! Brokers over a real NATS server.
//!
//! `MOLECULER_TEST_NATS_SERVER` is the `nats-server` program to test with.
//! With `MOLECULER_TEST_NATS_URL` instead, those cases run that need no server
//! of their own.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod balanced;
mod cluster;
mod faults;
mod hostile;
mod load;
mod login;
mod outage;
mod support;

use std::{env, pin::Pin, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use support::{Server, Setup, dispatch, log_to};

type Case = (&'static str, fn(Setup) -> Pin<Box<dyn Future<Output = ()>>>);
type OwnCase = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// Cases that share a server.
macro_rules! cases {
    ($($module:ident::$case:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($case)), |setup| Box::pin($module::$case(setup)))),*]
    };
}

/// Cases that bring their own server.
macro_rules! own_cases {
    ($($module:ident::$case:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($case)), || Box::pin($module::$case()))),*]
    };
}

const SHARED: &[Case] = cases![
    balanced::each_request_goes_to_one_of_the_group,
    balanced::no_request_is_lost_when_a_worker_goes,
    balanced::nothing_is_asked_of_a_service_that_was_destroyed,
    balanced::each_event_goes_to_one_of_the_group,
    cluster::nodes_find_and_call_each_other,
    cluster::errors_keep_their_class,
    cluster::events_reach_one_of_each_group,
    cluster::packets_keep_their_order,
    cluster::nodes_of_another_namespace_are_strangers,
    cluster::later_services_are_told,
    cluster::a_node_that_stops_is_missed_at_once,
    cluster::a_node_comes_back_under_its_id,
    cluster::a_second_node_of_the_same_id_stops,
    cluster::a_stopping_node_answers_first,
    cluster::what_was_sent_before_the_stop_arrives,
    cluster::nothing_is_left_after_the_stop,
    cluster::names_that_are_no_subjects_are_refused,
    hostile::packets_of_strangers,
    hostile::packets_that_are_none,
    hostile::streams_that_never_end,
    load::requests_above_the_limit_are_refused,
    load::many_callers_get_their_own_answers,
    load::streams_pass,
];

const OWN: &[OwnCase] = own_cases![
    faults::a_link_that_is_cut_for_half_a_minute,
    faults::a_link_that_freezes,
    faults::a_server_that_freezes,
    faults::a_server_that_is_killed,
    load::a_server_that_reads_nothing,
    load::packets_above_the_limit_of_the_server_are_refused,
    login::user_and_password,
    login::token,
    login::nkey,
    login::credentials,
    login::credentials_that_are_renewed,
    login::tls,
    login::tls_with_a_certificate_of_the_node,
    outage::a_server_that_is_not_there_yet,
    outage::a_server_that_is_restarted,
    outage::an_answer_waits_for_the_server,
    outage::a_server_that_hangs,
    outage::another_server_takes_over,
    outage::a_stop_while_the_server_is_away,
    outage::no_reconnect_if_not_wanted,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    let url = env::var("MOLECULER_TEST_NATS_URL").ok().filter(|url| !url.is_empty());
    let program = Server::program().is_some();
    let wanted = url.is_none() && program && !arguments.list;
    let shared = wanted.then(|| Server::start::<&str>([]));
    let url = url.or_else(|| shared.as_ref().map(Server::url));

    let reason = "unavailable: no NATS server; run `cargo xtask test --only nats`";
    let mut trials = Vec::new();
    for &(name, case) in SHARED {
        let setup = Setup::new(url.as_deref().unwrap_or("nowhere"));
        trials.push(trial(name, url.is_some(), reason, move || case(setup)));
    }
    // A server that somebody else runs is not to be killed.
    let reason = if url.is_some() { "needs a server of its own" } else { reason };
    for &(name, case) in OWN {
        trials.push(trial(name, program, reason, case));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial<F: Future<Output = ()>>(
    name: &str,
    runs: bool,
    reason: &str,
    case: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    let trial = Trial::test(name, move || run(case()));
    if runs { trial } else { trial.with_ignored_flag(true).with_kind(reason) }
}

fn run(case: impl Future<Output = ()>) -> Result<(), Failed> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let log = dispatch();
    log_to(&log);
    let runtime = runtime.worker_threads(2).on_thread_start(move || log_to(&log));
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async {
        let ended = tokio::time::timeout(Duration::from_secs(60), case).await;
        ended.map_err(|_| "the case did not end within 60 s".into())
    })
}
