//! Examining the database of an endpoint: how far, and who shares the answer.

use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;
use super::child::CHILD;
use super::http::Request;
use crate::diagnosis::{Circumstances, Report};

/// Beyond the deadlines of the connection itself, for the probes beside it.
const FOR_PROBES: Duration = Duration::from_secs(5);

/// How far an examination goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// For whoever may only look: opens the database and reads, and changes and disturbs nothing. One result is shared by
    /// all who ask within some seconds.
    Looks,
    /// Writes as well, to roll it back, and asks around for the cause of a failure.
    Whole,
}

impl Depth {
    /// For somebody who merely asks.
    pub fn of(endpoint: &Endpoint) -> Self {
        if endpoint.told { Depth::Whole } else { Depth::Looks }
    }
}

/// Examines the endpoint's database, or shares the examination that already runs; `None` when too many do.
pub fn examine(request: &dyn Request, endpoint: &Endpoint) -> Option<Arc<Report>> {
    examine_as(request.base(), endpoint, Depth::of(endpoint))
}

/// The same for a Location that is not the request's own.
pub fn examine_as(location: &str, endpoint: &Endpoint, depth: Depth) -> Option<Arc<Report>> {
    if endpoint.settings.is_default_database && depth == Depth::Whole {
        // a check creates nothing, but this database is made by whoever uses it first; why it could not be made
        // is what the ladder tells
        let _ = endpoint.service().ping();
    }
    let limits = endpoint.settings.limits;
    let circumstances = Circumstances {
        location: location.to_owned(),
        children: endpoint.children,
        on_request: depth == Depth::Whole,
        writes: depth == Depth::Whole,
        root: "/".into(),
        within: limits.connect + limits.query + FOR_PROBES,
    };
    CHILD.examine(endpoint, &circumstances)
}
