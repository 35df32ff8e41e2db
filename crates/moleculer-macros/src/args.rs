//! The arguments of a method: what is taken from the context, and what are
//! members of the params.

use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, Pat, PatType, Path, PathArguments, Result,
    Signature, Type, spanned::Spanned,
};

/// An argument after `&self`.
pub(crate) enum Arg {
    /// Implements `FromContext`.
    Extracted(Type),
    /// A member of the params.
    Named(NamedArg),
}

/// A member of the params.
pub(crate) struct NamedArg {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    /// Those for the member of the struct: documentation, serde's, schemars'.
    pub(crate) attrs: Vec<Attribute>,
}

/// How a client passes the params.
pub(crate) enum ParamsOf<'a> {
    Nothing,
    Named(Vec<&'a NamedArg>),
    Whole(&'a Type),
}

/// The types of core that are taken from a context.
const EXTRACTORS: [&str; 9] = [
    "Context",
    "Params",
    "SharedParams",
    "Meta",
    "State",
    "ByteStream",
    "ObjectStream",
    "BodyStream",
    "Valid",
];

/// The arguments of a handler; their attributes are taken out.
pub(crate) fn take_args(signature: &mut Signature) -> Result<Vec<Arg>> {
    let args = signature.inputs.iter_mut().filter_map(|arg| match arg {
        FnArg::Receiver(_) => None,
        FnArg::Typed(arg) => Some(take_arg(arg)),
    });
    let args = args.collect::<Result<Vec<_>>>()?;
    check_params(&args)?;
    Ok(args)
}

/// The arguments of a handler that has no params of its own.
pub(crate) fn take_types(signature: &mut Signature) -> Result<Vec<Type>> {
    let args = signature.inputs.iter_mut().filter_map(|arg| match arg {
        FnArg::Receiver(_) => None,
        FnArg::Typed(arg) => Some(arg),
    });
    let types = args.map(|arg| {
        take_attributes(arg);
        Ok((*arg.ty).clone())
    });
    types.collect()
}

fn take_arg(arg: &mut PatType) -> Result<Arg> {
    let (extract, attrs) = take_attributes(arg);
    check_owned(&arg.ty)?;
    let ty = (*arg.ty).clone();
    let is_extractor = extract || is_extractor(&ty) || matches!(*arg.pat, Pat::TupleStruct(_));
    if is_extractor {
        if let Some(attr) = attrs.first() {
            let message =
                "attributes belong on named arguments; this one is taken from the context";
            return Err(Error::new_spanned(attr, message));
        }
        return Ok(Arg::Extracted(ty));
    }
    if let Some(how) = instead_of(&ty) {
        return Err(Error::new_spanned(ty, how));
    }
    match &*arg.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            Ok(Arg::Named(NamedArg { name: pat.ident.clone(), ty, attrs }))
        }
        pat => Err(Error::new_spanned(
            pat,
            "a named argument is `name: Type`; write `#[extract]` before it if it is taken from the context",
        )),
    }
}

/// Whether `#[extract]` is there, and the attributes for the params.
fn take_attributes(arg: &mut PatType) -> (bool, Vec<Attribute>) {
    let is_extract = |attr: &mut Attribute| attr.path().is_ident("extract");
    let extract = arg.attrs.extract_if(.., is_extract).count() > 0;
    let ours = |attr: &mut Attribute| {
        ["serde", "schemars", "doc"].iter().any(|name| attr.path().is_ident(name))
    };
    (extract, arg.attrs.extract_if(.., ours).collect())
}

fn check_owned(ty: &Type) -> Result<()> {
    match ty {
        Type::Reference(reference) => {
            let owned = match reference.elem.to_token_stream().to_string().as_str() {
                "str" => String::from("String"),
                other => other.to_owned(),
            };
            let message = format!("a handler owns its arguments; take `{owned}` without `&`");
            Err(Error::new_spanned(ty, message))
        }
        Type::ImplTrait(_) => {
            let message = "a handler has no type parameters; the broker could not choose the types";
            Err(Error::new_spanned(ty, message))
        }
        _ => Ok(()),
    }
}

