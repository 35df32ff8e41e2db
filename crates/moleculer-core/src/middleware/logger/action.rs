//! Logs the calls that a node makes: [`ActionLogger`].

use std::{path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use moleculer_protocol::Value;
use serde::Deserialize;

use super::{Level, folder::Files, line, log};
use crate::{
    Body, CallFn, CallRequest, Error, Middleware, Result, ServiceBroker, registry::matches,
};

/// The options, by the reference's names.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Options {
    log_level: Level,
    log_params: bool,
    log_response: bool,
    log_meta: bool,
    folder: Option<PathBuf>,
    extension: String,
    whitelist: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_level: Level::Info,
            log_params: false,
            log_response: false,
            log_meta: false,
            folder: None,
            extension: ".json".to_owned(),
            whitelist: vec!["**".to_owned()],
        }
    }
}

/// Logs each call that this node makes, and what came of it.
#[derive(Debug)]
pub(crate) struct ActionLogger(Arc<Log>);

#[derive(Debug)]
struct Log {
    options: Options,
    files: Files,
}

impl ActionLogger {
    pub(super) fn new(options: Options) -> Self {
        let files = Files::new(options.folder.clone(), options.extension.clone());
        Self(Arc::new(Log { options, files }))
    }
}

impl Middleware for ActionLogger {
    fn name(&self) -> &'static str {
        "ActionLogger"
    }

    fn call(&self, next: CallFn) -> CallFn {
        let log = self.0.clone();
        Arc::new(move |request| {
            let mut allowed = log.options.whitelist.iter();
            if !allowed.any(|pattern| matches(&request.action, pattern)) {
                return next(request);
            }
            log.request(&request);
            let (log, action) = (log.clone(), request.action.clone());
            let running = next(request);
            Box::pin(async move {
                let result = running.await;
                match &result {
                    Ok(body) => log.response(&action, body),
                    Err(error) => log.error(&action, error),
                }
                result
            })
        })
    }

    fn created(&self, broker: &ServiceBroker) {
        self.0.files.of_node(broker.node_id());
    }

    fn stopped<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.0.files.written().await;
            Ok(())
        })
    }
}

impl Log {
    fn request(&self, request: &CallRequest) {
        let (level, action) = (self.options.log_level, &*request.action);
        let params = || request.params.to_value().unwrap_or_default();
        let meta = || Value::from(request.options.meta.clone());
        if self.options.log_params {
            log!(level, action, params = line(params()), "Calling '{action}' with params");
        } else {
            log!(level, action, "Calling '{action}'");
        }
        if self.options.log_meta {
            log!(level, action, meta = line(meta()), "Meta of '{action}'");
        }
        if self.options.log_params {
            self.files.write(&format!("call-{action}-request"), params);
        }
        if self.options.log_meta {
            self.files.write(&format!("call-{action}-meta"), meta);
        }
    }

    fn response(&self, action: &str, body: &Body) {
        let level = self.options.log_level;
        if !self.options.log_response {
            log!(level, action, "Response of '{action}'");
            return;
        }
        let value = match body {
            Body::Payload(payload) => payload.to_value().unwrap_or_default(),
            Body::Stream(_) => "[stream]".into(),
            Body::Empty => Value::Null,
        };
        log!(level, action, response = line(value.clone()), "Response of '{action}'");
        self.files.write(&format!("call-{action}-response"), || value);
    }

    fn error(&self, action: &str, error: &Error) {
        log!(self.options.log_level, action, %error, "Error of '{action}'");
        if !self.options.log_response {
            return;
        }
        self.files.write(&format!("call-{action}-error"), || {
            let mut members = moleculer_protocol::Object::from([
                ("name", Value::from(error.name())),
                ("message", error.message().into()),
                ("code", error.code().into()),
                ("type", error.r#type().into()),
            ]);
            if let Some(data) = error.data() {
                members.insert("data", data.clone());
            }
            members.into()
        });
    }
}
