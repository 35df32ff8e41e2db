//! What every serializer must do, as a test program: [`run`].

mod extra;
mod hostile;
mod members;
mod memory;
mod packets;
mod payloads;
mod samples;
mod subject;
#[cfg(test)]
mod tests;
mod tokens;
mod values;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use moleculer_protocol::Serializer;

use self::subject::Subject;
pub use self::{extra::Extra, values::any_value};
pub use crate::compare::difference;

/// Runs the conformance suite as a test program.
///
/// Each case is a rule of the contract of
/// [`Serializer`] or [`ValueFormat`](moleculer_protocol::ValueFormat), so that a failure says
/// which one is broken. `carries` lists what the serializer carries beyond
/// what all of them must; it has to be exact in both directions.
///
/// The program needs `harness = false` in `Cargo.toml`, and counts its
/// allocations:
///
/// ```no_run
/// // tests/conformance.rs
/// use std::process::ExitCode;
///
/// use moleculer_protocol::JsonSerializer;
/// use moleculer_testkit::{
///     alloc::CountingAllocator,
///     serializer::{Extra, run},
/// };
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// fn main() -> ExitCode {
///     run(JsonSerializer, &[Extra::Members, Extra::DiscovererMembers, Extra::WideInt])
/// }
/// ```
///
/// It takes the arguments of test programs, a part of a case's name for
/// example. Damaged and generated input is the same in each run;
/// `PROPTEST_RNG_SEED` chooses another, `PROPTEST_CASES` more of it.
pub fn run(serializer: impl Serializer, carries: &[Extra]) -> ExitCode {
    let subject = Arc::new(Subject::new(serializer, carries));
    let cases = cases(&subject).into_iter().filter(|case| case.applies_to(&subject));
    let trials = cases.map(|case| case.into_trial(&subject)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Nothing, or which rule is broken and how.
type Outcome<T = ()> = Result<T, String>;

/// One rule.
struct Case {
    name: String,
    /// What the serializer must carry for the rule to mean something.
    needs: Option<Extra>,
    run: Box<dyn Fn(&Subject) -> Outcome + Send + Sync>,
}

impl Case {
    fn new(
        name: impl Into<String>,
        run: impl Fn(&Subject) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), needs: None, run: Box::new(run) }
    }

    fn needs(self, extra: Extra) -> Self {
        Self { needs: Some(extra), ..self }
    }

    fn applies_to(&self, subject: &Subject) -> bool {
        self.needs.is_none_or(|extra| subject.carries(extra))
    }

    fn into_trial(self, subject: &Arc<Subject>) -> Trial {
        let subject = subject.clone();
        Trial::test(self.name, move || (self.run)(&subject).map_err(Failed::from))
    }
}

fn cases(subject: &Subject) -> Vec<Case> {
    [
        packets::cases(subject),
        payloads::cases(),
        values::cases(),
        members::cases(),
        hostile::cases(),
        memory::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
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
