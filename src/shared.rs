//! The memory in which all children of this server count together: made by the parent, handed on by fork.
#![forbid(unsafe_code)]
#![cfg(not(test))]

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::app::http::Level;
use crate::config::Identity;
use crate::configtest::Known;
use crate::httpd::{Main, SharedMemory};
use crate::tally::{Entry, Name, Tally};

/// What a generation of children is born with.
struct Generation {
    tally: Arc<Tally>,
    /// The entry of each section's settings.
    indices: HashMap<Identity, usize>,
}

/// The parent's. It outlives a reload, since the library is never unloaded, and holds nothing of a configuration but
/// addresses, which the children compare with those that they inherit.
static GENERATION: Mutex<Option<Generation>> = Mutex::new(None);

/// Children that httpd may have beyond ServerLimit while it kills and replaces some.
const SPARE: usize = 8;

/// Called in post_config. Without memory the server serves, and each child counts by itself.
pub fn prepare(main: &Main, places: &[Known]) {
    let mut names: Vec<Name> = Vec::new();
    let mut indices: HashMap<Identity, usize> = HashMap::new();
    for known in places {
        let (place, Ok(resolved)) = (&known.place, &known.resolved) else { continue };
        if place.handler != "dbtest" {
            continue;
        }
        let location = format!("{}{}", place.server, place.location);
        match indices.get(&place.settings.identity()) {
            Some(index) => {
                let name = &mut names[*index].location;
                name.push_str(", ");
                name.push_str(&location);
            }
            None => {
                indices.insert(place.settings.identity(), names.len());
                names.push(Name { location, database: resolved.target.masked() });
            }
        }
    }
    let children = main.mode().server_limit as usize + SPARE;
    let mut generation = GENERATION.lock().unwrap_or_else(PoisonError::into_inner);
    let before = generation.take().map(|generation| generation.tally);
    let tally = match before {
        Some(tally) if tally.is_for(children, &names) => Ok(tally),
        before => make(children, names, before.as_deref()),
    };
    match tally {
        Ok(tally) => *generation = Some(Generation { tally, indices }),
        Err(error) => main.log(
            Level::Warning,
            &format!(
                "no memory that the children share: {error}. Each counts by itself: a silent database may hold them all"
            ),
        ),
    }
}

fn make(children: usize, names: Vec<Name>, before: Option<&Tally>) -> io::Result<Arc<Tally>> {
    let memory = SharedMemory::new(Tally::size(children, names.len()))?;
    let tally = Tally::new(Arc::new(memory), children, names);
    if let Some(before) = before {
        tally.carry_over(before);
    }
    Ok(Arc::new(tally))
}

/// Called in child_init: the entries as this child uses them.
pub fn join() -> HashMap<Identity, Arc<Entry>> {
    let generation = GENERATION.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Generation { tally, indices }) = &*generation else { return HashMap::new() };
    let entries = tally.join(std::process::id());
    indices.iter().map(|(identity, index)| (*identity, Arc::clone(&entries[*index]))).collect()
}
