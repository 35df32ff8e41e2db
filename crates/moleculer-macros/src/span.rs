//! Where the compiler looks names up, and where it shows errors.

use proc_macro2::{Span, TokenStream};

/// A place in the user's code, with names that cannot meet the user's.
pub(crate) fn hygienic(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

/// Code that errors show at a place in the user's code.
pub(crate) fn located(code: &TokenStream, place: Span) -> TokenStream {
    let tokens = code.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    tokens.collect()
}
