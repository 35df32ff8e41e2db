//! What every transporter must do, as a test program: [`run`].

mod balanced;
mod deliver;
mod end;
mod node;
mod order;
mod outage;
#[cfg(test)]
mod tests;
mod waiting;

use std::{
    fmt,
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use moleculer_core::{
    DynTransporter, IntoTransporter, Plugins, Result as CoreResult, TransporterCapabilities,
};

use self::{node::Node, outage::Medium};

/// Longest time for one case.
const LIMIT: Duration = Duration::from_secs(60);
/// No state takes longer to come.
const DEADLINE: Duration = Duration::from_secs(15);
/// After the last packet that is due: what comes twice, too late or to the
/// wrong node has come by then. That nothing comes has no end to wait for.
const GRACE: Duration = Duration::from_millis(50);

/// Lets come what should not.
async fn grace() {
    tokio::time::sleep(GRACE).await;
}

/// Waits until a condition holds that nobody tells of; false if it never does.
async fn eventually(holds: impl Fn() -> bool) -> bool {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.is_ok()
}

/// The transporter under test, and how to reach its medium.
#[derive(Clone)]
pub struct Subject {
    make: Make,
    medium: Option<Medium>,
    unavailable: Option<String>,
}

type Make = Arc<dyn Fn() -> CoreResult<Arc<dyn DynTransporter>> + Send + Sync>;

impl Subject {
    /// A transporter that is made anew for each node of each case.
    pub fn new<T: IntoTransporter>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let make = Arc::new(move || make().into_transporter(&Plugins::core()));
        Self { make, medium: None, unavailable: None }
    }

    /// A transporter whose nodes meet at a server. It is given the server's
    /// address, or that of a [`Relay`](crate::relay::Relay) in front of it,
    /// so that cases can break the way between both.
    ///
    /// It should notice a lost server, and be back, within a few seconds.
    pub fn behind<T: IntoTransporter>(
        server: SocketAddr,
        make: impl Fn(SocketAddr) -> T + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let direct = Arc::clone(&make);
        let mut subject = Self::new(move || direct(server));
        subject.medium = Some(Medium::behind(server, move |address| {
            make(address).into_transporter(&Plugins::core())
        }));
        subject
    }

    /// Stands for a transporter whose server is not there: every case is
    /// ignored for this reason, which should say what to do.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        let mut subject = Self::new(|| "none");
        subject.unavailable = Some(reason.into());
        subject
    }

    /// With a medium of the suite's own tests.
    #[cfg(test)]
    fn with_medium(mut self, medium: Medium) -> Self {
        self.medium = Some(medium);
        self
    }

    fn capabilities(&self) -> CoreResult<TransporterCapabilities> {
        Ok((self.make)()?.capabilities())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("unavailable", &self.unavailable).finish_non_exhaustive()
    }
}

/// Runs the conformance suite as a test program.
///
/// Each case is a rule of the contract of
/// [`Transporter`](moleculer_core::Transporter), so that a failure says which
/// one is broken. Two nodes or more, each a transporter with a host that
/// writes down what it gets, talk to each other over the real medium. A case
/// that needs a capability which the transporter does not have shows as
/// ignored.
///
/// The program needs `harness = false` in `Cargo.toml`:
///
/// ```no_run
/// // tests/conformance.rs
/// use std::process::ExitCode;
///
/// use moleculer_core::InProcessNetwork;
/// use moleculer_testkit::transporter::{Subject, run};
///
/// fn main() -> ExitCode {
///     let network = InProcessNetwork::default();
///     run(Subject::new(move || network.transporter()))
/// }
/// ```
pub fn run(subject: Subject) -> ExitCode {
    let subject = Arc::new(subject);
    let trials = CASES.iter().map(|case| case.trial(&subject)).collect();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Nothing, or which rule is broken and how.
type Outcome<T = ()> = Result<T, String>;

/// One rule.
struct Case {
    name: &'static str,
    needs: Need,
    run: fn(Bench) -> BoxFuture<'static, Outcome>,
}

/// What a transporter must have for a rule to mean something.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    /// Topics that every node gets.
    Broadcast,
    Balanced,
    Pause,
    /// A largest packet.
    Limit,
    /// A medium that can be taken away.
    Outage,
}

impl Need {
    /// Why the case is left out, unless the need is met.
    fn missing(self, subject: &Subject) -> Option<String> {
        if subject.unavailable.is_some() {
            return subject.unavailable.clone();
        }
        // What cannot be made fails in the case itself.
        let can = subject.capabilities().ok()?;
        let (met, reason) = match self {
            Self::Nothing => (true, ""),
            Self::Broadcast => (!can.own_discovery, "nodes have a discovery of their own"),
            Self::Balanced => (can.balanced, "the medium does not balance"),
            Self::Pause => (can.can_pause, "the reader cannot pause"),
            Self::Limit => (can.max_packet.is_some(), "packets may have any size"),
            Self::Outage => (subject.medium.is_some(), "there is no server to be lost"),
        };
        (!met).then(|| reason.to_owned())
    }
}

