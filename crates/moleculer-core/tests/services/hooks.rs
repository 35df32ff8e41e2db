//! Hooks before and after actions, and for their errors.

use std::sync::Arc;

use moleculer_core::{
    Action, ActionFn, ActionSite, Body, Context, Error, ErrorKind, Event, Middleware, Object,
    Params, Result, Service, State, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Log, support::local};

fn after(
    log: &Log,
    entry: &'static str,
) -> impl Fn(Body) -> std::future::Ready<Result<Body>> + use<> {
    let log = log.clone();
    move |result| {
        log.push(format!("a {entry}"));
        std::future::ready(Ok(result))
    }
}

fn on_error(
    log: &Log,
    entry: &'static str,
) -> impl Fn(Error) -> std::future::Ready<Result<Body>> + use<> {
    let log = log.clone();
    move |error| {
        log.push(format!("e {entry}"));
        std::future::ready(Err(error))
    }
}

/// All places at which hooks can be declared.
fn everywhere(log: &Log, fails: bool) -> Service {
    let handler = {
        let log = log.clone();
        move || {
            log.push("handler");
            std::future::ready(if fails { Err(Error::internal("wrong")) } else { Ok("right") })
        }
    };
    let add =
        |service: moleculer_core::ServiceBuilder<()>, names: &str, entry: [&'static str; 1]| {
            service
                .before(names, log.note(&format!("b {}", entry[0])))
                .after(names, after(log, entry[0]))
                .on_error(names, on_error(log, entry[0]))
        };
    let act = |action: Action, entry: &'static str| {
        action
            .before(log.note(&format!("b {entry}")))
            .after(after(log, entry))
            .on_error(on_error(log, entry))
    };
    let mixin = add(Service::mixin(), "*", ["mixin *"]);
    let mixin = add(mixin, "list", ["mixin named"])
        .action(act(Action::new("list", handler), "mixin action"));
    let service = add(Service::builder("s").mixin(mixin), "*", ["svc *"]);
    let service = add(service, "list", ["svc named"]);
    let service = add(service, "li*", ["svc pattern"]);
    let service = add(service, "get | l?st", ["svc either"]);
    let service = add(service, "other|l", ["never"]);
    service.action(act(Action::inherited("list"), "svc action")).build()
}

const BEFORE: [&str; 8] = [
    "b mixin *",
    "b svc *",
    "b mixin named",
    "b svc named",
    "b svc pattern",
    "b svc either",
    "b mixin action",
    "b svc action",
];

const AFTER: [&str; 8] = [
    "svc action",
    "mixin action",
    "svc named",
    "mixin named",
    "svc pattern",
    "svc either",
    "svc *",
    "mixin *",
];

