#![doc = include_str!("../README.md")]

mod api;
mod args;
mod block;
mod client;
mod docs;
mod error;
mod method;
mod names;
mod options;
mod params;
mod serde_names;
mod service;
mod span;

use proc_macro::TokenStream;

#[doc = include_str!("docs/service.md")]
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
