//! How a call is judged: under the policy and, while the plugin is observed, under its wider rules.

use std::sync::Arc;

use super::{LivePolicy, Sandbox, explain, gates};
use crate::error::{Error, Result};
use crate::host::{Event, Function, LogLevel, Request};
use crate::plugin::CallContext;
use crate::policy::{Policy, lacks_grant};
use crate::sandbox::Services;

/// A request that may pass. `lacking` is why the policy alone refuses it: it passes because the plugin is observed.
pub(super) struct Judged<'a> {
    pub(super) request: Request<'a>,
    pub(super) lacking: Option<Error>,
}

/// All gates that need no counter, in their order.
pub(super) fn judge<'a>(
    policy: &Policy,
    live: &Arc<LivePolicy>,
    services: &Services,
    context: &CallContext,
    function: Function,
    arguments: &'a [u8],
) -> Result<Request<'a>> {
    gates::check_depth(function, context)?;
    if let Some((permission, access)) = gates::requirement(function) {
        policy.check_permission(&permission, access)?;
    }
    gates::admit(policy, live, services, Request::parse(function, arguments)?)
}

impl Sandbox {
    /// Judges a call; a refusal is complete with its rule, target and way out.
    pub(super) fn judge<'a>(
        &self,
        policy: &Policy,
        context: &CallContext,
        function: Function,
        arguments: &'a [u8],
    ) -> Result<Judged<'a>> {
        let refusal = match judge(policy, &self.policy, &self.services, context, function, arguments) {
            Ok(request) => return Ok(Judged { request, lacking: None }),
            Err(refusal) => explain::complete(refusal, policy, &self.policy, &self.services, function, arguments),
        };
        if lacks_grant(refusal.code())
            && let Some(wider) = policy.observing(self.services.clock.wall())
            && let Ok(request) = judge(wider, &self.policy, &self.services, context, function, arguments)
        {
            return Ok(Judged { request, lacking: Some(refusal) });
        }
        Err(refusal)
    }

    /// Records a call that passes only because the plugin is observed.
    pub(super) fn observe(&self, context: &CallContext, function: &str, lacking: &Error) {
        self.observed.record(function, lacking, self.services.clock.wall());
        if self.services.events.wants("call.observed") {
            let event =
                Event::new("call.observed", &self.plugin).with("function", function).with("error", lacking.to_json());
            self.services.events.emit(event);
        }
        let message = format!("observed: {function} passed, but the policy does not allow it: {lacking}");
        self.write_log(Some(context), LogLevel::Warn, &message, serde_json::Map::new());
    }
}
