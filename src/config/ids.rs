//! The ids of what is found in the configuration as a whole. Their meaning is in the catalogue
//! (`diagnosis/engine/configuration.rs`) and in docs/errors.md; an id is never given another one.

/// A handler of ours that no SetHandler of the server's own configuration set.
pub const NOT_OF_THE_SERVER: &str = "DBT0180";
/// DBTestPasswordFile gives no password now.
pub const PASSWORD_UNREAD: &str = "DBT0181";
/// The DBTestStateDir cannot be made, or is not one that the server's user may write to.
pub const STATE_DIR: &str = "DBT0182";
/// A word after `-D` that is nearly one of ours.
pub const MISSPELT_DEFINE: &str = "DBT0183";
/// A page in a section where it is not looked for.
pub const WRONG_SECTION: &str = "DBT0184";
/// Settings without a page, or a handler that is nearly ours.
pub const NO_HANDLER: &str = "DBT0185";
/// One Location in two sections.
pub const TWICE: &str = "DBT0186";
/// Directives contradict each other.
pub const CONTRADICTION: &str = "DBT0190";
/// A browser could download the database.
pub const UNDER_DOCUMENT_ROOT: &str = "DBT0191";
/// The file of the database, or its directory, is missing.
pub const MISSING: &str = "DBT0192";
/// The target's own check, without the network, failed.
pub const OFFLINE: &str = "DBT0193";
/// The password stands in httpd's configuration.
pub const INLINE_PASSWORD: &str = "DBT0194";
/// Legal, but hardly meant.
pub const SUSPICION: &str = "DBT0195";
/// Everybody may reach the page.
pub const OPEN: &str = "DBT0196";
/// More connections than there are threads to use them.
pub const IDLE_CONNECTIONS: &str = "DBT0197";
/// A directive that another one leaves without effect.
pub const NO_EFFECT: &str = "DBT0198";
