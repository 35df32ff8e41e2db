//! The least that a dynamic broker does inside one process: find the action or the listeners by name, share a context,
//! run boxed handlers.

use std::{collections::HashMap, future::Future, hint::black_box, pin::Pin, sync::Arc};

use futures_util::future::{JoinAll, join_all};
use serde_json::{Value, json};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Handler = Arc<dyn Fn(Arc<Context>) -> BoxFuture<Result<Value, String>> + Send + Sync>;
type BoxedAdd = Arc<dyn Fn(i64, i64) -> BoxFuture<i64> + Send + Sync>;

struct Context {
    params: Value,
    level: u32,
}

/// Looks actions up and runs them, and does nothing else.
pub(crate) struct Broker {
    actions: HashMap<String, Handler>,
}

impl Broker {
    /// A broker with `users.empty`, `math.add` and two hundred actions that nobody calls.
    pub(crate) fn new() -> Self {
        Self::with_middlewares(0)
    }

    /// The same, each action within so many boxed functions that only pass calls on.
    pub(crate) fn with_middlewares(count: usize) -> Self {
        let unused = (0..200).map(|i| (format!("service{i}.action"), empty as Action));
        let used = [("users.empty".to_owned(), empty as Action), ("math.add".to_owned(), add)];
        let wrapped = |(name, action): (_, Action)| {
            (name, (0..count).fold(Arc::new(action) as Handler, |next, _| pass_on(next)))
        };
        Self { actions: unused.chain(used).map(wrapped).collect() }
    }

    pub(crate) fn call(&self, action: &str, params: Value) -> BoxFuture<Result<Value, String>> {
        match self.actions.get(action) {
            Some(handler) => handler(Arc::new(Context { params, level: 1 })),
            None => {
                let message = format!("action `{action}` is not registered");
                Box::pin(async move { Err(message) })
            }
        }
    }
}

/// Hands events to listeners.
pub(crate) struct Events {
    listeners: HashMap<String, Vec<Handler>>,
}

impl Events {
    /// So many listeners of `order.created`, and two hundred events that nobody sends.
    pub(crate) fn new(count: usize) -> Self {
        let unused = (0..200).map(|i| (format!("event{i}"), 1));
        let listeners = unused
            .chain([("order.created".to_owned(), count)])
            .map(|(name, count)| (name, vec![Arc::new(empty as Action) as Handler; count]))
            .collect();
        Self { listeners }
    }

    /// Runs all listeners of an event.
    pub(crate) fn emit(
        &self,
        event: &str,
        data: Value,
    ) -> JoinAll<BoxFuture<Result<Value, String>>> {
        let context = Arc::new(Context { params: data, level: 1 });
        let listeners = self.listeners.get(event).map_or(&[][..], Vec::as_slice);
        join_all(listeners.iter().map(|listener| listener(context.clone())))
    }
}

/// Results that are kept.
pub(crate) struct Results(moka::sync::Cache<String, Arc<Value>>);

impl Results {
    /// With the result of `cached.add {a: 4, b: 2}`, and a thousand that nobody asks for.
    pub(crate) fn new() -> Self {
        let results = moka::sync::Cache::builder().build();
        for a in 0..1000 {
            results.insert(format!("cached.add:{a}|2"), Arc::new(json!(a + 2)));
        }
        Self(results)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Value>> {
        self.0.get(key)
    }

    /// The key is made first.
    pub(crate) fn get_by_params(&self, a: i64, b: i64) -> Option<Arc<Value>> {
        self.get(&format!("cached.add:{a}|{b}"))
    }
}

/// `a + b` behind a boxed async closure.
pub(crate) fn boxed_add() -> BoxedAdd {
    Arc::new(|a, b| Box::pin(async move { a + b }))
}

type Action = fn(Arc<Context>) -> BoxFuture<Result<Value, String>>;

fn pass_on(next: Handler) -> Handler {
    Arc::new(move |context| {
        let next = next.clone();
        Box::pin(async move { next(context).await })
    })
}

fn empty(_: Arc<Context>) -> BoxFuture<Result<Value, String>> {
    Box::pin(async { Ok(Value::Array(Vec::new())) })
}

fn add(context: Arc<Context>) -> BoxFuture<Result<Value, String>> {
    Box::pin(async move {
        black_box(context.level);
        let param = |name: &str| {
            context.params[name].as_i64().ok_or_else(|| format!("`{name}` is not a number"))
        };
        Ok(json!(param("a")? + param("b")?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_reach_their_action() {
        let broker = Broker::new();
        assert_eq!(broker.call("math.add", json!({"a": 4, "b": 2})).await, Ok(json!(6)));
        assert_eq!(broker.call("users.empty", Value::Null).await, Ok(json!([])));
        assert!(broker.call("math.add", json!({"a": 4})).await.unwrap_err().contains("`b`"));
        assert!(broker.call("math.sub", Value::Null).await.unwrap_err().contains("math.sub"));
        assert_eq!(boxed_add()(4, 2).await, 6);
    }

    #[tokio::test]
    async fn calls_pass_middlewares() {
        let broker = Broker::with_middlewares(3);
        assert_eq!(broker.call("math.add", json!({"a": 4, "b": 2})).await, Ok(json!(6)));
    }

    #[test]
    fn results_are_found() {
        let results = Results::new();
        assert_eq!(results.get_by_params(4, 2).as_deref(), Some(&json!(6)));
        assert_eq!(results.get("cached.add:4|3"), None);
    }

    #[tokio::test]
    async fn events_reach_every_listener() {
        let events = Events::new(20);
        assert_eq!(events.emit("order.created", Value::Null).await, vec![Ok(json!([])); 20]);
        assert_eq!(events.emit("order.shipped", Value::Null).await, []);
    }
}
