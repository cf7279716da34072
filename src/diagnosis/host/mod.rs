//! This process and this machine, as every kind of database meets them: the user and its groups, the walk along a
//! path, ACLs, mounts. Knows no kind.

pub mod acl;
pub mod addresses;
pub mod apparmor;
pub mod labels;
pub mod mounts;
pub mod path;
pub mod path_fixes;
pub mod policy;
pub mod posix;
pub mod process;
pub mod sandbox;
pub mod security;
pub mod shell;
pub mod unit;
