//! One error type for everything: a stable code, a sentence for people, a JSON detail for programs.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! error_codes {
    ($($(#[$meta:meta])* $name:ident = $number:literal, $slug:literal;)*) => {
        /// Stable error codes. The discriminant is the status number of the C API; numbers and slugs are
        /// never changed and never reused.
        ///
        /// 1xx argument, 2xx package and manifest, 3xx signature, 4xx denied by policy, 5xx plugin failed,
        /// 6xx lifecycle state, 7xx host or provider failed, 8xx environment, 9xx fault of the library.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$meta])* $name = $number,)*
        }

        impl ErrorCode {
            /// Every code, ascending by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Stable dotted name, for example `policy.sql.table_denied`.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// NUL-terminated form of [`Self::slug`], for C.
            pub(crate) fn slug_c(self) -> &'static std::ffi::CStr {
                match self {
                    $(Self::$name => {
                        const TEXT: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
                            concat!($slug, "\0").as_bytes(),
                        ) {
                            Ok(text) => text,
                            Err(_) => c"unknown",
                        };
                        TEXT
                    })*
                }
            }

            /// Name in capitals as the header spells it, for example `POLICY_SQL_TABLE_DENIED`.
            #[must_use]
            pub fn constant_name(self) -> String {
                self.slug().replace('.', "_").to_ascii_uppercase()
            }
        }
    };
}

