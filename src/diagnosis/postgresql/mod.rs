//! The ladder for PostgreSQL.
//!
//! `ladder` climbs: it opens the very connection that the page opens (`crate::database::postgresql::open`), reads the
//! steps up to the session from the record of it (`ladder::login`), then asks the catalogue (`ladder::asking`) and tries
//! the page's own statements (`ladder::trials`). What is looked at beside that connection is `gather`'s: the resolver,
//! the neighbours on this machine, the certificates beside ours, connections made after a failure only. All of it
//! becomes `evidence`, plain data.
//!
//! `rules` read the evidence into a finding, a file a step, by SQLSTATE, routine, errno, verify code, first bytes and
//! catalogue, never by the wording of a message, which servers translate. `quick` has them judge a failure that the page
//! met, with less evidence. `subject` is what every line to type is made from; `catalogue` explains the ids.

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
