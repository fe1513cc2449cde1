//! The statements, by dialect. They are data: what they are for is decided elsewhere.

/// Our table with the record of changes.
pub(super) const AUDIT: &str = "goatflow_plugin_audit";
/// Our table with what was learned.
pub(super) const EVIDENCE: &str = "goatflow_plugin_evidence";

/// Statements of one dialect. Placeholders are numbered in the order of their values.
#[derive(Debug)]
pub(super) struct Statements {
    /// Makes our own tables where they are not there; no values.
    pub(super) make_tables: &'static [&'static str],
    /// A row if a table exists: name.
    pub(super) table_exists: &'static str,
    /// Value in force: key.
    pub(super) value: &'static str,
    /// Default value in force: key.
    pub(super) default_value: &'static str,
    /// Keys of policies.
    pub(super) list: &'static str,
    /// Id of the row to change: key.
    pub(super) row_to_change: &'static str,
    /// Takes validity from the other rows of the key: key, id.
    pub(super) invalidate_twins: &'static str,
    /// Value, time, id.
    pub(super) update: &'static str,
    /// Id of the default row, key, value, time.
    pub(super) insert: &'static str,
    /// Removes the rows of a key: key.
    pub(super) remove: &'static str,
    /// Id of the default row: key.
    pub(super) default_id: &'static str,
    /// Key, time.
    pub(super) insert_default: &'static str,
    /// Number and hash of the newest audit row.
    pub(super) tail: &'static str,
    /// Revision and digest in the newest audit row about a policy: plugin.
    pub(super) recorded: &'static str,
    /// The nine fields of an audit row.
    pub(super) enter: &'static str,
    /// Audit rows, newest first: limit.
    pub(super) history: &'static str,
    /// Audit rows of a plugin, newest first: plugin, limit.
    pub(super) history_of: &'static str,
    /// What was learned: plugin.
    pub(super) evidence: &'static str,
    /// Document, time, plugin.
    pub(super) update_evidence: &'static str,
    /// Document, time, plugin.
    pub(super) insert_evidence: &'static str,
}

/// SQLite. User 1 is GoatFlow's built-in administrator, whom its own writer names too.
pub(super) const SQLITE: Statements = Statements {
    make_tables: &[
        "CREATE TABLE IF NOT EXISTS goatflow_plugin_audit (seq INTEGER PRIMARY KEY, time TEXT NOT NULL, \
         plugin TEXT NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL, revision INTEGER NOT NULL, \
         digest TEXT NOT NULL, document TEXT, hash TEXT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS goatflow_plugin_audit_plugin ON goatflow_plugin_audit (plugin, seq)",
        "CREATE TABLE IF NOT EXISTS goatflow_plugin_evidence (plugin TEXT PRIMARY KEY, document TEXT NOT NULL, \
         time TEXT NOT NULL)",
    ],
    table_exists: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1",
    value: "SELECT effective_value FROM sysconfig_modified WHERE name = ?1 AND is_valid = 1 AND user_id IS NULL \
            ORDER BY change_time DESC, id DESC LIMIT 1",
    default_value: "SELECT effective_value FROM sysconfig_default WHERE name = ?1 AND is_valid = 1 LIMIT 1",
    list: "SELECT DISTINCT name FROM sysconfig_modified WHERE name LIKE 'Plugin::%::Policy' AND is_valid = 1 \
           AND user_id IS NULL",
    row_to_change: "SELECT id FROM sysconfig_modified WHERE name = ?1 AND user_id IS NULL \
                    ORDER BY is_valid = 1 DESC, change_time DESC, id DESC LIMIT 1",
    invalidate_twins: "UPDATE sysconfig_modified SET is_valid = 0 WHERE name = ?1 AND user_id IS NULL AND id <> ?2",
    update: "UPDATE sysconfig_modified SET effective_value = ?1, is_valid = 1, is_dirty = 0, reset_to_default = 0, \
             change_time = ?2, change_by = 1 WHERE id = ?3",
    insert: "INSERT INTO sysconfig_modified (sysconfig_default_id, name, user_id, is_valid, user_modification_active, \
             effective_value, is_dirty, reset_to_default, create_time, create_by, change_time, change_by) \
             VALUES (?1, ?2, NULL, 1, 0, ?3, 0, 0, ?4, 1, ?4, 1)",
    remove: "DELETE FROM sysconfig_modified WHERE name = ?1 AND user_id IS NULL",
    default_id: "SELECT id FROM sysconfig_default WHERE name = ?1",
    insert_default: "INSERT INTO sysconfig_default (name, description, navigation, is_invisible, is_readonly, \
                     is_required, is_valid, has_configlevel, user_modification_possible, user_modification_active, \
                     user_preferences_group, xml_content_raw, xml_content_parsed, xml_filename, effective_value, \
                     is_dirty, exclusive_lock_guid, exclusive_lock_user_id, exclusive_lock_expiry_time, create_time, \
                     create_by, change_time, change_by) \
                     VALUES (?1, 'Plugin policy', 'Admin::Plugins', 0, 0, 0, 1, 0, 0, 0, NULL, '', '', \
                     'goatflow-plugin', '', 0, '', NULL, NULL, ?2, 1, ?2, 1)",
    tail: "SELECT seq, hash FROM goatflow_plugin_audit ORDER BY seq DESC LIMIT 1",
    recorded: "SELECT revision, digest FROM goatflow_plugin_audit WHERE plugin = ?1 \
               AND action NOT IN ('enabled', 'disabled') ORDER BY seq DESC LIMIT 1",
    enter: "INSERT INTO goatflow_plugin_audit (seq, time, plugin, action, actor, revision, digest, document, hash) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    history: "SELECT seq, time, plugin, action, actor, revision, digest, document, hash FROM goatflow_plugin_audit \
              ORDER BY seq DESC LIMIT ?1",
    history_of: "SELECT seq, time, plugin, action, actor, revision, digest, document, hash \
                 FROM goatflow_plugin_audit WHERE plugin = ?1 ORDER BY seq DESC LIMIT ?2",
    evidence: "SELECT document FROM goatflow_plugin_evidence WHERE plugin = ?1",
    update_evidence: "UPDATE goatflow_plugin_evidence SET document = ?1, time = ?2 WHERE plugin = ?3",
    insert_evidence: "INSERT INTO goatflow_plugin_evidence (document, time, plugin) VALUES (?1, ?2, ?3)",
};