error_codes! {
    /// An argument has a value that is not allowed.
    ArgumentInvalid = 100, "argument.invalid";
    /// A required pointer is NULL.
    ArgumentNull = 101, "argument.null";
    /// A text argument is not UTF-8.
    ArgumentUtf8 = 102, "argument.utf8";
    /// A handle was freed, never issued, or is of another type.
    ArgumentHandle = 103, "argument.handle";
    /// An enumerated argument has an unknown value.
    ArgumentEnum = 104, "argument.enum";
    /// A `struct_size` field is impossible.
    ArgumentStructSize = 105, "argument.struct_size";
    /// A struct carries options this library version does not know.
    ArgumentUnsupportedOption = 106, "argument.unsupported_option";
    /// A document is not well-formed JSON.
    ArgumentJson = 107, "argument.json";
    /// An argument exceeds its size limit.
    ArgumentTooLarge = 108, "argument.too_large";
    /// The manager's configuration document is refused.
    ArgumentConfig = 109, "argument.config";
    /// A caller's buffer is too small for the result.
    ArgumentBufferTooSmall = 110, "argument.buffer_too_small";
    /// The caller was compiled against another ABI version.
    ArgumentAbi = 111, "argument.abi";

    /// The path of a plugin does not exist.
    PackageNotFound = 200, "package.not_found";
    /// A plugin directory has no manifest, or more than one.
    PackageManifestMissing = 201, "package.manifest_missing";
    /// The manifest can't be read or breaks a rule.
    PackageManifestInvalid = 202, "package.manifest_invalid";
    /// The module that the manifest names does not exist, or there is not exactly one.
    PackageModuleMissing = 203, "package.module_missing";
    /// The file is not a WebAssembly module this library runs.
    PackageModuleInvalid = 204, "package.module_invalid";
    /// The module exceeds a limit that is checked before it is compiled.
    PackageModuleLimits = 205, "package.module_limits";
    /// The manifest asks for a runtime that this build does not have.
    PackageRuntimeUnsupported = 206, "package.runtime_unsupported";
    /// The module lacks required exports, exports them with wrong types, or imports what no host offers.
    PackageContract = 207, "package.contract";
    /// The plugin's registration can't be read or breaks a rule.
    PackageRegistrationInvalid = 208, "package.registration_invalid";
    /// The plugin's name is not allowed.
    PackageNameInvalid = 209, "package.name_invalid";
    /// Manifest and registration disagree on name or version.
    PackageNameMismatch = 210, "package.name_mismatch";

    /// An archive's entries, directory and end record are not packed back to back in order; something is hidden between.
    PackageArchiveLayout = 211, "package.archive.layout";
    /// The file is no archive, or ends before all of it is there.
    PackageArchiveTruncated = 212, "package.archive.truncated";
    /// Bytes stand before an archive's first entry.
    PackageArchivePrepended = 213, "package.archive.prepended";
    /// Bytes stand behind an archive's end record.
    PackageArchiveTrailing = 214, "package.archive.trailing";
    /// An archive has several end records.
    PackageArchiveSeveralEnds = 215, "package.archive.several_ends";
    /// An archive is spread over several files.
    PackageArchiveMultiDisk = 216, "package.archive.multi_disk";
    /// An archive's zip64 records are missing, useless or contradict the others.
    PackageArchiveZip64 = 217, "package.archive.zip64";
    /// An entry's header differs from what the directory says about it.
    PackageArchiveHeaderMismatch = 218, "package.archive.header_mismatch";
    /// The record behind an entry's content is missing, malformed or differs from what the directory says.
    PackageArchiveDescriptor = 219, "package.archive.descriptor";
    /// An entry has a malformed, unknown or misleading extra field.
    PackageArchiveExtra = 220, "package.archive.extra";
    /// An entry uses a feature, format version or system that this reader does not know.
    PackageArchiveFeature = 221, "package.archive.feature";
    /// An entry is encrypted.
    PackageArchiveEncrypted = 222, "package.archive.encrypted";
    /// An entry is compressed by a method other than deflate.
    PackageArchiveMethod = 223, "package.archive.method";
    /// An entry's name has a character or form that is not portable.
    PackageArchiveName = 224, "package.archive.name";
    /// An entry's name leads, or could be taken to lead, out of the package.
    PackageArchiveTraversal = 225, "package.archive.traversal";
    /// An entry's name is not UTF-8, or not marked as such.
    PackageArchiveNameEncoding = 226, "package.archive.name_encoding";
    /// Two entries have the same name.
    PackageArchiveDuplicate = 227, "package.archive.duplicate";
    /// Two names are one for some file systems, or a file is a directory as well.
    PackageArchiveCollision = 228, "package.archive.collision";
    /// An entry is a symbolic or hard link.
    PackageArchiveLink = 229, "package.archive.link";
    /// An entry is neither a plain file nor a directory.
    PackageArchiveKind = 230, "package.archive.kind";
    /// An entry lies too deep.
    PackageArchiveDepth = 231, "package.archive.depth";
    /// An archive has too many entries, or none.
    PackageArchiveCount = 232, "package.archive.count";
    /// An archive, its directory, an entry or all of them together are too large.
    PackageArchiveSize = 233, "package.archive.size";
    /// An entry or the whole archive is compressed so highly that it must be meant as a bomb.
    PackageArchiveRatio = 234, "package.archive.ratio";
    /// An entry's content is longer or shorter than declared.
    PackageArchiveSizeMismatch = 235, "package.archive.size_mismatch";
    /// An entry's content does not have the declared checksum.
    PackageArchiveCrc = 236, "package.archive.crc";
    /// An entry's compressed content is malformed, or does not fill its place.
    PackageArchiveContent = 237, "package.archive.content";
    /// A directory that is to be packed holds what no package may hold.
    PackageArchiveSource = 238, "package.archive.source";

    /// The version of a package is missing or not allowed.
    PackageVersionInvalid = 240, "package.version_invalid";
    /// No package of that name or version is installed.
    PackageNotInstalled = 241, "package.not_installed";
    /// There is no previous version to go back to.
    PackageNoPrevious = 242, "package.no_previous";
    /// No version waits for approval.
    PackageNothingPending = 243, "package.nothing_pending";
    /// The record of installed packages can't be read or breaks a rule.
    PackageStateInvalid = 244, "package.state_invalid";
    /// No directory for packages is configured.
    PackageNoStore = 245, "package.no_store";
    /// Another process changes the installed packages at this moment.
    PackageLocked = 246, "package.locked";
    /// Files are not what was installed or verified.
    PackageChanged = 247, "package.changed";
    /// The plugin has no file of that name.
    PackageAssetNotFound = 248, "package.asset_not_found";
    /// A file of the plugin is larger than may be read at once.
    PackageAssetTooLarge = 249, "package.asset_too_large";
    /// A package that says it has no code contains some.
    PackageUnexpectedCode = 250, "package.unexpected_code";
    /// The package is larger than the limit, before anything of it is looked at.
    PackageTooLarge = 251, "package.too_large";
    /// The version asks for more than was approved of the installed package.
    PackageNotApproved = 252, "package.not_approved";

    /// A signature is required and there is none.
    SignatureUnsigned = 300, "signature.unsigned";
    /// The signature is of no key that is trusted for this.
    SignatureUntrustedKey = 301, "signature.untrusted_key";
    /// The signature does not fit the content.
    SignatureBad = 302, "signature.bad_signature";
    /// The signature or its key is not valid at this time.
    SignatureExpired = 303, "signature.expired";
    /// The key or the content was revoked.
    SignatureRevoked = 304, "signature.revoked";
    /// An older release than one that was accepted before.
    SignatureRollback = 305, "signature.rollback";
    /// Name or version is not what was signed.
    SignatureNameMismatch = 306, "signature.name_mismatch";
    /// A signature file is malformed.
    SignatureMalformed = 307, "signature.malformed";
    /// The signer asks for a newer host.
    SignatureHostTooOld = 308, "signature.host_too_old";
    /// The permissions that are asked for are not those that were signed.
    SignaturePermissionsMismatch = 309, "signature.permissions_mismatch";
    /// Fewer signers than the trust store demands.
    SignatureThreshold = 310, "signature.threshold";
    /// A weaker kind of signature than this name had before.
    SignatureFormatDowngrade = 311, "signature.format_downgrade";
    /// A public key is malformed or weak.
    SignatureKeyInvalid = 320, "signature.key_invalid";
    /// A private key can't be read.
    SignaturePrivateKeyInvalid = 321, "signature.private_key_invalid";
    /// Others may read the file of a private key.
    SignaturePrivateKeyExposed = 322, "signature.private_key_exposed";
    /// The trust store can't be read, or others may write it.
    SignatureTrustUnreadable = 330, "signature.trust_unreadable";
    /// The trust store breaks a rule.
    SignatureTrustInvalid = 331, "signature.trust_invalid";
    /// The trust store has such a key already, or no such key.
    SignatureTrustConflict = 332, "signature.trust_conflict";

    /// The plugin has no permission of the needed type and access.
    PolicyPermissionMissing = 400, "policy.permission_missing";
    /// The plugin is blocked.
    PolicyBlocked = 401, "policy.blocked";
    /// The host function does not exist.
    PolicyFunctionUnknown = 402, "policy.function_unknown";
    /// The arguments of a host call are malformed.
    PolicyArguments = 403, "policy.arguments";
    /// The target of a host call is outside the granted scope.
    PolicyTargetDenied = 404, "policy.target_denied";
    /// A statement touches a table outside the grant.
    PolicySqlTableDenied = 410, "policy.sql.table_denied";
    /// A statement is of a kind that plugins may not run.
    PolicySqlStatementDenied = 411, "policy.sql.statement_denied";
    /// A statement is not fully understood, and therefore refused.
    PolicySqlNotUnderstood = 412, "policy.sql.not_understood";
    /// A statement calls a function that is not on the list of harmless ones.
    PolicySqlFunctionDenied = 413, "policy.sql.function_denied";
    /// A statement is too long, too deep or has too many tokens.
    PolicySqlTooLarge = 414, "policy.sql.too_large";
    /// Number or kind of the statement's arguments is wrong.
    PolicySqlArguments = 415, "policy.sql.arguments";
    /// A recipient is outside the granted scope.
    PolicyEmailRecipientDenied = 420, "policy.email.recipient_denied";
    /// An e-mail is malformed.
    PolicyEmailInvalid = 421, "policy.email.invalid";
    /// An e-mail has too many recipients, or is too long.
    PolicyEmailTooLarge = 424, "policy.email.too_large";
    /// A URL is outside the granted scope.
    PolicyHttpUrlDenied = 430, "policy.http.url_denied";
    /// A host name resolves to an address that plugins may not reach.
    PolicyHttpAddressDenied = 431, "policy.http.address_denied";
    /// An HTTP request is malformed or uses a refused feature.
    PolicyHttpInvalid = 432, "policy.http.invalid";
    /// An HTTP request is larger than the host allows.
    PolicyHttpTooLarge = 434, "policy.http.too_large";
    /// The plugin has as many requests or e-mails under way as the host allows at a time.
    PolicyOutboundBusy = 435, "policy.outbound.busy";
    /// A configuration key is on the deny-list or outside the granted scope.
    PolicyConfigKeyDenied = 440, "policy.config.key_denied";
    /// A called plugin is outside the granted scope.
    PolicyCalleeDenied = 450, "policy.callee_denied";
    /// A chain of plugin calls is too deep.
    PolicyCallDepth = 451, "policy.call_depth";
    /// A rate limit is used up.
    PolicyRateLimited = 460, "policy.rate_limited";
    /// A quota is used up.
    PolicyQuotaExceeded = 461, "policy.quota_exceeded";
    /// A policy document is refused, or a stored one can't be read.
    PolicyDocumentInvalid = 470, "policy.document_invalid";
    /// A policy was changed by somebody else in the meantime.
    PolicyRevisionConflict = 471, "policy.revision_conflict";

    /// The plugin trapped.
    PluginTrap = 500, "plugin.trap";
    /// The call did not finish before its deadline.
    PluginDeadline = 501, "plugin.deadline";
    /// The call was cancelled.
    PluginCancelled = 502, "plugin.cancelled";
    /// The plugin reached its memory or table limit.
    PluginMemoryLimit = 503, "plugin.memory_limit";
    /// The plugin exhausted its stack.
    PluginStackExhausted = 504, "plugin.stack_exhausted";
    /// The plugin's answer exceeds the limit.
    PluginResultTooLarge = 505, "plugin.result_too_large";
    /// The plugin handed over a pointer or length outside its memory.
    PluginBadPointer = 506, "plugin.bad_pointer";
    /// The plugin's `gk_malloc` gave no memory.
    PluginAllocation = 507, "plugin.allocation";
    /// The plugin ended itself.
    PluginExited = 508, "plugin.exited";
    /// The plugin failed in a way that has no code of its own.
    PluginFailed = 509, "plugin.failed";
    /// The program did not introduce itself as go-plugin expects.
    PluginHandshake = 510, "plugin.handshake";
    /// The plugin's process broke the rules of its protocol; it was ended.
    PluginProtocol = 511, "plugin.protocol";
    /// The plugin's process ended and is started again after a pause; call again later.
    PluginRestarting = 512, "plugin.restarting";
    /// The plugin's process ended so often that it is no longer started; an operator resets that.
    PluginCrashLoop = 513, "plugin.crash_loop";
    /// The plugin said, or showed, that it can't serve calls.
    PluginUnhealthy = 514, "plugin.unhealthy";

    /// No plugin of that name is loaded.
    LifecyclePluginNotFound = 600, "lifecycle.plugin_not_found";
    /// A plugin of that name is loaded already.
    LifecycleAlreadyLoaded = 601, "lifecycle.already_loaded";
    /// The plugin is disabled.
    LifecycleDisabled = 602, "lifecycle.disabled";
    /// The manager was shut down.
    LifecycleShutDown = 603, "lifecycle.shut_down";
    /// A plugin with a single instance was called again from within its own call.
    LifecycleReentrant = 604, "lifecycle.reentrant";
    /// Calls wait for each other in a circle.
    LifecycleDeadlock = 605, "lifecycle.deadlock";
    /// Work did not end before the time given for it.
    LifecycleBusy = 606, "lifecycle.busy";
    /// The host API is not available during start and registration.
    LifecycleNotReady = 607, "lifecycle.not_ready";
    /// The operation is not allowed from inside a callback.
    LifecycleInCallback = 608, "lifecycle.in_callback";
    /// Too many calls are waiting.
    LifecycleOverloaded = 609, "lifecycle.overloaded";
    /// The result is not there yet.
    LifecyclePending = 610, "lifecycle.pending";
    /// The result was handed out already.
    LifecycleTaken = 611, "lifecycle.taken";
    /// Another version of the plugin is being put into service at this moment.
    LifecycleSwapping = 612, "lifecycle.swapping";
    /// There is no previous version of the plugin to go back to.
    LifecycleNoPrevious = 613, "lifecycle.no_previous";
    /// The version of the plugin was stopped before the call began.
    LifecycleStopped = 614, "lifecycle.stopped";
    /// There are more files to watch than one watch may have.
    LifecycleWatchTooLarge = 620, "lifecycle.watch_too_large";
    /// Nothing is watched under that name or path, or it is watched already.
    LifecycleWatchConflict = 621, "lifecycle.watch_conflict";

    /// The host's callback reported a failure.
    HostFailed = 700, "host.failed";
    /// No provider is configured for the service.
    HostNoProvider = 701, "host.no_provider";
    /// The host's callback gave an answer that is not valid.
    HostReplyInvalid = 702, "host.reply_invalid";
    /// The database refused or failed a statement.
    HostDatabase = 703, "host.database";
    /// The requested thing does not exist at the provider.
    HostNotFound = 704, "host.not_found";
    /// A host's name has no address, or could not be looked up.
    HostNameUnresolved = 705, "host.name_unresolved";
    /// A server did not take the connection, or the connection broke.
    HostConnection = 706, "host.connection";
    /// A server's certificate is not trusted, or encryption could not be agreed on.
    HostTls = 707, "host.tls";
    /// A server did not answer in the time that the host's configuration gives it.
    HostTimeout = 708, "host.timeout";
    /// A server's answer breaks the protocol.
    HostProtocol = 709, "host.protocol";
    /// A server's answer is larger than the host allows.
    HostAnswerTooLarge = 710, "host.answer_too_large";
    /// The mail server refused an e-mail for good.
    HostMailRejected = 711, "host.mail.rejected";
    /// The mail server can't take an e-mail now.
    HostMailDeferred = 712, "host.mail.deferred";
    /// The mail server refused the host's credentials, or offers no way to give them.
    HostMailAuth = 713, "host.mail.auth";

    /// A file or the operating system failed.
    EnvironmentIo = 800, "environment.io";
    /// The process was forked after the library was used; only the parent may go on using it.
    EnvironmentForked = 801, "environment.forked";
    /// This platform or build lacks what was asked for.
    EnvironmentUnsupported = 802, "environment.unsupported";
    /// The machine is out of threads, memory or descriptors.
    EnvironmentResources = 803, "environment.resources";
    /// The policy store can't be read or written.
    EnvironmentStore = 810, "environment.store";
    /// The policy store may be read, but not written.
    EnvironmentStoreReadOnly = 811, "environment.store_read_only";
    /// The launcher of native plugins can't be started, or went away.
    EnvironmentJailLauncher = 820, "environment.jail_launcher";
    /// Less of the jail can be had on this machine than the plugin's policy asks for.
    EnvironmentJailLevel = 821, "environment.jail_level";
    /// A step of the jail failed that nothing can stand in for.
    EnvironmentJailStep = 822, "environment.jail_step";
    /// What is asked of the jail is refused: a path, a variable or a limit.
    EnvironmentJailRequest = 823, "environment.jail_request";
    /// The file is not a program that this machine runs natively.
    EnvironmentJailProgram = 824, "environment.jail_program";

    /// A fault of this library.
    InternalBug = 900, "internal.bug";
    /// A panic was stopped at the boundary.
    InternalPanic = 999, "internal.panic";
}

