//! What a plugin may do: documents, requests and defaults compiled into the rules that every host call is held
//! against. No I/O, no clock: decisions are functions of a policy and a request.
//!
//! A [`Policy`] is built once per change and then only read. Its checks neither parse nor compile; those for SQL tables,
//! plugins, configuration keys and host-registered functions do not allocate unless they refuse.

pub mod audit;
mod checks;
pub mod defaults;
pub mod document;
pub mod dry_run;
pub mod duration;
mod effective;
pub mod evidence;
mod grants;
pub mod isolation;
mod json;
mod limits;
pub mod observation;
mod outbound;
pub mod request;
pub mod scope;
pub mod store;
pub mod suggest;
mod swap;
#[cfg(test)]
mod tests;
mod view;
pub mod wording;

use schemars::JsonSchema;
use serde_json::Value;

pub use self::checks::table_suggestion;
pub use self::defaults::DefaultRules;
pub use self::document::{Grant, Isolation, Permission, PermissionType, PolicyDocument};
pub use self::evidence::Evidence;
pub use self::limits::{BurstBudget, Limits};
pub use self::observation::{Observe, lacks_grant};
pub use self::outbound::{CheckedUrl, MAX_REDIRECTS, check_headers};
pub use self::request::ResourceRequest;
pub use self::scope::email::MailAddress;
pub use self::store::{Change, PolicyStore, StoredPolicy};
pub use self::swap::SwapRules;

use self::effective::{callers, default_permissions, document_limits, granted_instances};
use self::grants::Grants;
use self::observation::{AllTablesBut, Observation};
use self::scope::names::NameSet;
use self::view::View;

/// Which part of a policy acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Status {
    /// Nobody decided yet: the default grant, whatever else is stored.
    #[default]
    PendingReview,
    /// The document.
    Approved,
    /// The document without what it denies.
    Restricted,
    /// Nothing, neither calls in nor host calls out.
    Blocked,
}

impl Status {
    /// Status of that name; there are no other spellings.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PendingReview, Self::Approved, Self::Restricted, Self::Blocked]
            .into_iter()
            .find(|status| status.name() == name)
    }

    /// Name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingReview => "pending_review",
            Self::Approved => "approved",
            Self::Restricted => "restricted",
            Self::Blocked => "blocked",
        }
    }
}

/// Where the rules in force come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nobody wrote a policy, or it waits for review.
    DefaultGrant,
    /// An administrator's document.
    Document,
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

impl Access {
    /// Name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The rules in force for one plugin.
#[derive(Debug)]
pub struct Policy {
    status: Status,
    source: Source,
    blocked_reason: Option<String>,
    limits: Limits,
    granted: Grants,
    denied: Grants,
    callable_by: Option<NameSet>,
    sql_functions: Vec<String>,
    isolation: Isolation,
    swap: Option<SwapRules>,
    view: View,
    /// In the wider rules of an observation: tables granted besides those of the entries.
    wider_tables: Option<AllTablesBut>,
    observation: Option<Observation>,
}

impl Policy {
    /// Rules of a plugin that nobody wrote a policy for: reading the tables that it declares by exact name, without
    /// sensitive ones and catalogues, and its own cache.
    #[must_use]
    pub fn default_grant(request: &ResourceRequest, rules: &DefaultRules) -> Self {
        let (permissions, withheld) = default_permissions(request, rules);
        let limits = Limits { instances: granted_instances(request, None), ..rules.limits.clone() };
        Self {
            status: Status::PendingReview,
            source: Source::DefaultGrant,
            blocked_reason: None,
            granted: Grants::given(&permissions, &rules.tables),
            denied: Grants::default(),
            callable_by: None,
            sql_functions: Vec::new(),
            isolation: Isolation::default(),
            swap: None,
            view: View::of_default(permissions, withheld),
            limits,
            wider_tables: None,
            observation: None,
        }
    }

    /// Rules of a plugin with a stored document. The document is the whole policy; of the request only the number of
    /// instances counts, which is never more than asked for.
    #[must_use]
    pub fn from_document(document: &PolicyDocument, request: &ResourceRequest, rules: &DefaultRules) -> Self {
        let denied: &[Permission] = match document.status {
            Status::PendingReview => return Self::pending(document, request, rules),
            Status::Blocked => return Self::blocked("an administrator blocked it"),
            Status::Approved => &[],
            Status::Restricted => &document.denied,
        };
        let policy = Self {
            status: document.status,
            source: Source::Document,
            blocked_reason: None,
            limits: document_limits(document, request, &rules.limits),
            granted: Grants::given(&document.permissions, &rules.tables),
            denied: Grants::taken(denied, &rules.tables),
            callable_by: document.callable_by.as_deref().map(callers),
            sql_functions: document.sql_functions.clone(),
            isolation: document.isolation.clone().unwrap_or_default(),
            swap: document.swap,
            view: View::of_document(document, denied),
            wider_tables: None,
            observation: None,
        };
        policy.with_observation(document, &document.permissions, denied, rules)
    }

    /// The default grant, and the observation that a document which waits for review may ask for.
    fn pending(document: &PolicyDocument, request: &ResourceRequest, rules: &DefaultRules) -> Self {
        let (permissions, _) = default_permissions(request, rules);
        let policy = Self { swap: document.swap, ..Self::default_grant(request, rules) };
        policy.with_observation(document, &permissions, &[], rules)
    }

    /// No rules but one: nothing goes in or out. Also for stored rows that can't be read.
    #[must_use]
    pub fn blocked(reason: impl Into<String>) -> Self {
        Self {
            status: Status::Blocked,
            source: Source::Document,
            blocked_reason: Some(reason.into()),
            limits: Limits::default(),
            granted: Grants::default(),
            denied: Grants::default(),
            callable_by: Some(NameSet::default()),
            sql_functions: Vec::new(),
            isolation: Isolation::default(),
            swap: None,
            view: View::default(),
            wider_tables: None,
            observation: None,
        }
    }

    /// Which part of the policy acts.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Where the rules come from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Numbers in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// SQL functions allowed besides the harmless ones.
    #[must_use]
    pub fn extra_sql_functions(&self) -> &[String] {
        &self.sql_functions
    }

    /// What the policy says about the jail of a native plugin.
    #[must_use]
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// How a new version is held against the one before it.
    #[must_use]
    pub fn swap_rules(&self) -> SwapRules {
        self.swap.unwrap_or_default()
    }

    /// What is in force, with the source of each line.
    #[must_use]
    pub fn to_json(&self) -> Value {
        view::render(self)
    }
}
