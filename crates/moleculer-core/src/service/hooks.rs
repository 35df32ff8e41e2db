//! Hooks of actions: before, after, and for errors.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use super::{
    action::Erased,
    handler::{EventFn, FromContext, Handler, run_handler},
};
use crate::{ActionFn, Body, Context, Error, FromBody, IntoBody, Result, registry::matches};

/// An async function that gets the result of an action as its last argument
/// and returns the one to go on with. The arguments before it are taken from
/// the context, as those of a [`Handler`].
///
/// The result can be taken as any type that a caller could ask for; as
/// [`Body`] it is passed on as it is.
#[diagnostic::on_unimplemented(
    message = "this is no after hook",
    note = "an after hook is an `async fn` whose last argument is the result, after up to three that implement `FromContext`, and that returns `Result<T, E>` with `T: Serialize` and `E: Into<Error>`"
)]
pub trait AfterHook<Args, S>: Send + Sync + 'static {
    /// Takes the arguments and starts the function.
    fn call(&self, ctx: Context, result: Body, state: &S) -> BoxFuture<'static, Result<Body>>;
}

/// An async function that gets the error of an action as its last argument
/// and returns an error to go on with, or a result for the caller. The
/// arguments before it are taken from the context, as those of a [`Handler`].
#[diagnostic::on_unimplemented(
    message = "this is no error hook",
    note = "an error hook is an `async fn` whose last argument is an `Error`, after up to three that implement `FromContext`, and that returns `Result<T, E>` with `T: Serialize` and `E: Into<Error>`"
)]
pub trait ErrorHook<Args, S>: Send + Sync + 'static {
    /// Takes the arguments and starts the function.
    fn call(&self, ctx: Context, error: Error, state: &S) -> BoxFuture<'static, Result<Body>>;
}

macro_rules! hooks {
    ($(($($arg:ident)*))*) => {$(
        impl<F, Fut, T, E, S, R, $($arg,)*> AfterHook<($($arg,)* R,), S> for F
        where
            F: Fn($($arg,)* R) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, E>> + Send + 'static,
            T: IntoBody,
            E: Into<Error>,
            R: FromBody,
            $($arg: FromContext<S>,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "one binding for each argument, maybe none")]
            fn call(&self, ctx: Context, result: Body, state: &S) -> BoxFuture<'static, Result<Body>> {
                run_handler(|| {
                    $(let $arg = $arg::from_context(&ctx, state)?;)*
                    Ok(self($($arg,)* R::from_body(result)?))
                })
            }
        }

        impl<F, Fut, T, E, S, $($arg,)*> ErrorHook<($($arg,)*), S> for F
        where
            F: Fn($($arg,)* Error) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, E>> + Send + 'static,
            T: IntoBody,
            E: Into<Error>,
            $($arg: FromContext<S>,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "one binding for each argument, maybe none")]
            fn call(&self, ctx: Context, error: Error, state: &S) -> BoxFuture<'static, Result<Body>> {
                run_handler(|| {
                    $(let $arg = $arg::from_context(&ctx, state)?;)*
                    Ok(self($($arg,)* error))
                })
            }
        }
    )*};
}

hooks! { () (A) (A B) (A B C) }

type UnboundAfter<S> =
    Arc<dyn Fn(Context, Body, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync>;
pub(super) type UnboundError<S> =
    Arc<dyn Fn(Context, Error, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync>;

/// Hooks that still lack their state.
pub(super) struct UnboundHooks<S> {
    before: Vec<Erased<S>>,
    after: Vec<UnboundAfter<S>>,
    error: Vec<UnboundError<S>>,
}

impl<S> Default for UnboundHooks<S> {
    fn default() -> Self {
        Self { before: Vec::new(), after: Vec::new(), error: Vec::new() }
    }
}

impl<S: Send + Sync + 'static> UnboundHooks<S> {
    pub(super) fn before<Args: 'static>(&mut self, hook: impl Handler<Args, S>) {
        self.before.push(Arc::new(move |ctx, state| hook.call(ctx, state)));
    }

    pub(super) fn after<Args: 'static>(&mut self, hook: impl AfterHook<Args, S>) {
        self.after.push(Arc::new(move |ctx, result, state| hook.call(ctx, result, state)));
    }

    pub(super) fn on_error<Args: 'static>(&mut self, hook: impl ErrorHook<Args, S>) {
        self.error.push(Arc::new(move |ctx, error, state| hook.call(ctx, error, state)));
    }

    pub(super) fn bind(self, state: &S) -> HookLists
    where
        S: Clone,
    {
        let before = |hook: Erased<S>| -> Before {
            let state = state.clone();
            Arc::new(move |ctx| {
                let running = hook(ctx, &state);
                Box::pin(async move { running.await.map(drop) })
            })
        };
        let after = |hook: UnboundAfter<S>| -> After {
            let state = state.clone();
            Arc::new(move |ctx, result| hook(ctx, result, &state))
        };
        let error = |hook: UnboundError<S>| -> OnError {
            let state = state.clone();
            Arc::new(move |ctx, error| hook(ctx, error, &state))
        };
        HookLists {
            before: self.before.into_iter().map(before).collect(),
            after: self.after.into_iter().map(after).collect(),
            error: self.error.into_iter().map(error).collect(),
        }
    }
}

type Before = EventFn;
type After = Arc<dyn Fn(Context, Body) -> BoxFuture<'static, Result<Body>> + Send + Sync>;
type OnError = Arc<dyn Fn(Context, Error) -> BoxFuture<'static, Result<Body>> + Send + Sync>;