#[tokio::test]
async fn hooks_run_in_the_order_of_the_reference() {
    for (fails, kind) in [(false, "a"), (true, "e")] {
        let log = Log::default();
        let broker = local().service(everywhere(&log, fails)).start().await.expect("starts");
        let result = broker.call::<String>("s.list", ()).await;
        assert_eq!(result.is_err(), fails);
        let expected = BEFORE.iter().map(|entry| (*entry).to_owned());
        let expected = expected.chain(["handler".to_owned()]);
        let expected = expected.chain(AFTER.iter().map(|entry| format!("{kind} {entry}")));
        assert_eq!(log.take(), expected.collect::<Vec<_>>());
        broker.stop().await.expect("stops");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Post {
    id: u64,
    title: String,
}

#[tokio::test]
async fn before_hooks_read_and_replace_typed_params() {
    async fn check(Params(post): Params<Post>) -> Result<()> {
        if post.id == 0 {
            return Err(Error::client(400, "NO_ID", "an id is needed"));
        }
        Ok(())
    }
    async fn trim(ctx: Context, State(mark): State<&'static str>) -> Result<()> {
        let mut post: Post = ctx.params()?;
        post.title = format!("{}{mark}", post.title.trim());
        ctx.set_params(post);
        ctx.set_meta("trimmed", true);
        Ok(())
    }
    async fn save(ctx: Context, Params(post): Params<Post>) -> Result<Post> {
        assert_eq!(ctx.meta().get("trimmed"), Some(&true.into()));
        Ok(post)
    }
    async fn sent(ctx: Context, result: Post) -> Result<Value> {
        // The params are still there, although the handler took them.
        let params: Post = ctx.params()?;
        Ok(Object::from([("id", result.id), ("sent", params.title.len() as u64)]).into())
    }
    let service = Service::builder("posts")
        .with_state("!")
        .before("save", check)
        .before("save", trim)
        .action(Action::new("save", save).after(sent))
        .action(Action::new("raw", save).before(trim));
    let broker = local().service(service).start().await.expect("starts");
    let post = |id, title: &str| Post { id, title: title.to_owned() };
    let saved: Post = broker.call("posts.raw", post(1, " a ")).await.expect("saved");
    assert_eq!(saved, post(1, "a!"));
    let saved: Value = broker.call("posts.save", post(1, " abc ")).await.expect("saved");
    assert_eq!(saved, json!({"id": 1, "sent": 4}).into());
    let error = broker.call::<Value>("posts.save", post(0, "")).await.expect_err("no id");
    assert_eq!(error.r#type(), Some("NO_ID"));
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn error_hooks_replace_errors_until_one_answers() {
    async fn fails() -> Result<u32> {
        Err(Error::internal("first"))
    }
    async fn second(error: Error) -> Result<u32> {
        Err(Error::internal(format!("{error}, second")))
    }
    async fn answers(ctx: Context, error: Error) -> Result<String> {
        Ok(format!("{} of {}", error.message(), ctx.action()))
    }
    async fn never(_: Body) -> Result<()> {
        Err(Error::internal("no after hook sees a recovered result"))
    }
    async fn panics(_: Body) -> Result<()> {
        panic!("in a hook")
    }
    let service = Service::builder("s")
        .on_error("*", answers)
        .action(Action::new("handler", fails).on_error(second).after(never))
        .action(Action::new("before", async || Ok::<_, Error>(1)).before(fails))
        .action(Action::new("after", async || Ok::<_, Error>(1)).after(panics));
    let broker = local().service(service).start().await.expect("starts");
    for (action, expected) in [
        ("s.handler", "first, second of s.handler"),
        ("s.before", "first of s.before"),
        ("s.after", "in a hook of s.after"),
    ] {
        assert_eq!(broker.call::<String>(action, ()).await.expect("recovered"), expected);
    }
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_after_hook_gives_the_result() {
    async fn nothing(_: Body) -> Result<()> {
        Ok(())
    }
    async fn wrong_type(_: Vec<u8>) -> Result<()> {
        Ok(())
    }
    let service = Service::builder("s")
        .action(Action::new("gone", async || Ok::<_, Error>(5)).after(nothing))
        .action(Action::new("misfit", async || Ok::<_, Error>("text")).after(wrong_type));
    let broker = local().service(service).start().await.expect("starts");
    assert_eq!(broker.call::<Option<u32>>("s.gone", ()).await.expect("answers"), None);
    assert!(broker.call::<()>("s.misfit", ()).await.is_err());
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn hooks_stand_around_the_users_middlewares_and_within_the_timeout() {
    #[derive(Debug)]
    struct Mark(fn() -> Log);
    impl Middleware for Mark {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if site.action.name.starts_with('$') {
                return next;
            }
            let log = (self.0)();
            Arc::new(move |ctx| {
                log.push("middleware");
                next(ctx)
            })
        }
    }
    thread_local!(static LOG: Log = Log::default());
    let log = LOG.with(Clone::clone);
    let service = Service::builder("s")
        .before("*", log.note("before"))
        .after("*", after(&log, "after"))
        .action(log.action("a", "handler"))
        .action(
            Action::new("slow", async || Ok::<_, Error>(()))
                .before(async || {
                    std::future::pending::<()>().await;
                    Ok::<_, Error>(())
                })
                .timeout(std::time::Duration::from_millis(1)),
        );
    let broker = local().middleware(Mark(|| LOG.with(Clone::clone))).service(service).start().await;
    let broker = broker.expect("starts");
    broker.call::<String>("s.a", ()).await.expect("answers");
    assert_eq!(log.take(), ["before", "middleware", "handler", "a after"]);
    let error = broker.call::<()>("s.slow", ()).await.expect_err("the hook hangs");
    assert_eq!(error.kind(), &ErrorKind::RequestTimeout);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn two_handlers_of_one_event_both_get_the_params() {
    let log = Log::default();
    let listener = |entry: &'static str| {
        let log = log.clone();
        Event::new("e", move |Params(post): Params<Post>| {
            log.push(format!("{entry} {}", post.id));
            async { Ok::<_, Error>(()) }
        })
    };
    let service = Service::builder("s").event(listener("one")).event(listener("two"));
    let broker = local().service(service).start().await.expect("starts");
    broker.emit("e", Post { id: 7, title: String::new() }).await.expect("sent");
    assert_eq!(log.take(), ["one 7", "two 7"]);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn taking_the_params_twice_is_an_error_that_says_so() {
    /// Takes the params, hidden from the check at compile time.
    struct Hidden;
    impl<S> moleculer_core::FromContext<S> for Hidden {
        fn from_context(ctx: &Context, state: &S) -> Result<Self> {
            Params::<Value>::from_context(ctx, state).map(|_| Self)
        }
    }
    let service = Service::builder("s")
        .action(Action::new("a", async |_: Hidden, _: Hidden| Ok::<_, Error>(())))
        .action(Action::new("b", async |ctx: Context, _: Hidden| ctx.params::<Value>()));
    let broker = local().service(service).start().await.expect("starts");
    for action in ["s.a", "s.b"] {
        let error = broker.call::<Value>(action, json!({"a": 1})).await.expect_err("taken");
        assert!(error.message().contains("a handler can take them once"), "{error}");
    }
    broker.stop().await.expect("stops");
}
