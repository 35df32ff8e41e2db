//! Choosing the middleware by name.

use std::sync::Arc;

use moleculer_core::{Middleware, MiddlewarePlugin, Object, Result, strict};

use crate::Compression;

/// `Transmit.Compression`, for the broker's plug-ins.
pub const PLUGIN: MiddlewarePlugin = MiddlewarePlugin { name: "Transmit.Compression", build };

/// The same by its short name, `Compression`.
pub const COMPRESSION: MiddlewarePlugin = MiddlewarePlugin { name: "Compression", build };

fn build(options: Object) -> Result<Arc<dyn Middleware>> {
    Ok(Arc::new(strict::<Compression>("the middleware Compression", options)?))
}

#[cfg(test)]
mod tests {
    use moleculer_core::{Plugins, Value};
    use serde_json::json;

    use super::*;
    use crate::Method;

    fn make(choice: serde_json::Value) -> Result<String> {
        let plugins = Plugins::core().middleware(PLUGIN).middleware(COMPRESSION);
        let made = plugins.make_middleware(&Value::from(choice))?;
        Ok(format!("{made:?}"))
    }

    #[test]
    fn options_are_those_of_the_reference() {
        let check = |choice, expected: Compression| {
            assert_eq!(make(choice).expect("valid"), format!("{expected:?}"));
        };
        let default = Compression::default();
        check(json!("Transmit.Compression"), default);
        check(json!("compression"), default);
        for (threshold, bytes) in [
            (json!("2kb"), 2048),
            (json!(" 1.5 KB"), 1536),
            (json!("100"), 100),
            (json!("100b"), 100),
            (json!(7), 7),
            (json!(7.9), 7),
            (json!(null), 0),
        ] {
            let options = json!({"type": "Compression", "options": {"threshold": threshold}});
            check(options, default.threshold(bytes));
        }
        let all = json!({"method": "deflateRaw", "threshold": "1mb", "maxSize": "1gb"});
        let expected = default.method(Method::DeflateRaw).threshold(1 << 20).max_size(1 << 30);
        check(json!({"type": "Transmit.Compression", "options": all}), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |options: serde_json::Value, expected: &str| {
            let choice = json!({"type": "Compression", "options": options});
            let error = make(choice).expect_err("invalid");
            assert_eq!(error.name(), "BrokerOptionsError");
            assert!(error.message().contains(expected), "{error}");
        };
        check(json!({"method": "brotli"}), "unknown variant `brotli`");
        check(json!({"treshold": 1}), "did you mean `threshold`?");
        check(json!({"threshold": "many"}), "must be a number of bytes or a text like \"1kb\"");
        check(json!({"threshold": -1}), "must be a number of bytes");
        check(json!({"threshold": "-1kb"}), "must be a number of bytes");
        check(json!({"threshold": "1kib"}), "must be a number of bytes");
        check(json!({"maxSize": null}), "must be a number of bytes");
    }
}