fn is_extractor(ty: &Type) -> bool {
    let Some(name) = last_name(ty) else {
        return false;
    };
    match inner(ty) {
        Some(inner) if name == "Option" => is_stream(inner),
        _ => EXTRACTORS.iter().any(|extractor| name == extractor),
    }
}

/// How to get what handlers do not have as arguments.
fn instead_of(ty: &Type) -> Option<&'static str> {
    let name = last_name(ty)?.to_string();
    match name.as_str() {
        "ServiceBroker" => Some("take `ctx: Context`, and the broker with `ctx.broker()`"),
        "ServiceHandle" => Some("take `ctx: Context`, and the service with `ctx.service()`"),
        _ => None,
    }
}

fn is_stream(ty: &Type) -> bool {
    let streams = ["ByteStream", "ObjectStream", "BodyStream"];
    last_name(ty).is_some_and(|name| streams.iter().any(|stream| name == stream))
}

pub(crate) fn last_name(ty: &Type) -> Option<&Ident> {
    path(ty).and_then(|path| path.segments.last()).map(|segment| &segment.ident)
}

fn path(ty: &Type) -> Option<&Path> {
    match ty {
        Type::Path(ty) => Some(&ty.path),
        _ => None,
    }
}

/// `T` of `Name<T>`.
fn inner(ty: &Type) -> Option<&Type> {
    match &path(ty)?.segments.last()?.arguments {
        PathArguments::AngleBracketed(args) => args.args.iter().find_map(|arg| match arg {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        }),
        _ => None,
    }
}

/// The params can be taken once: by name, or as a whole.
fn check_params(args: &[Arg]) -> Result<()> {
    let whole = |arg: &&Arg| matches!(arg, Arg::Extracted(ty) if whole_params(ty).is_some());
    let mut wholes = args.iter().filter(whole);
    let Some(Arg::Extracted(first)) = wholes.next() else {
        return Ok(());
    };
    if let Some(Arg::Extracted(second)) = wholes.next() {
        let message = "a handler takes its params once; ask for one type that has all members";
        return Err(Error::new_spanned(second, message));
    }
    if args.iter().any(|arg| matches!(arg, Arg::Named(_))) {
        let message =
            "the named arguments are the params; name its members as well, or take them here only";
        return Err(Error::new(first.span(), message));
    }
    Ok(())
}

/// `T` of `Params<T>`, `SharedParams<T>` and `Valid<T>`.
fn whole_params(ty: &Type) -> Option<&Type> {
    let name = last_name(ty)?;
    inner(ty).filter(|_| name == "Params" || name == "SharedParams" || name == "Valid")
}

/// What a caller gives.
pub(crate) fn params_of(args: &[Arg]) -> ParamsOf<'_> {
    let named: Vec<_> = args.iter().filter_map(Arg::named).collect();
    if !named.is_empty() {
        return ParamsOf::Named(named);
    }
    let mut extracted = args.iter().filter_map(Arg::extracted);
    extracted.find_map(whole_params).map_or(ParamsOf::Nothing, ParamsOf::Whole)
}

/// Whether a caller gives a stream, and whether it may leave it out.
pub(crate) fn stream_of(args: &[Arg]) -> Option<bool> {
    args.iter().filter_map(Arg::extracted).find_map(|ty| {
        let optional = inner(ty).is_some_and(is_stream) && last_name(ty)? == "Option";
        (is_stream(ty) || optional).then_some(optional)
    })
}

/// Whether a named argument may be left out.
pub(crate) fn is_option(ty: &Type) -> bool {
    last_name(ty).is_some_and(|name| name == "Option")
}

impl Arg {
    pub(crate) fn named(&self) -> Option<&NamedArg> {
        match self {
            Self::Named(arg) => Some(arg),
            Self::Extracted(_) => None,
        }
    }

    pub(crate) fn extracted(&self) -> Option<&Type> {
        match self {
            Self::Extracted(ty) => Some(ty),
            Self::Named(_) => None,
        }
    }
}

impl ToTokens for Arg {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Self::Extracted(ty) => ty.to_tokens(tokens),
            Self::Named(arg) => arg.name.to_tokens(tokens),
        }
    }
}
