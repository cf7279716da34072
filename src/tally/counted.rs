//! What is counted of each database, by name.

/// What a child holds at this moment; gone when the child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Requests at work in the database, which nothing but the database or a deadline ends.
    Working,
    /// When the last of them began: milliseconds since the epoch.
    Began,
    /// Requests that wait to be let to it.
    Waiting,
    /// Connections, in use or idle.
    Connected,
    /// Checks that run.
    Checking,
    /// Exports that run.
    Exporting,
}

impl Held {
    pub const ALL: [Self; 6] =
        [Self::Working, Self::Began, Self::Waiting, Self::Connected, Self::Checking, Self::Exporting];
}

/// What only grows, and a few facts that are written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Pages, exports and health checks answered from the database.
    Answered,
    Saved,
    NotSaved,
    /// Rows of which nobody knows.
    Unknown,
    /// Requests that were turned away.
    Busy,
    /// Requests other than rows that the database failed.
    Failed,
    /// When something last succeeded: milliseconds since the epoch, 0 for never.
    LastSuccess,
    LastFailure,
    /// Whether the last attempt to end found a database that says nothing: 1 or 0.
    Silent,
    /// When a check last ended.
    LastCheck,
    /// Since when requests are being turned away, without a pause; 0 for not now.
    BusySince,
    /// When one was last.
    BusyLast,
    /// How many since then.
    BusyNow,
    /// When the error log last said so.
    BusySaid,
}

impl Counter {
    pub const ALL: [Self; 14] = [
        Self::Answered,
        Self::Saved,
        Self::NotSaved,
        Self::Unknown,
        Self::Busy,
        Self::Failed,
        Self::LastSuccess,
        Self::LastFailure,
        Self::Silent,
        Self::LastCheck,
        Self::BusySince,
        Self::BusyLast,
        Self::BusyNow,
        Self::BusySaid,
    ];
}
