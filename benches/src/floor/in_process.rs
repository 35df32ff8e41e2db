//! The least that a dynamic broker does inside one process: find the action by name, share a context, run a boxed
//! handler.

use std::{collections::HashMap, future::Future, hint::black_box, pin::Pin, sync::Arc};

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
        let mut actions: HashMap<String, Handler> = (0..200)
            .map(|i| (format!("service{i}.action"), empty as fn(_) -> _))
            .map(boxed)
            .collect();
        actions.extend(
            [("users.empty".to_owned(), empty as fn(_) -> _), ("math.add".to_owned(), add)]
                .map(boxed),
        );
        Self { actions }
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

/// `a + b` behind a boxed async closure.
pub(crate) fn boxed_add() -> BoxedAdd {
    Arc::new(|a, b| Box::pin(async move { a + b }))
}

type Action = fn(Arc<Context>) -> BoxFuture<Result<Value, String>>;

fn boxed((name, action): (String, Action)) -> (String, Handler) {
    (name, Arc::new(action))
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
}
