//! "Not saved" is said only where the protocol proves it, and a row that may be stored is never sent again.

use std::sync::Arc;

use super::peer::{self, Talk, error, message, stored};
use super::*;
use crate::database::{Create, NotStored, Service, Services, Target};

/// The database as the requests of one child use it.
pub fn service(settings: PgSettings) -> Arc<Service> {
    let target: Arc<dyn Target> = Arc::new(PgTarget::new(settings));
    Services::new(8, Box::new(|| 0)).get(&target, &Arc::new(Table::default()), LIMITS, 1, Create::Never)
}

/// Stores the rows, and answers those from the given one on with an error, though it stored them.
fn liar(talk: &mut Talk, honest: u32, answer: &[u8]) -> std::io::Result<()> {
    talk.admit()?;
    loop {
        talk.request()?;
        let id = talk.store();
        if talk.ledger.rows() > honest {
            return talk.send(answer);
        }
        talk.send(&stored(&id))?;
    }
}

const OWN: [(u8, &str); 3] = [(b'F', "postgres.c"), (b'L', "3298"), (b'R', "ProcessInterrupts")];

#[test]
fn an_error_that_is_not_postgresqls_own_leaves_the_outcome_open_and_is_never_repeated() {
    for code in ["58000", "57P01", "08006", "XX000", "23505", "25006", "26000"] {
        for severity in ["FATAL", "ERROR"] {
            // F and L without R are pgpool's
            for own in [&[][..], &OWN[..2]] {
                for honest in [0, 1] {
                    let fields =
                        [&[(b'S', severity), (b'V', severity), (b'C', code), (b'M', "lost")][..], own].concat();
                    let answer = [error(&fields), message(b'Z', b"I")].concat();
                    let (port, ledger) = peer::peer(move |talk| liar(talk, honest, &answer));
                    let service = service(by_tcp(port));
                    for _ in 0..honest {
                        service.insert("a", "b").unwrap();
                    }
                    let answer = service.insert("a", "b");
                    assert!(matches!(answer, Err(NotStored::Unknown(_))), "{code} {severity} {own:?}: {answer:?}");
                    assert_eq!(ledger.rows(), honest + 1, "{code} {severity}: sent again");
                }
            }
        }
    }
}

#[test]
fn postgresqls_own_error_before_the_row_is_done_is_proof_and_after_it_is_none() {
    let fatal = [&[(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "57P01"), (b'M', "going down")][..], &OWN].concat();
    let before = error(&fatal);
    let (port, ledger) = peer::peer(move |talk| {
        talk.admit()?;
        talk.request()?;
        if talk.number == 0 {
            return talk.send(&before);
        }
        let id = talk.store();
        talk.send(&stored(&id))?;
        talk.request().map(drop)
    });
    assert!(matches!(service(by_tcp(port)).insert("a", "b"), Err(NotStored::NotSaved(_))));
    assert_eq!(service(by_tcp(port)).insert("a", "b").unwrap(), 1);
    assert_eq!(ledger.rows(), 1);

    let after = [&stored("1")[..stored("1").len() - 6], &error(&fatal)].concat();
    let (port, ledger) = peer::peer(move |talk| liar(talk, 0, &after));
    let answer = service(by_tcp(port)).insert("a", "b");
    assert!(matches!(answer, Err(NotStored::Unknown(_))), "{answer:?}");
    assert_eq!(ledger.rows(), 1);
}