/// The cases of all rules.
macro_rules! cases {
    ($($module:ident::$case:ident $need:ident,)*) => {
        &[$(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            needs: Need::$need,
            run: |bench| Box::pin($module::$case(bench)),
        }),*]
    };
}

const CASES: &[Case] = cases![
    deliver::both_ways_once_subscribed Nothing,
    deliver::to_the_node_alone Nothing,
    deliver::to_every_node Broadcast,
    deliver::bytes_unchanged Nothing,
    deliver::not_to_another_namespace Nothing,
    deliver::discovery_is_as_declared Nothing,
    deliver::up_to_the_declared_size Limit,
    deliver::nobody_there_does_no_harm Nothing,
    order::of_packets_to_one_target Nothing,
    order::of_packets_from_several_nodes Nothing,
    order::of_packets_that_find_no_room Nothing,
    order::goodbyes_come_last Broadcast,
    waiting::publish_waits_while_the_way_is_full Nothing,
    waiting::a_paused_reader_gets_nothing Pause,
    waiting::a_slow_node_holds_up_no_other Pause,
    balanced::requests_go_to_one_node Balanced,
    balanced::events_go_to_one_node_of_each_group Balanced,
    balanced::subscriptions_replace_each_other Balanced,
    outage::a_first_connection_can_be_tried_again Outage,
    outage::a_cut_is_told_and_mended Outage,
    outage::what_waits_in_an_outage_is_bounded Outage,
    end::what_was_published_before_arrives Nothing,
    end::no_task_is_left Nothing,
    end::publishing_fails_after_it Nothing,
    end::nothing_is_delivered_after_it Nothing,
];

impl Case {
    fn trial(&'static self, subject: &Arc<Subject>) -> Trial {
        match self.needs.missing(subject) {
            Some(reason) => {
                Trial::test(self.name, || Ok(())).with_ignored_flag(true).with_kind(reason)
            }
            None => {
                let subject = Arc::clone(subject);
                Trial::test(self.name, move || self.check(&subject).map_err(Failed::from))
            }
        }
    }

    /// Runs the case in a thread of its own: a transporter that blocks it
    /// fails, and does not hang the program.
    fn check(&'static self, subject: &Arc<Subject>) -> Outcome {
        let (done, outcome) = mpsc::channel();
        let bench = Bench::new(subject);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let outcome = match runtime {
                Ok(runtime) => runtime.block_on((self.run)(bench)),
                Err(error) => Err(error.to_string()),
            };
            // Nobody waits for a case that took too long.
            done.send(outcome).ok();
        });
        match outcome.recv_timeout(LIMIT) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(format!("not over after {LIMIT:?}: does something block the thread?"))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("it panicked".to_owned()),
        }
    }
}

/// Where the nodes of one case are made.
struct Bench {
    subject: Arc<Subject>,
    namespace: String,
    book: node::AddressBook,
}

impl Bench {
    fn new(subject: &Arc<Subject>) -> Self {
        static CASES: AtomicUsize = AtomicUsize::new(0);
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("case-{}-{case}", std::process::id());
        Self { subject: Arc::clone(subject), namespace, book: node::AddressBook::default() }
    }

    /// A node that is connected and subscribed.
    async fn node(&self, id: &str) -> Outcome<Node> {
        self.start(id, &self.namespace, &self.subject.make).await
    }

    /// Nodes that are connected and subscribed.
    async fn nodes<const N: usize>(&self, ids: [&str; N]) -> Outcome<[Node; N]> {
        let mut nodes = Vec::new();
        for id in ids {
            nodes.push(self.node(id).await?);
        }
        nodes.try_into().map_err(|_| "not all nodes were made".to_owned())
    }

    /// A node of another namespace.
    async fn stranger(&self, id: &str) -> Outcome<Node> {
        self.start(id, &format!("{}-other", self.namespace), &self.subject.make).await
    }

    async fn start(&self, id: &str, namespace: &str, make: &Make) -> Outcome<Node> {
        let node = Node::new(id, namespace, make, &self.book)?;
        node.connect().await?;
        node.subscribe().await?;
        Ok(node)
    }

    fn medium(&self) -> Outcome<&Medium> {
        self.subject.medium.as_ref().ok_or_else(|| "there is no medium to be lost".to_owned())
    }
}

/// Fails with a message unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
use ensure;
