//! `#[derive(ActionError)]`: an enum that travels as an error.

mod read;
mod write;

use proc_macro2::{Span, TokenStream};
use syn::{Error, Ident, LitStr, Path, Type};

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let derived = syn::parse2(item).and_then(ErrorEnum::parse);
    derived.map_or_else(Error::into_compile_error, |item| item.expand())
}

/// The enum and what its attributes say.
struct ErrorEnum {
    name: Ident,
    root: Path,
    raised: Vec<Raised>,
    other: Other,
}

/// The variant for all that is none of the others.
struct Other {
    variant: Ident,
    /// Where the type of its field stands.
    field: Span,
}

/// A variant with a type of its own on the wire.
struct Raised {
    variant: Ident,
    code: i64,
    r#type: LitStr,
    retryable: bool,
    message: Option<LitStr>,
    content: Content,
}

/// What a variant carries as `data`.
enum Content {
    Nothing,
    Value(Type),
    Members(Vec<Member>),
}

struct Member {
    field: Ident,
    key: LitStr,
    ty: Type,
}
