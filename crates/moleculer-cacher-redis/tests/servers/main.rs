//! The cacher with real servers.
//!
//! `MOLECULER_TEST_REDIS_SERVER` is the program to test with, `redis-server` or
//! `valkey-server`. With `MOLECULER_TEST_REDIS_URL` instead, those cases run
//! that need no server of their own.

mod nodes;
mod outage;
mod poison;
mod stored;
mod support;
mod tls;

use std::{env, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use moleculer_cacher_redis::{RedisBuilder, RedisCacher};
use moleculer_core::cacher::DynCacher;
use moleculer_testkit::cacher::{Subject, trials};
use support::Server;
use tracing_subscriber::EnvFilter;

type Case = (&'static str, fn(String) -> Pin<Box<dyn Future<Output = ()>>>);
type OwnCase = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// Cases that share a server.
macro_rules! cases {
    ($($module:ident::$case:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($case)), |url| Box::pin($module::$case(url)))),*]
    };
}

/// Cases that bring their own server.
macro_rules! own_cases {
    ($($module:ident::$case:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($case)), || Box::pin($module::$case()))),*]
    };
}

const SHARED: &[Case] = cases![
    nodes::a_lock_lets_one_of_a_thousand_run,
    poison::entries_that_cannot_be_read,
    poison::entries_of_another_version,
    stored::entries_are_json_with_an_end,
    stored::entries_are_of_the_serializer_that_is_named,
    stored::short_times_are_kept_to_the_millisecond,
    stored::prefixes_are_those_of_the_reference,
    stored::values_of_another_type_are_missing,
    stored::locks_are_keys_beside_the_entries,
    stored::tokens_differ_between_nodes_of_one_seed,
];

const OWN: &[OwnCase] = own_cases![
    nodes::calls_go_on_without_a_server,
    nodes::calls_go_on_with_a_slow_server,
    outage::a_server_that_is_not_there_yet,
    outage::a_server_that_is_restarted,
    outage::a_server_that_hangs,
    outage::an_idle_server_is_asked,
    outage::a_server_without_room,
    outage::a_password_that_is_refused,
    outage::another_master_takes_over,
    outage::a_server_of_a_cluster_that_is_restarted,
    tls::a_server_without_tls,
];

/// Cases with servers of their own that have to speak TLS.
const TLS: &[OwnCase] = own_cases![
    tls::the_authority_is_named,
    tls::certificates_are_for_names,
    tls::the_server_wants_a_certificate,
    tls::clusters_and_sentinels,
];

/// Servers that the conformance suite runs on, for as long as it does.
#[derive(Default)]
struct Servers(Vec<Server>);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .with_test_writer()
        .init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    let url = env::var("MOLECULER_TEST_REDIS_URL").ok().filter(|url| !url.is_empty());
    let program = support::program().is_some();
    let wanted = url.is_none() && program && !arguments.list;
    let mut servers = Servers::default();
    let url = if wanted { Some(servers.single()) } else { url };

    let reason = "unavailable: no Redis server; run `cargo xtask test --only redis`";
    let there = url.is_some();
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:1".to_owned());
    let mut all = vec![(suite("single::", RedisCacher::builder().url(&url), url.clone()), there)];
    // A server that somebody else runs is not to be killed, and is no cluster.
    if wanted {
        let (cluster, at) = servers.cluster();
        all.push((suite("cluster::", cluster, at), true));
        let (sentinels, at) = servers.sentinels();
        all.push((suite("sentinel::", sentinels, at), true));
    }
    let mut trials = Vec::new();
    for (suite, runs) in all {
        let skip = |trial: Trial| {
            if runs { trial } else { trial.with_ignored_flag(true).with_kind(reason) }
        };
        trials.extend(suite.into_iter().map(skip));
    }
    for &(name, case) in SHARED {
        let url = url.clone();
        trials.push(trial(name, there, reason, move || case(url)));
    }
    let reason = if there { "needs a server of its own" } else { reason };
    for &(name, case) in OWN {
        trials.push(trial(name, program, reason, case));
    }
    let speaks_tls = program && support::speaks_tls();
    let reason = if program { "this server is built without TLS" } else { reason };
    for &(name, case) in TLS {
        trials.push(trial(name, speaks_tls, reason, case));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

impl Servers {
    fn keep(&mut self, starting: impl Future<Output = Vec<Server>>) -> String {
        let started = runtime().block_on(starting);
        let first = started[0].url();
        self.0.extend(started);
        first
    }

    fn single(&mut self) -> String {
        self.keep(async { vec![Server::start(&[]).await] })
    }

    fn cluster(&mut self) -> (RedisBuilder, String) {
        let first = self.keep(support::cluster());
        (RedisCacher::builder().cluster([&*first]), first)
    }

    fn sentinels(&mut self) -> (RedisBuilder, String) {
        let master = self.keep(async {
            let master = Server::start(&[]).await;
            let sentinel = Server::sentinel(master.port).await;
            vec![master, sentinel]
        });
        let sentinel = self.0.last().map(Server::address).unwrap_or_default();
        (RedisCacher::builder().sentinels("main", [&*sentinel]), master)
    }
}

/// The rules that every cacher keeps.
fn suite(name: &str, builder: RedisBuilder, url: String) -> Vec<Trial> {
    let builder = builder.command_timeout(support::DEADLINE).connect_timeout(support::DEADLINE);
    let make =
        move || -> Arc<dyn DynCacher> { Arc::new(builder.clone().build().expect("sound options")) };
    let subject = Subject::new(make);
    // In a cluster, who is asked may not have the key.
    let subject = if name == "cluster::" {
        subject
    } else {
        subject.with_damage(move |namespace, key| {
            let url = url.clone();
            Box::pin(async move {
                let name = format!("MOL-{namespace}-{key}");
                let mut command = redis::cmd("SET");
                let command = command.arg(name).arg(b"{\"id\":\xff").to_owned();
                support::query::<()>(&url, &command).await.expect("it is damaged");
            })
        })
    };
    trials(name, subject)
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
    runtime().block_on(async {
        let ended = tokio::time::timeout(Duration::from_secs(60), case).await;
        ended.map_err(|_| "the case did not end within 60 s".into())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("a runtime")
}
