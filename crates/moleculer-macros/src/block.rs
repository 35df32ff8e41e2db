//! What the attributes on the methods of a block say.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use syn::{Attribute, Error, Ident, Path, Result, ReturnType, Signature, Visibility, parse_quote};

use crate::{
    client::ClientMethod,
    method::{Method, Role, is_cfg},
    names::Names,
    options::{ActionOptions, EventOptions, HookOptions, closest},
    params::ParamsStruct,
};

/// The attributes that make methods handlers.
const ATTRIBUTES: [&str; 9] =
    ["action", "event", "before", "after", "on_error", "merged", "created", "started", "stopped"];

/// A method of an `impl` block or a trait.
pub(crate) struct Function<'a> {
    pub(crate) attrs: &'a mut Vec<Attribute>,
    pub(crate) signature: &'a mut Signature,
}

/// What is common to all methods of a block.
pub(crate) struct Surroundings<'a> {
    pub(crate) names: &'a Names,
    pub(crate) root: &'a Path,
    /// Full name of the service.
    pub(crate) service: String,
    /// Stands before the names of its actions.
    pub(crate) prefix: String,
    /// Of what is defined beside the block.
    pub(crate) visibility: Visibility,
    /// Whether actions may come from elsewhere.
    pub(crate) open: bool,
    /// Whether a client is defined.
    pub(crate) client: bool,
}

/// What a block becomes.
#[derive(Default)]
pub(crate) struct Block {
    /// One builder call for each attribute.
    pub(crate) steps: Vec<TokenStream>,
    /// The structs of named arguments.
    pub(crate) params: Vec<TokenStream>,
    pub(crate) client: Vec<ClientMethod>,
    pub(crate) errors: Vec<Error>,
}

/// One attribute of a method.
enum Declared {
    Action(Box<ActionOptions>),
    Event(Box<EventOptions>),
    Before(HookOptions),
    After(HookOptions),
    OnError(HookOptions),
    Merged,
    Created,
    Started,
    Stopped,
}

/// A method with its attributes read.
struct Handler<'a> {
    function: Function<'a>,
    declared: Vec<Declared>,
    /// Docs and conditions, before anything is added.
    attrs: Vec<Attribute>,
}

impl Block {
    /// Reads the attributes and takes them out.
    pub(crate) fn read(functions: Vec<Function<'_>>, around: &Surroundings<'_>) -> Self {
        let mut block = Self::default();
        let handlers: Vec<_> = functions
            .into_iter()
            .map(|function| block.declarations(function, around.root))
            .collect();
        let actions = block.action_names(&handlers);
        let fallbacks = block.fallbacks(&handlers);
        let mut methods = Vec::new();
        for handler in handlers {
            match handler.method(&fallbacks) {
                Ok(method) => methods.extend(method),
                Err(error) => block.errors.push(error),
            }
        }
        for read in &methods {
            block.add(read, &methods, &actions, around);
        }
        block
    }

    fn declarations<'a>(&mut self, function: Function<'a>, root: &Path) -> Handler<'a> {
        let ours: Vec<_> = function.attrs.extract_if(.., |attr| is_ours(attr)).collect();
        let mut declared = Vec::new();
        for attribute in &ours {
            match Declared::read(attribute, root) {
                Ok(read) => declared.push(read),
                Err(error) => self.errors.push(error),
            }
        }
        let attrs = function.attrs.clone();
        Handler { function, declared, attrs }
    }

    /// The names of all actions; two methods cannot be one.
    fn action_names(&mut self, handlers: &[Handler<'_>]) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for handler in handlers {
            for options in handler.declared.iter().filter_map(Declared::action) {
                let name = options.name_for(&handler.function.signature.ident);
                // Two methods of which one is compiled may share a name.
                let may_be_gone = handler.attrs.iter().any(is_cfg);
                if !may_be_gone && !seen.insert(name.value()) {
                    let message = format!("the action `{}` is declared twice", name.value());
                    self.errors.push(Error::new(name.span(), message));
                }
                names.push(name.value());
            }
        }
        names
    }

    /// The methods that actions fall back to.
    fn fallbacks(&mut self, handlers: &[Handler<'_>]) -> Vec<Ident> {
        let declared = handlers.iter().flat_map(|handler| &handler.declared);
        let named = declared.filter_map(Declared::action).filter_map(|o| o.fallback.as_ref());
        let methods: Vec<_> =
            handlers.iter().map(|handler| handler.function.signature.ident.to_string()).collect();
        let methods: Vec<_> = methods.iter().map(String::as_str).collect();
        let mut fallbacks = Vec::new();
        for name in named {
            let typed = name.to_string();
            if methods.contains(&&*typed) {
                fallbacks.push(name.clone());
                continue;
            }
            let meant = closest(&typed, &methods).map(|name| format!("; did you mean `{name}`?"));
            let message =
                format!("there is no method `{typed}` in this block{}", meant.unwrap_or_default());
            self.errors.push(Error::new(name.span(), message));
        }
        fallbacks
    }

    /// Adds what the attributes of one method stand for.
    fn add(&mut self, read: &Read, all: &[Read], actions: &[String], around: &Surroundings<'_>) {
        let params = match read.params(around) {
            Ok(params) => params,
            Err(error) => {
                self.errors.push(error);
                return;
            }
        };
        let params_name = params.as_ref().map(|params| params.name.clone());
        self.params.extend(params.map(|params| params.tokens));
        for declared in &read.declared {
            match read.step(declared, params_name.as_ref(), all, actions, around) {
                Ok(step) => self.steps.push(step),
                Err(error) => self.errors.push(error),
            }
            let Declared::Action(options) = declared else { continue };
            if around.client && !options.is_private() {
                let name = options.name_for(&read.method.name);
                let client = ClientMethod::new(
                    &read.method,
                    &name,
                    &read.attrs,
                    &read.output,
                    params_name.as_ref(),
                    around,
                );
                match client {
                    Ok(client) => self.client.push(client),
                    Err(error) => self.errors.push(error),
                }
            }
        }
    }
}

