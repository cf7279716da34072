//! The executor: runs one future of tokio-postgres to its end in the calling thread.
//!
//! The stream blocks by itself, so nothing ever wakes us from outside. But the driver's two halves, the request and the
//! connection, wake each other: a read, which may block, is granted only when neither has anything left for the other.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio_postgres::Connection;

use super::deadline::Deadline;
use super::wire::{Broken, Control, Wire};
use crate::database::ServerError;

/// Why a future did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// The server's error, or one of the driver's.
    Postgres(tokio_postgres::Error),
    /// The server's error, in an answer that we read ourselves.
    Server(Box<ServerError>),
    /// An answer that is not in the protocol: the first bytes of the message.
    Senseless(Vec<u8>),
    /// A message of so many bytes, which is more than is taken.
    TooLong(usize),
    /// The stream broke.
    Broken(Broken),
    /// Nothing moved any more: the driver waits for something that will not come.
    Stalled,
}

/// What one operation came to.
pub struct Outcome<T> {
    pub result: Result<T, Failure>,
    /// Something was sent.
    pub sent: bool,
}

/// This many turns without a byte read or written are a driver that has lost its way. Messages that wait for room in a
/// channel take a turn or two.
const IDLE_TURNS: u32 = 8;

/// Runs a future that owns its stream: the startup.
pub fn start<T>(
    control: &Control,
    future: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in turns(control) {
        control.with(|state| state.granted = true);
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result.map_err(|error| failure(control, error));
        }
    }
    Err(Failure::Stalled)
}

/// Runs a request over an open connection, within `limit`.
pub fn run<T>(
    connection: &mut Connection<Wire, Wire>,
    control: &Control,
    limit: Duration,
    future: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Outcome<T> {
    control.with(|state| {
        state.deadline = Deadline::after(limit);
        state.sent = false;
    });
    let result = turn_about(connection, control, future).map_err(|failure| settle(connection, control, failure));
    Outcome { result, sent: control.with(|state| state.sent) }
}

fn turn_about<T>(
    connection: &mut Connection<Wire, Wire>,
    control: &Control,
    future: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    for _ in turns(control) {
        let advanced = loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result.map_err(|error| failure(control, error));
            }
            bell.silence();
            match advance(connection, control, false, &mut context) {
                Ok(()) if bell.rang() => {}
                Ok(()) => break advance(connection, control, true, &mut context),
                error => break error,
            }
        };
        if let Err(error) = advanced {
            // the answer may have come whole before the stream ended
            return match future.as_mut().poll(&mut context) {
                Poll::Ready(Ok(value)) => Ok(value),
                Poll::Ready(Err(answer)) if answer.as_db_error().is_some() => Err(Failure::Postgres(answer)),
                _ => Err(error),
            };
        }
    }
    Err(Failure::Stalled)
}

/// Rung when one half has something for the other.
#[derive(Default)]
struct Bell(AtomicBool);

impl Bell {
    fn silence(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn rang(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The server's error comes before the end of its answer; the end is waited for, so that nothing is owed.
fn settle(connection: &mut Connection<Wire, Wire>, control: &Control, failure: Failure) -> Failure {
    if !matches!(&failure, Failure::Postgres(error) if error.as_db_error().is_some()) {
        return failure;
    }
    let mut context = Context::from_waker(Waker::noop());
    for _ in turns(control) {
        // after a FATAL error the stream ends: then it is not settled, and so not used again
        if control.with(|state| state.framing.is_settled()) || advance(connection, control, true, &mut context).is_err()
        {
            break;
        }
    }
    failure
}

/// Lets the connection go on until it is pending.
fn advance(
    connection: &mut Connection<Wire, Wire>,
    control: &Control,
    may_read: bool,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    control.with(|state| state.granted = may_read);
    loop {
        match connection.poll_message(context) {
            Poll::Pending => return Ok(()),
            // notices: nobody listens
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Err(failure(control, error)),
            Poll::Ready(None) => return Err(Failure::Broken(Broken::Closed)),
        }
    }
}

/// Turns, for as long as something moves.
fn turns(control: &Control) -> impl Iterator<Item = ()> {
    let mut idle = 0;
    std::iter::from_fn(move || {
        let moved = control.with(|state| std::mem::replace(&mut state.moved, false));
        idle = if moved { 0 } else { idle + 1 };
        (idle <= IDLE_TURNS).then_some(())
    })
}

/// How the stream broke says more than what the driver makes of it; what the server answered says most.
fn failure(control: &Control, error: tokio_postgres::Error) -> Failure {
    if error.as_db_error().is_some() {
        return Failure::Postgres(error);
    }
    match control.with(|state| state.broken.take()) {
        Some(broken) => Failure::Broken(broken),
        None => Failure::Postgres(error),
    }
}
