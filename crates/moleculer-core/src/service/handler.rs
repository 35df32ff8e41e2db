//! Handlers: async functions whose arguments are taken from the context.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;

use crate::{Body, Context, Error, IntoBody, Result, broker::Tasks};

/// An action's handler with everything wrapped around it.
pub type ActionFn = Arc<dyn Fn(Context) -> BoxFuture<'static, Result<Body>> + Send + Sync>;

/// An event's handler with everything wrapped around it.
pub type EventFn = Arc<dyn Fn(Context) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Something that a handler can ask for as an argument.
///
/// Provided: [`Params`], [`SharedParams`], [`Meta`], [`State`],
/// [`ByteStream`](crate::ByteStream), [`ObjectStream`](crate::ObjectStream) and
/// [`Context`]; add your own by implementing this.
///
/// ```
/// use moleculer_core::{Context, FromContext, Result};
///
/// /// The depth of the call.
/// struct Level(u32);
///
/// impl<S> FromContext<S> for Level {
///     fn from_context(ctx: &Context, _: &S) -> Result<Self> {
///         Ok(Self(ctx.level()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "not something that can be taken from a context",
    note = "arguments are `Params<T>`, `SharedParams<T>`, `Meta<T>`, `State<S>`, `Context`, `ByteStream`, `ObjectStream<T>`, or your own `FromContext`"
)]
pub trait FromContext<S>: Sized {
    /// Whether it takes the params out of the call, so that no other argument
    /// can have them, as [`Params`] and [`SharedParams`] do.
    const TAKES_PARAMS: bool = false;

    /// Takes it from the context or the service's state.
    ///
    /// # Errors
    ///
    /// The call fails with this error; the handler does not run.
    fn from_context(ctx: &Context, state: &S) -> Result<Self>;
}

/// The params as `T`, moved out of the call: a handler can have it once.
///
/// Params that do not fit fail the call with a `ValidationError` whose `data`
/// is the list that Moleculer JS gives: an item for each member, up to 16, with
/// `type`, `message`, `field`, and where they help `expected` and `actual`.
/// Where serde tells no more than the first fault (in `untagged` and flattened
/// types, and in large params), there is one item.
///
/// ```
/// use moleculer_core::{Action, BrokerBuilder, Params, Plugins, Result, Service};
/// use serde_json::json;
///
/// #[derive(serde::Deserialize)]
/// struct NewPost {
///     title: String,
///     tags: Vec<String>,
/// }
///
/// async fn create(Params(new): Params<NewPost>) -> Result<usize> {
///     Ok(new.title.len() + new.tags.len())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let posts = Service::builder("posts").action(Action::new("create", create));
/// let broker = BrokerBuilder::new(Plugins::core()).node_id("n").service(posts).start().await?;
/// let call = broker.call::<usize>("posts.create", json!({ "tags": ["x", 5] }));
/// let error = call.await.unwrap_err();
/// let items = json!([
///     { "type": "string", "message": "The 'tags[1]' field must be a string.",
///       "field": "tags[1]", "actual": 5, "nodeID": "n", "action": "posts.create" },
///     { "type": "required", "message": "The 'title' field is required.",
///       "field": "title", "nodeID": "n", "action": "posts.create" },
/// ]);
/// assert_eq!((error.code(), error.data()), (422, Some(&items.into())));
/// # Ok(()) }
/// ```
///
/// ```compile_fail
/// use moleculer_core::{Action, Params, Result};
///
/// async fn add(Params(a): Params<i64>, Params(b): Params<i64>) -> Result<i64> {
///     Ok(a + b)
/// }
///
/// // error: a handler can take its params once: ask for one type that has all members
/// let action: Action = Action::new("add", add);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Params<T>(pub T);

impl<S, T: DeserializeOwned + Send + Sync + 'static> FromContext<S> for Params<T> {
    const TAKES_PARAMS: bool = true;

    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        let taken = ctx.handler_payload()?.try_take();
        taken.map(Self).map_err(|refused| ctx.misfit::<T>(&refused))
    }
}

/// The params as `T`, shared with whoever else holds them: an event to many
/// listeners of one node copies nothing.
#[derive(Clone, Debug)]
pub struct SharedParams<T>(pub Arc<T>);

impl<S, T: DeserializeOwned + Send + Sync + 'static> FromContext<S> for SharedParams<T> {
    const TAKES_PARAMS: bool = true;

    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        let shared = ctx.handler_payload()?.try_share();
        shared.map(Self).map_err(|refused| ctx.misfit::<T>(&refused))
    }
}

/// The metadata of the call as `T`.
#[derive(Clone, Copy, Debug)]
pub struct Meta<T>(pub T);

impl<S, T: DeserializeOwned + Send + Sync + 'static> FromContext<S> for Meta<T> {
    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        let meta = moleculer_protocol::Value::from(ctx.meta());
        meta.into_type().map(Self).map_err(|error| ctx.meta_misfit(error))
    }
}

/// A clone of the service's state.
#[derive(Clone, Copy, Debug)]
pub struct State<S>(pub S);

impl<S: Clone> FromContext<S> for State<S> {
    fn from_context(_: &Context, state: &S) -> Result<Self> {
        Ok(Self(state.clone()))
    }
}

