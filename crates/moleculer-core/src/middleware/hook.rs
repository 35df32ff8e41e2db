//! The hooks of services and actions.

use super::{ActionSite, Middleware};
use crate::ActionFn;

/// Runs an action's hooks around its handler and the users' middlewares.
#[derive(Debug)]
pub(crate) struct ActionHook;

impl Middleware for ActionHook {
    fn name(&self) -> &'static str {
        "ActionHook"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        site.action.hooks.wrap(next)
    }
}
