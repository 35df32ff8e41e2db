//! What a case logs.

use std::{
    fmt::{Debug, Write as _},
    sync::{Mutex, PoisonError},
};

use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::{get_default, set_default},
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    EnvFilter, Layer, fmt,
    layer::{Context, SubscriberExt},
    registry,
};

/// What was logged at level info and above.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

/// Logs as `RUST_LOG` says, and keeps what an operator would see.
pub(crate) fn dispatch() -> Dispatch {
    let shown = EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    let shown = fmt::layer().with_test_writer().with_filter(shown);
    registry().with(shown).with(Lines::default().with_filter(LevelFilter::INFO)).into()
}

/// Logs there on this thread, to its end.
pub(crate) fn log_to(dispatch: &Dispatch) {
    std::mem::forget(set_default(dispatch));
}

/// Lines that this case has logged since it was last asked.
pub(crate) fn logged() -> Vec<String> {
    get_default(|dispatch| {
        let lines = dispatch.downcast_ref::<Lines>().expect("a case logs there");
        std::mem::take(&mut *lines.0.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}:", metadata.level(), metadata.target()));
        event.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = if field.name() == "message" { "" } else { field.name() };
        write!(self.0, " {name} {value:?}").expect("text takes everything");
    }
}
