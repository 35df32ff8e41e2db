#![doc = include_str!("../README.md")]

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
