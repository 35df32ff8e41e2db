//! Documentation comments.

use syn::{Attribute, Expr, ExprLit, Lit};

pub(crate) fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

/// The first paragraph of a documentation, on one line.
pub(crate) fn first_paragraph(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter(|attribute| is_doc(attribute)).filter_map(|attribute| {
        let meta = attribute.meta.require_name_value().ok()?;
        match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let lines = text.lines().map(str::trim);
    let paragraph = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let paragraph = paragraph.collect::<Vec<_>>().join(" ");
    (!paragraph.is_empty()).then_some(paragraph)
}

#[cfg(test)]
mod tests {
    use syn::{ImplItemFn, parse_quote};

    use super::*;

    #[test]
    fn the_description_is_the_first_paragraph() {
        let check = |item: ImplItemFn, expected| {
            assert_eq!(first_paragraph(&item.attrs).as_deref(), expected);
        };
        check(
            parse_quote!(
                fn f() {}
            ),
            None,
        );
        check(
            parse_quote! {
                /// Returns one post
                ///   by its key.
                #[must_use]
                ///
                /// # Errors
                fn f() {}
            },
            Some("Returns one post by its key."),
        );
        check(
            parse_quote! {
                #[doc = "\n  Two\n  lines\n\n  Rest"]
                #[doc(hidden)]
                fn f() {}
            },
            Some("Two lines"),
        );
    }
}