/// Hooks in the order in which they run.
#[derive(Clone, Default)]
pub(super) struct HookLists {
    before: Vec<Before>,
    after: Vec<After>,
    error: Vec<OnError>,
}

impl HookLists {
    /// Lays an action's hooks over those of a mixin: the mixin's stay outside.
    pub(super) fn merge_above(&mut self, upper: Self) {
        self.before.extend(upper.before);
        self.after.splice(..0, upper.after);
        self.error.splice(..0, upper.error);
    }
}

/// The hooks of a service, by name, pattern, or `*`.
#[derive(Clone)]
pub(super) struct Hooks {
    before: Keyed<Before>,
    after: Keyed<After>,
    error: Keyed<OnError>,
}

/// In the order in which the keys were first used.
type Keyed<F> = Vec<(Arc<str>, Vec<F>)>;

impl Hooks {
    pub(super) const fn new() -> Self {
        Self { before: Vec::new(), after: Vec::new(), error: Vec::new() }
    }

    pub(super) fn add(&mut self, names: &str, hooks: HookLists) {
        let names: Arc<str> = names.into();
        add(&mut self.before, &names, hooks.before);
        add(&mut self.after, &names, hooks.after);
        add(&mut self.error, &names, hooks.error);
    }

    /// Takes in a mixin's hooks: they stay outside of the own ones.
    pub(super) fn merge_below(&mut self, mixin: Self) {
        let own = std::mem::replace(self, mixin);
        for (names, hooks) in own.before {
            add(&mut self.before, &names, hooks);
        }
        add_first(&mut self.after, own.after);
        add_first(&mut self.error, own.error);
    }

    /// All hooks of one action.
    pub(super) fn of_action(&self, name: &str, action: &HookLists) -> HookChain {
        let before = fitting(&self.before, name, true).chain(fitting(&self.before, name, false));
        let after = action.after.iter().chain(fitting(&self.after, name, false));
        let error = action.error.iter().chain(fitting(&self.error, name, false));
        let hooks = HookLists {
            before: before.chain(&action.before).cloned().collect(),
            after: after.chain(fitting(&self.after, name, true)).cloned().collect(),
            error: error.chain(fitting(&self.error, name, true)).cloned().collect(),
        };
        let none = hooks.before.is_empty() && hooks.after.is_empty() && hooks.error.is_empty();
        HookChain((!none).then(|| Arc::new(hooks)))
    }
}

fn add<F>(keyed: &mut Keyed<F>, names: &Arc<str>, hooks: Vec<F>) {
    match keyed.iter_mut().find(|(other, _)| other == names) {
        Some((_, list)) => list.extend(hooks),
        None if hooks.is_empty() => {}
        None => keyed.push((names.clone(), hooks)),
    }
}

fn add_first<F>(keyed: &mut Keyed<F>, upper: Keyed<F>) {
    for (names, hooks) in upper {
        match keyed.iter_mut().find(|(other, _)| *other == names) {
            Some((_, list)) => {
                list.splice(..0, hooks);
            }
            None => keyed.push((names, hooks)),
        }
    }
}

/// The hooks for all actions, or those whose names fit `name`.
fn fitting<'a, F>(
    keyed: &'a Keyed<F>,
    name: &'a str,
    for_all: bool,
) -> impl Iterator<Item = &'a F> {
    let fits = move |names: &str| match names {
        "*" => for_all,
        _ => !for_all && names.split('|').any(|pattern| matches(name, pattern.trim())),
    };
    keyed.iter().filter(move |(names, _)| fits(names)).flat_map(|(_, hooks)| hooks)
}

/// The hooks of one action, if it has any.
#[derive(Clone, Default)]
pub(crate) struct HookChain(Option<Arc<HookLists>>);

impl HookChain {
    /// Puts the hooks around a handler.
    pub(crate) fn wrap(&self, next: ActionFn) -> ActionFn {
        let Some(hooks) = self.0.clone() else {
            return next;
        };
        Arc::new(move |ctx| {
            let (hooks, next) = (hooks.clone(), next.clone());
            Box::pin(async move {
                match hooks.run(&ctx, &next).await {
                    Ok(body) => Ok(body),
                    Err(error) => hooks.recover(&ctx, error).await,
                }
            })
        })
    }
}

impl HookLists {
    async fn run(&self, ctx: &Context, next: &ActionFn) -> Result<Body> {
        for hook in &self.before {
            ctx.lending_params(|| hook(ctx.clone())).await?;
        }
        // Hooks that come later may look at the params, too.
        let running = if self.after.is_empty() && self.error.is_empty() {
            next(ctx.clone())
        } else {
            ctx.lending_params(|| next(ctx.clone()))
        };
        let mut body = running.await?;
        for hook in &self.after {
            body = ctx.lending_params(|| hook(ctx.clone(), body)).await?;
        }
        Ok(body)
    }

    /// Each hook gets the error of the one before it; the first result ends it.
    async fn recover(&self, ctx: &Context, mut error: Error) -> Result<Body> {
        for hook in &self.error {
            match ctx.lending_params(|| hook(ctx.clone(), error)).await {
                Ok(body) => return Ok(body),
                Err(next) => error = next,
            }
        }
        Err(error)
    }
}

impl fmt::Debug for HookChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks = self.0.as_deref();
        let counts = hooks.map(|hooks| [hooks.before.len(), hooks.after.len(), hooks.error.len()]);
        f.debug_tuple("HookChain").field(&counts).finish()
    }
}

/// The same hooks, not equal ones: functions cannot be compared.
impl PartialEq for HookChain {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}
