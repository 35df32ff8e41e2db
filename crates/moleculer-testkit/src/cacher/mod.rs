//! What every cacher must do, as a test program: [`run`].

mod entries;
mod locks;
mod patterns;
#[cfg(test)]
mod tests;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use moleculer_core::cacher::{CacherHost, DynCacher};
use tokio::time::{Instant, sleep};

/// Runs the conformance suite as a test program.
///
/// Each case is a rule of the contract of
/// [`Cacher`](moleculer_core::cacher::Cacher), so that a failure says which
/// one is broken. `make` makes a cacher that is not connected yet; all that it
/// makes share one store, if the store can be shared.
///
/// A store in memory is tested under paused time. What needs a server that
/// fails is left to the plug-in's own tests.
///
/// The program needs `harness = false` in `Cargo.toml`:
///
/// ```no_run
/// // tests/conformance.rs
/// use std::process::ExitCode;
///
/// # fn made() -> std::sync::Arc<dyn moleculer_core::cacher::DynCacher> { unimplemented!() }
/// fn main() -> ExitCode {
///     // `made` returns an `Arc` of a new cacher.
///     moleculer_testkit::cacher::run(made)
/// }
/// ```
pub fn run(make: impl Fn() -> Arc<dyn DynCacher> + Send + Sync + 'static) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials("", Subject::new(make))).exit_code()
}

/// The cases of [`run`] for a test program that has others besides; `name`
/// stands before theirs.
pub fn trials(name: &str, subject: Subject) -> Vec<Trial> {
    let subject = Arc::new(subject);
    let cases = cases().into_iter().map(|(rule, need, case)| {
        let asked = subject.clone();
        let trial = Trial::test(format!("{name}{rule}"), move || {
            run_case(&asked, case).map_err(Failed::from)
        });
        match need.missing(&subject) {
            Some(why) => trial.with_ignored_flag(true).with_kind(why),
            None => trial,
        }
    });
    cases.collect()
}

/// The cacher under test.
pub struct Subject {
    make: Box<dyn Fn() -> Arc<dyn DynCacher> + Send + Sync>,
    damage: Option<Damage>,
}

type Damage = Box<dyn Fn(String, String) -> BoxFuture<'static, ()> + Send + Sync>;

impl Subject {
    /// A cacher that `make` makes.
    pub fn new(make: impl Fn() -> Arc<dyn DynCacher> + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), damage: None }
    }

    /// Tells how to make the stored value of a key, given the namespace and the
    /// key, one that cannot be read.
    #[must_use]
    pub fn with_damage(
        self,
        damage: impl Fn(String, String) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { damage: Some(Box::new(damage)), ..self }
    }

    fn shared(&self) -> bool {
        (self.make)().capabilities().shared
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject")
    }
}

/// Longest time for one case.
const LIMIT: Duration = Duration::from_secs(30);

fn run_case(subject: &Arc<Subject>, case: Case) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // A server does not live in our time.
    let runtime = runtime.enable_all().start_paused(!subject.shared()).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let bench = Bench::new(subject);
    runtime.block_on(async {
        let ended = tokio::time::timeout(LIMIT, case(bench)).await;
        ended.unwrap_or_else(|_| Err(format!("not over after {LIMIT:?}")))
    })
}

/// Nothing, or which rule is broken and how.
type Outcome<T = ()> = Result<T, String>;

type Case = fn(Bench) -> BoxFuture<'static, Outcome>;

/// A rule, what it needs, and how it is tested.
type Row = (&'static str, Need, Case);

/// Without what a rule makes no sense.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Need {
    Nothing,
    Shared,
    Max,
    Damage,
}

impl Need {
    fn missing(self, subject: &Subject) -> Option<&'static str> {
        let capabilities = (subject.make)().capabilities();
        match self {
            Self::Shared if !capabilities.shared => Some("the store is not shared"),
            Self::Max if capabilities.max.is_none() => Some("the store has no limit"),
            Self::Damage if subject.damage.is_none() => Some("nothing can be unreadable"),
            _ => None,
        }
    }
}

fn cases() -> Vec<Row> {
    [entries::CASES, patterns::CASES, locks::CASES].concat()
}

/// Makes the cachers of one case, in a namespace of its own.
struct Bench {
    subject: Arc<Subject>,
    namespace: String,
    /// One that the first would fit if it were taken for a pattern.
    neighbour: String,
}

impl Bench {
    fn new(subject: &Arc<Subject>) -> Self {
        static CASES: AtomicUsize = AtomicUsize::new(0);
        let (process, case) = (std::process::id(), CASES.fetch_add(1, Ordering::Relaxed));
        // Characters that mean something in patterns.
        let namespace = format!("suite-[{process}]*{case}?");
        let digit = process % 10;
        let neighbour = format!("suite-{digit}x{case}y");
        Self { subject: subject.clone(), namespace, neighbour }
    }

    async fn connect(&self) -> Outcome<Arc<dyn DynCacher>> {
        self.connect_in(&self.namespace).await
    }

    /// With a namespace of its own beside the case's.
    async fn connect_in(&self, namespace: &str) -> Outcome<Arc<dyn DynCacher>> {
        self.connect_with(CacherHost::without_broker(namespace)).await
    }

    async fn connect_with(&self, host: CacherHost) -> Outcome<Arc<dyn DynCacher>> {
        let cacher = (self.subject.make)();
        told(cacher.connect_dyn(host).await)?;
        until("a connection", || async { cacher.connected() }).await?;
        Ok(cacher)
    }
}

/// Waits until something holds.
async fn until<Fut: Future<Output = bool>>(what: &str, holds: impl Fn() -> Fut) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}"));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn told<T>(result: moleculer_core::Result<T>) -> Outcome<T> {
    result.map_err(|error| format!("{error:?}"))
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
