//! The ladder for PostgreSQL.
//!
//! `ladder` climbs: it opens the very connection that the page opens (`crate::database::postgresql::open`)
//! and reads the steps up to the session from the record of it (`login`), then asks the catalogue (`facts`)
//! and tries the page's own statements (`trials`). The rest is pure: each file reads one kind of evidence
//! into a finding, by SQLSTATE, routine, errno, verify code, first bytes and catalogue, never by the wording
//! of a message, which servers translate. `probes` are the connections beside, made after a failure only.

mod catalogue;
mod evidence;
mod gather;
mod ladder;
mod quick;
mod quote;
mod rules;
mod scene;
mod server_commands;
mod subject;

use super::Diagnosis;

/// PostgreSQL's diagnosis.
pub static DIAGNOSIS: Diagnosis =
    Diagnosis { kind: "postgresql", ladder: ladder::climb, quick: quick::read, entries: catalogue::ENTRIES };