impl ErrorCode {
    /// Number of the code in the C API.
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Code with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// Code with this slug, if there is one.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.slug() == slug)
    }

    /// True when the same request may succeed later without any change.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::PackageLocked
                | Self::PolicyRateLimited
                | Self::PolicyOutboundBusy
                | Self::PluginDeadline
                | Self::PluginRestarting
                | Self::LifecycleBusy
                | Self::LifecycleDeadlock
                | Self::LifecycleOverloaded
                | Self::LifecyclePending
                | Self::LifecycleSwapping
                | Self::HostNameUnresolved
                | Self::HostConnection
                | Self::HostTimeout
                | Self::HostMailDeferred
                | Self::EnvironmentResources
        )
    }

    /// True for refusals by policy (4xx).
    #[must_use]
    pub fn is_denial(self) -> bool {
        (400..500).contains(&self.number())
    }
}

/// What went wrong: a code for programs, a sentence for people, where it is known the plugin and a JSON detail.
#[derive(Debug)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    context: Cow<'static, str>,
    plugin: Option<Arc<str>>,
    detail: Map<String, Value>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Error with `context`: one lower-case clause with the offending value and, where there is one, the way out.
    pub fn new(code: ErrorCode, context: impl Into<Cow<'static, str>>) -> Self {
        Self {
            inner: Box::new(Inner { code, context: context.into(), plugin: None, detail: Map::new(), source: None }),
        }
    }

    /// Adds the cause; its text is appended to the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Names the plugin the error is about, unless one is named already.
    #[must_use]
    pub fn with_plugin(mut self, plugin: &Arc<str>) -> Self {
        self.inner.plugin.get_or_insert_with(|| Arc::clone(plugin));
        self
    }

    /// Puts "`prefix`: " in front of the message.
    #[must_use]
    pub fn prefixed(mut self, prefix: &str) -> Self {
        self.inner.context = format!("{prefix}: {}", self.inner.context).into();
        self
    }

    /// Adds a machine-readable fact; an existing one of that name is kept.
    #[must_use]
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.inner.detail.entry(key).or_insert(value.into());
        self
    }

    /// Adds a machine-readable fact in place of one of that name.
    #[must_use]
    pub fn with_better_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.inner.detail.insert(key.to_owned(), value.into());
        self
    }

    /// Stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.inner.code
    }

    /// Plugin the error is about, if known.
    #[must_use]
    pub fn plugin(&self) -> Option<&str> {
        self.inner.plugin.as_deref()
    }

    /// Machine-readable facts about the error.
    #[must_use]
    pub fn detail(&self) -> &Map<String, Value> {
        &self.inner.detail
    }

    /// Message without the causes.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.inner.context
    }

    /// The error as plugins and hosts read it: `{"code": slug, "message": …, "status": number, …}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("code".into(), self.code().slug().into());
        object.insert("status".into(), self.code().number().into());
        object.insert("message".into(), self.to_string().into());
        if let Some(plugin) = self.plugin() {
            object.insert("plugin".into(), plugin.into());
        }
        if !self.inner.detail.is_empty() {
            object.insert("detail".into(), Value::Object(self.inner.detail.clone()));
        }
        Value::Object(object)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.context)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Error for a state that the code rules out; records where it was noticed.
macro_rules! bug {
    ($($message:tt)*) => {
        $crate::error::Error::new(
            $crate::error::ErrorCode::InternalBug,
            format!("{} at {}:{} (please report this)", format_args!($($message)*), file!(), line!()),
        )
    };
}
pub(crate) use bug;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_slugs_are_unique_and_ascending() {
        for pair in ErrorCode::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{pair:?}");
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_slug(code.slug()), Some(*code));
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert_eq!(code.slug_c().to_str(), Ok(code.slug()));
        }
    }

    #[test]
    fn text_is_the_context_followed_by_its_causes() {
        let error =
            Error::new(ErrorCode::EnvironmentIo, "can't read `x`").with_source(std::io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "can't read `x`: disk on fire");
    }
}
