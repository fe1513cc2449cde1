//! Observation: for a limited time, calls pass that only lack a permission or a scope, and are recorded.
//!
//! It is a second policy beside the first, with the same rules but wider grants, that is asked only after the first one
//! refused. What the wider grants never include needs no exception anywhere: sensitive tables and catalogues, and by the
//! rules of their surfaces denied configuration keys, addresses that are not public, statements that are not understood.

use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::document::{Grant, Permission, PermissionType, PolicyDocument};
use super::grants::Grants;
use super::scope::tables::{SensitiveTables, is_system};
use super::view::View;
use super::{DefaultRules, Policy};
use crate::clock;
use crate::error::ErrorCode;

/// Longest observation. Whoever needs a longer one has to say so again.
pub const MAX_OBSERVATION: Duration = Duration::from_secs(31 * 86_400);

/// A point in time in a document: RFC 3339 in UTC, `2026-01-31T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub SystemTime);

impl Timestamp {
    /// Reads `text`, which is UTC (`Z`), in whole seconds or with a fraction.
    pub fn parse(text: &str) -> Result<Self, String> {
        clock::parse_rfc3339(text)
            .map(Self)
            .ok_or_else(|| "write a time such as `2026-01-31T12:00:00Z`, in UTC".to_owned())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&clock::rfc3339(self.0))
    }
}

/// When a plugin is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Observe {
    /// Begin, in UTC.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// End, in UTC; at most 31 days after the begin.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

impl Observe {
    /// Whether it is on at `now`.
    #[must_use]
    pub fn is_on(&self, now: SystemTime) -> bool {
        self.from.0 <= now && now < self.until.0
    }
}

/// An observation, compiled.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) times: Observe,
    /// The rules with wider grants.
    wider: Box<Policy>,
}

/// Tables that the wider grants hold: all but these.
#[derive(Debug)]
pub(super) struct AllTablesBut(SensitiveTables);

impl AllTablesBut {
    pub(super) fn contain(&self, schema: Option<&str>, table: &str) -> bool {
        !self.0.contains(table) && !is_system(schema, table)
    }
}

impl Policy {
    /// The wider rules that a refused call is held against, while the plugin is observed.
    #[must_use]
    pub fn observing(&self, now: SystemTime) -> Option<&Self> {
        let observation = self.observation.as_ref()?;
        observation.times.is_on(now).then_some(&*observation.wider)
    }

    /// When the plugin is observed, if the document says so.
    #[must_use]
    pub fn observe(&self) -> Option<Observe> {
        self.observation.as_ref().map(|observation| observation.times)
    }

    /// Adds what the document says about observation to the rules that were made of it.
    pub(super) fn with_observation(
        mut self,
        document: &PolicyDocument,
        permissions: &[Permission],
        denied: &[Permission],
        rules: &DefaultRules,
    ) -> Self {
        let Some(times) = document.observe else { return self };
        let permissions: Vec<Permission> = permissions.iter().cloned().chain(everything()).collect();
        let wider = Self {
            status: self.status,
            source: self.source,
            blocked_reason: None,
            limits: self.limits.clone(),
            granted: Grants::given(&permissions, &rules.tables),
            denied: Grants::taken(denied, &rules.tables),
            callable_by: self.callable_by.clone(),
            sql_functions: self.sql_functions.clone(),
            isolation: self.isolation.clone(),
            swap: self.swap,
            view: View::default(),
            wider_tables: Some(AllTablesBut(rules.sensitive_tables().clone())),
            observation: None,
        };
        self.observation = Some(Observation { times, wider: Box::new(wider) });
        self
    }
}

/// Whether a refusal is one that observation may lift: a permission or scope is missing, and nothing else is wrong.
#[must_use]
pub fn lacks_grant(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::PolicyPermissionMissing
            | ErrorCode::PolicyTargetDenied
            | ErrorCode::PolicySqlTableDenied
            | ErrorCode::PolicyEmailRecipientDenied
            | ErrorCode::PolicyHttpUrlDenied
            | ErrorCode::PolicyConfigKeyDenied
            | ErrorCode::PolicyCalleeDenied
    )
}

/// Every target of every surface whose scope can say so; tables and host-registered functions have their own rule.
fn everything() -> Vec<Permission> {
    let all = |kind, access| Permission::new(kind, access, Some(vec!["*".to_owned()]));
    vec![
        all(PermissionType::Http, None),
        all(PermissionType::Email, None),
        all(PermissionType::Config, Some(Grant::Read)),
        all(PermissionType::PluginCall, None),
        Permission::new(PermissionType::Cache, Some(Grant::ReadWrite), None),
    ]
}