impl<S> FromContext<S> for Context {
    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        Ok(ctx.clone())
    }
}

/// An async function with up to six [`FromContext`] arguments that returns
/// `Result<T, E>`, where `T` is serializable and `E` becomes an [`Error`].
#[diagnostic::on_unimplemented(
    message = "this is no handler",
    note = "a handler is an `async fn` whose arguments implement `FromContext` and that returns `Result<T, E>` with `T: Serialize` and `E: Into<Error>`"
)]
pub trait Handler<Args, S>: Send + Sync + 'static {
    /// Takes the arguments and starts the function.
    fn call(&self, ctx: Context, state: &S) -> BoxFuture<'static, Result<Body>>;
}

macro_rules! handlers {
    ($(($($arg:ident)*))*) => {$(
        impl<F, Fut, T, E, S, $($arg,)*> Handler<($($arg,)*), S> for F
        where
            F: Fn($($arg,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, E>> + Send + 'static,
            T: IntoBody,
            E: Into<Error>,
            $($arg: FromContext<S>,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "one binding for each argument, maybe none")]
            fn call(&self, ctx: Context, state: &S) -> BoxFuture<'static, Result<Body>> {
                const { assert_params_once(&[$($arg::TAKES_PARAMS),*]) };
                run_handler(|| {
                    $(let $arg = $arg::from_context(&ctx, state)?;)*
                    Ok(self($($arg,)*))
                })
            }
        }
    )*};
}

handlers! { () (A) (A B) (A B C) (A B C D) (A B C D G) (A B C D G H) }

/// Fails the build of a handler that could only fail.
#[doc(hidden)]
pub const fn assert_params_once(takes_params: &[bool]) {
    let (mut count, mut i) = (0, 0);
    while i < takes_params.len() {
        count += takes_params[i] as usize;
        i += 1;
    }
    assert!(count < 2, "a handler can take its params once: ask for one type that has all members");
}

/// Starts a handler's future; a panic in it, or before it, is an error.
#[doc(hidden)]
pub fn run_handler<Fut, T, E>(
    start: impl FnOnce() -> Result<Fut>,
) -> BoxFuture<'static, Result<Body>>
where
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: IntoBody,
    E: Into<Error>,
{
    // Boxed at once, so that a large future is not moved again.
    let start = AssertUnwindSafe(|| start().map_or_else(failed, boxed));
    catch_unwind(start).unwrap_or_else(|panic| failed(panic_error(&*panic)))
}

/// Combinators and no `async` block: that would keep room for the future twice.
fn boxed<Fut>(future: Fut) -> BoxFuture<'static, Result<Body>>
where
    Fut: Future<Output: Outcome> + Send + 'static,
{
    let guarded = AssertUnwindSafe(future).catch_unwind();
    let finished = guarded.map(|result| match result {
        Ok(outcome) => outcome.into_result(),
        Err(panic) => Err(panic_error(&*panic)),
    });
    finished.boxed()
}

/// What a handler's future yields.
trait Outcome {
    fn into_result(self) -> Result<Body>;
}

impl<T: IntoBody, E: Into<Error>> Outcome for Result<T, E> {
    fn into_result(self) -> Result<Body> {
        match self {
            Ok(value) => Ok(value.into_body()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Starts a lifecycle handler; as [`run_handler`], without a result.
pub(crate) fn run_lifecycle<Fut, E>(start: impl FnOnce() -> Fut) -> BoxFuture<'static, Result<()>>
where
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Error>,
{
    let future = match catch_unwind(AssertUnwindSafe(start)) {
        Ok(future) => future,
        Err(panic) => return Box::pin(std::future::ready(Err(panic_error(&*panic)))),
    };
    Box::pin(async move {
        match AssertUnwindSafe(future).catch_unwind().await {
            Ok(result) => result.map_err(Into::into),
            Err(panic) => Err(panic_error(&*panic)),
        }
    })
}

fn failed(error: Error) -> BoxFuture<'static, Result<Body>> {
    Box::pin(std::future::ready(Err(error)))
}

/// A panic as the caller sees it: `MoleculerError`, 500.
pub(crate) fn panic_error(panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a handler panicked");
    Error::internal(message).with_type("PANIC")
}

/// Runs the handler in a task of the broker, so that it goes on when its
/// caller timed out or went away.
pub(super) fn detach(handler: &ActionFn, tasks: &Tasks) -> ActionFn {
    let (handler, tasks) = (handler.clone(), tasks.clone());
    Arc::new(move |ctx| detached(handler(ctx), &tasks))
}

/// Runs something that was started in a task of the broker.
pub(crate) fn detached(
    running: BoxFuture<'static, Result<Body>>,
    tasks: &Tasks,
) -> BoxFuture<'static, Result<Body>> {
    let (done, result) = tokio::sync::oneshot::channel();
    tasks.spawn(async move {
        // Nobody waits any more when this fails, which is the point.
        drop(done.send(running.await));
    });
    Box::pin(async move {
        result.await.unwrap_or_else(|_| Err::<Body, _>(Error::internal("the broker stopped")))
    })
}
