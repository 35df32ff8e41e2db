#![doc = include_str!("../README.md")]

mod body;
mod broker;
pub mod cacher;
mod config;
mod context;
mod discoverer;
mod error;
#[cfg(feature = "garde")]
mod garde;
mod health;
mod host;
mod internal;
mod middleware;
mod plugins;
mod random;
mod registry;
mod schemas;
mod secrets;
mod seldom;
mod service;
pub mod strategy;
mod sync;
mod system;
#[cfg(feature = "tower")]
mod tower;
mod transit;
mod transporter;
mod validator;

pub use moleculer_protocol as protocol;
pub use moleculer_protocol::{
    NodeId, Object, PacketId, Payload, ProtocolVersion, SerializerPlugin, Value, WireError,
};

pub use self::{
    body::{Body, BodyStream, ByteStream, FromBody, IntoBody, ObjectStream},
    broker::{
        BrokerBuilder, Call, CallFuture, CallOptions, CallRequest, Emit, EmitFuture, EmitRequest,
        MultiCall, MultiCallMap, Pong, Response, ServiceBroker, ServiceStatus, Subscription, Via,
        WeakBroker,
    },
    config::{
        BrokerOptions, LogLevel, Millis, Places, RegistryOptions, Seconds, Severity,
        TrackingOptions, TransitOptions, strict,
    },
    context::{Context, EventKind},
    discoverer::{Discoverer, DynDiscoverer, LocalDiscoverer, LocalOptions},
    error::{Error, ErrorKind, ErrorRegenerator, Result},
    host::{Delivery, Flow, Host, HostApi, NodeView, PeerAddress},
    middleware::{
        ActionSite, BulkheadOptions, BytesFn, CallFn, Chain, CircuitBreakerOptions, EmitFn,
        ErrorInfo, EventSite, Fallback, MessageFn, Middleware, PublishFn, RetryPolicy,
    },
    plugins::{
        IntoTransporter, MiddlewarePlugin, PluginSource, Plugins, StrategyPlugin, TransporterPlugin,
    },
    random::RandomSource,
    service::{
        Action, ActionDef, ActionFn, AfterHook, Cache, CacheLock, CacheWhen, ErrorHook, Event,
        EventDef, EventFn, FromContext, Handler, IntoService, Meta, Params, Service,
        ServiceBuilder, ServiceHandle, ServiceName, SharedParams, State, Visibility,
    },
    transporter::{
        DynTransporter, InProcessNetwork, InProcessTransporter, Transporter,
        TransporterCapabilities, TryPublishError,
    },
    validator::{Check, Validator, ValidatorPlugin},
};

#[cfg(feature = "schemas")]
pub use schemars;

#[cfg(feature = "schemas")]
pub use self::schemas::rules_of_schema;

#[cfg(feature = "garde")]
pub use self::garde::Valid;
#[cfg(feature = "tower")]
pub use self::tower::{ActionCall, ActionClient, ActionService, TowerLayer};

/// For the output of `moleculer-macros` only; no stable interface.
#[doc(hidden)]
pub mod __private {
    pub use serde;

    pub use crate::{
        broker::ClientCalls,
        config::set_shown,
        error::{ErrorData, RaisedError},
        schemas::{KnownMember, KnownSchema, NoSchema, Plain, Typed},
        service::{
            assert_params_once,
            glue::{
                HandlerResult, LifecycleArg, NamedArgument, Raw, RawArgs, SharedService, after,
                before, named_argument, on_error,
            },
            run_handler,
        },
    };
}
