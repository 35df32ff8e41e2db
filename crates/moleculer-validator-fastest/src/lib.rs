#![doc = include_str!("../README.md")]

mod compile;
mod custom;
mod date;
mod error;
mod item;
mod js;
mod messages;
mod path;
mod plugin;
mod regex;
mod rule;
mod rules;
mod run;
mod schema;
mod validator;

pub use self::{
    custom::Custom,
    error::RuleError,
    item::ErrorItem,
    plugin::PLUGIN,
    validator::{FastestBuilder, FastestConfig, FastestValidator, Rules},
};
