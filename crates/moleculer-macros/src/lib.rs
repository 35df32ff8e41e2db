#![doc = include_str!("../README.md")]

mod error;
mod method;
mod options;
mod service;

use proc_macro::TokenStream;

/// Makes the type of an `impl` block a service.
///
/// It implements `IntoService` for the type, in terms of `Service::builder`;
/// the methods stay callable as they are. A mistake is an error at the word
/// that is wrong.
///
/// | option | what it sets | default |
/// | --- | --- | --- |
/// | `name = "posts"` | the service's name | the type's name in lower camel case |
/// | `version = 2`, `version = "beta"` | the version | none |
/// | `dependencies("users", "v2.mail")` | full names of services that must be known before this one starts | none |
/// | `crate = moleculer_core` | where the items that the macro names are found | `::moleculer` |
///
/// Methods with one of the following attributes become handlers. A handler is
/// an `async fn` that takes `&self` and returns `Result<T, E>`.
///
/// `#[action]` makes a method an action. Its other arguments implement
/// `FromContext`. The first paragraph of its documentation is published as the
/// action's `description`.
///
/// | option | what it sets | default |
/// | --- | --- | --- |
/// | `name = "get"` | the action's name | the method's name |
/// | `timeout = "2s"` | the timeout of its calls, in `ms`, `s`, `m` or `h`; `"0s"` for none | the broker's |
/// | `visibility = "public"` | who may call it: `published`, `public`, `protected`, `private` | `published` |
/// | `detached` | that it runs on when its caller gave up | it is stopped |
/// | `extra(rest = "GET /:id")` | members of the published definition: texts, numbers, bools | none |
///
/// `#[event("users.removed")]` makes a method an event listener, with arguments
/// as an action's; in the name, `?`, `*` and `**` are wildcards. A method may
/// have several.
///
/// | option | what it sets | default |
/// | --- | --- | --- |
/// | `group = "posts"` | the group that shares each event | the service's name |
///
/// `#[started]` and `#[stopped]` make a method run before the service can be
/// called, and when it stops; several of them run in the order of the block,
/// and in the opposite order. Besides `&self` it may take the `ServiceBroker`.
///
/// ```
/// use std::sync::atomic::{AtomicI64, Ordering};
///
/// use moleculer_core::{Params, Result};
/// use moleculer_macros::service;
///
/// #[derive(Default)]
/// struct Counter {
///     total: AtomicI64,
/// }
///
/// #[service(version = 2, crate = moleculer_core)]
/// impl Counter {
///     /// Adds to the total and returns it.
///     #[action(timeout = "500ms", extra(rest = "POST /add"))]
///     async fn add(&self, Params(n): Params<i64>) -> Result<i64> {
///         Ok(self.total.fetch_add(n, Ordering::Relaxed) + n)
///     }
///
///     #[event("counters.reset")]
///     async fn reset(&self) -> Result<()> {
///         self.total.store(0, Ordering::Relaxed);
///         Ok(())
///     }
/// }
///
/// use moleculer_core::IntoService;
/// assert_eq!(Counter::default().into_service().full_name(), "v2.counter");
/// ```
#[proc_macro_attribute]
pub fn service(options: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(options.into(), item.into()).into()
}

/// Makes an enum the error of an action: it travels with a code and a type,
/// and callers get it back as the variant that it was.
///
/// It implements `From<YourError> for Error` and `From<Error> for YourError`,
/// so that `?` works in both directions, a handler may return
/// `Result<T, YourError>`, and a call may be made with
/// `.typed_error::<YourError>()`.
///
/// | option of a variant | what it sets | default |
/// | --- | --- | --- |
/// | `code = 404` | the code, from 400 to 599, as of HTTP | required |
/// | `type = "POST_NOT_FOUND"` | the type, by which callers know the variant; unique in the cluster | required |
/// | `retryable` | that the call may succeed when it is made again | it does not |
/// | `message = "post {id} not found"` | the message, a format string over the fields | `Display` |
/// | `other` | that this variant, and no other one, holds every other `Error` | |
///
/// | option of a field | what it sets | default |
/// | --- | --- | --- |
/// | `rename = "postId"` | its name on the wire | the field's |
///
/// | option of the enum | what it sets | default |
/// | --- | --- | --- |
/// | `crate = moleculer_core` | where the items that the macro names are found | `::moleculer` |
///
/// Named fields are the members of the error's `data`; the field of a variant
/// with one unnamed field is the `data` itself. Fields are serializable both
/// ways. On a Node.js node the error is a `MoleculerClientError` (codes below
/// 500), a `MoleculerError`, or a `MoleculerRetryableError`; an error that is
/// raised there with the same type comes back as the variant.
///
/// What comes with the type of a variant but with data that do not fit it, and
/// all that has no variant (timeouts, validation, a node that went away), is in
/// the variant `other`, unchanged. An error of the type of a variant that
/// passes through `?` becomes the variant, and from there on an error of this
/// node.
///
/// With a `message` for each variant the derive implements `Display` and
/// `std::error::Error`. Without any, you do, for example with `thiserror`.
///
/// ```
/// use moleculer_core::{Action, BrokerBuilder, Error, Params, Plugins, Service};
/// use moleculer_macros::ActionError;
///
/// #[derive(Debug, ActionError)]
/// #[action_error(crate = moleculer_core)]
/// enum PostError {
///     #[action_error(code = 404, type = "POST_NOT_FOUND", message = "post {id} not found")]
///     NotFound { id: u64 },
///     #[action_error(code = 503, type = "POSTS_BUSY", retryable, message = "try again")]
///     Busy,
///     #[action_error(other)]
///     Other(Error),
/// }
///
/// async fn title(Params(id): Params<u64>) -> Result<String, PostError> {
///     Err(PostError::NotFound { id })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), PostError> {
/// let posts = Service::builder("posts").action(Action::new("title", title));
/// let broker = BrokerBuilder::new(Plugins::core()).service(posts).start().await?;
///
/// let call = broker.call::<String>("posts.title", 5_u64).typed_error::<PostError>();
/// let error = call.await.unwrap_err();
/// assert!(matches!(error, PostError::NotFound { id: 5 }));
/// assert_eq!(error.to_string(), "post 5 not found");
/// # Ok(()) }
/// ```
#[proc_macro_derive(ActionError, attributes(action_error))]
pub fn action_error(item: TokenStream) -> TokenStream {
    error::expand(item.into()).into()
}