impl Handler<'_> {
    /// The method, if it is one that the broker calls.
    fn method(self, fallbacks: &[Ident]) -> Result<Option<Read>> {
        let Self { function, declared, attrs } = self;
        let name = &function.signature.ident;
        let Some(role) = role(&declared, fallbacks.contains(name))
            .map_err(|message| Error::new(name.span(), message))?
        else {
            return Ok(None);
        };
        function.attrs.push(parse_quote! {
            #[allow(
                clippy::unused_async, clippy::needless_pass_by_value,
                reason = "a handler is async whether it waits or not, and owns its arguments"
            )]
        });
        let method = Method::new(&attrs, function.signature, role)?;
        Ok(Some(Read { method, declared, attrs, output: function.signature.output.clone() }))
    }
}

/// A method that is a handler, with what its attributes say.
struct Read {
    method: Method,
    declared: Vec<Declared>,
    attrs: Vec<Attribute>,
    output: ReturnType,
}

impl Read {
    /// The struct of its named arguments.
    fn params(&self, around: &Surroundings<'_>) -> Result<Option<ParamsStruct>> {
        let mut rename_all = None;
        let mut used_by = Vec::new();
        for declared in &self.declared {
            let (case, user) = match declared {
                Declared::Action(options) => {
                    let name = options.name_for(&self.method.name).value();
                    (&options.rename_all, format!("the action `{}{name}`", around.prefix))
                }
                Declared::Event(options) => {
                    (&options.rename_all, format!("the event `{}`", options.name.value()))
                }
                _ => continue,
            };
            rename_all = rename_all.or(case.as_ref());
            used_by.push(user);
        }
        if used_by.is_empty() {
            return Ok(None);
        }
        let used_by = used_by.join(" and ");
        ParamsStruct::new(&self.method, &used_by, rename_all, around)
    }

    /// The builder call that an attribute stands for.
    fn step(
        &self,
        declared: &Declared,
        params: Option<&Ident>,
        all: &[Self],
        actions: &[String],
        around: &Surroundings<'_>,
    ) -> Result<TokenStream> {
        let (method, root) = (&self.method, around.root);
        let pattern = |hook: &HookOptions| -> Result<String> {
            if !around.open {
                hook.check(actions)?;
            }
            Ok(hook.pattern())
        };
        match declared {
            Declared::Action(options) => {
                let fallback = options.fallback.as_ref().map(|name| fallback(name, all, root));
                let fallback = fallback.transpose()?.flatten();
                let name = options.name_for(&method.name);
                Ok(method.action(&name, options, fallback.as_ref(), params, root))
            }
            Declared::Event(options) => Ok(method.event(options, params, root)),
            Declared::Before(hook) => method.before(&pattern(hook)?, root),
            Declared::After(hook) => method.after(&pattern(hook)?, root),
            Declared::OnError(hook) => method.on_error(&pattern(hook)?, root),
            Declared::Merged => method.merged(root),
            Declared::Created => Ok(method.created(root)),
            Declared::Started => Ok(method.lifecycle("started", root)),
            Declared::Stopped => Ok(method.lifecycle("stopped", root)),
        }
    }
}

/// The method that an action falls back to.
/// If there is none, that is told already.
fn fallback(name: &Ident, all: &[Read], root: &Path) -> Result<Option<TokenStream>> {
    let named = all.iter().find(|read| read.method.name == *name);
    named.map(|read| read.method.error_hook(root)).transpose()
}

impl Declared {
    fn read(attribute: &Attribute, root: &Path) -> Result<Self> {
        let name = attribute.path().require_ident()?.to_string();
        Ok(match name.as_str() {
            "action" => Self::Action(Box::new(ActionOptions::parse(attribute, root)?)),
            "event" => Self::Event(Box::new(EventOptions::parse(attribute, root)?)),
            "before" => Self::Before(HookOptions::parse(attribute)?),
            "after" => Self::After(HookOptions::parse(attribute)?),
            "on_error" => Self::OnError(HookOptions::parse(attribute)?),
            moment => {
                if let Err(error) = attribute.meta.require_path_only() {
                    let message = format!("`#[{moment}]` has no options");
                    return Err(Error::new(error.span(), message));
                }
                match moment {
                    "merged" => Self::Merged,
                    "created" => Self::Created,
                    "started" => Self::Started,
                    _ => Self::Stopped,
                }
            }
        })
    }

    fn action(&self) -> Option<&ActionOptions> {
        match self {
            Self::Action(options) => Some(options),
            _ => None,
        }
    }

    const fn role(&self) -> Role {
        match self {
            Self::Action(_) | Self::Event(_) | Self::Before(_) => Role::Handler,
            Self::After(_) | Self::OnError(_) => Role::Hook,
            Self::Started | Self::Stopped => Role::Lifecycle,
            Self::Merged => Role::Merged,
            Self::Created => Role::Created,
        }
    }
}

/// Attributes on one method have to agree on what it looks like.
fn role(
    declared: &[Declared],
    is_fallback: bool,
) -> std::result::Result<Option<Role>, &'static str> {
    let mut roles = declared.iter().map(Declared::role).chain(is_fallback.then_some(Role::Hook));
    let Some(first) = roles.next() else {
        return Ok(None);
    };
    if roles.any(|role| role != first) {
        return Err(
            "this method cannot be all that its attributes say: they pass different arguments",
        );
    }
    Ok(Some(first))
}

pub(crate) fn is_ours(attribute: &Attribute) -> bool {
    ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name))
}
