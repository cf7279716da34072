//! One request and its answer, spoken directly: for the table's own statements, which are all that a page costs.
//!
//! The driver makes three allocations and some three thousand instructions of every row, on its way from task to task.
//! Here a row is read where it lies. Only a session in which the driver owes and is owed nothing may be spoken over so.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::database::ServerError;

use super::deadline::Deadline;
use super::drive::{Failure, Outcome};
use super::framing;
use super::startup::server_error;
use super::wire::{Broken, Control, State};

/// What becomes of the messages after this one. A break with false: this one makes no sense.
type Flow = ControlFlow<bool>;

/// So much of a message that makes no sense is worth showing.
const SHOWN: usize = 64;

/// Sends `request`, which ends with a Sync, and hands each message of the answer to `each` until ReadyForQuery.
/// `each` returns false for a message that makes no sense.
///
/// The first ErrorResponse is the result. After it the rest of the answer is read as well, unless it ended the session.
pub fn exchange(
    control: &Control,
    request: &[u8],
    limit: Duration,
    each: &mut dyn FnMut(u8, &[u8]) -> bool,
) -> Outcome<()> {
    control.with(|state| {
        state.deadline = Deadline::after(limit);
        state.sent = false;
        if !state.framing.is_settled() {
            return Outcome { result: Err(Failure::Stalled), sent: false };
        }
        let result = send(state, request).and_then(|()| answer(state, each));
        Outcome { result, sent: state.sent }
    })
}

/// Takes what has arrived on an idle session, without waiting: the server may have said goodbye.
pub fn look(control: &Control) -> Result<(), Failure> {
    control.with(|state| {
        let closed = match state.receive(false) {
            Ok(count) => count == 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => return Err(broken(state)),
        };
        let mut error = None;
        // between two answers: notices and parameters, or an error that ends the session
        take(state, &mut |tag, body| {
            if tag == b'E' {
                error = Some(server_error(body));
            }
            Flow::Continue(())
        })?;
        match error {
            Some(error) => Err(Failure::Server(Box::new(error))),
            None if closed => Err(broken(state)),
            None => Ok(()),
        }
    })
}

/// Says goodbye; the peer may be gone already.
pub fn terminate(control: &Control, limit: Duration) {
    control.with(|state| {
        if state.broken.is_none() {
            state.deadline = Deadline::after(limit);
            // nobody is left to be told
            let _ = state.send(b"X\0\0\0\x04");
        }
    });
}

fn send(state: &mut State, mut request: &[u8]) -> Result<(), Failure> {
    while !request.is_empty() {
        let count = state.send(request).map_err(|_| broken(state))?;
        request = &request[count..];
    }
    Ok(())
}

fn answer(state: &mut State, each: &mut dyn FnMut(u8, &[u8]) -> bool) -> Result<(), Failure> {
    let mut error: Option<ServerError> = None;
    let (mut ready, mut in_transaction) = (false, false);
    loop {
        take(state, &mut |tag, body| {
            match tag {
                // what comes after it, a goodbye perhaps, is not part of this answer
                b'Z' => {
                    ready = true;
                    in_transaction = body != b"I";
                    return Flow::Break(true);
                }
                b'E' => error = error.take().or_else(|| Some(server_error(body))),
                b'N' | b'S' | b'A' => {}
                _ if error.is_none() && !each(tag, body) => return Flow::Break(false),
                _ => {}
            }
            Flow::Continue(())
        })?;
        if ready {
            state.in_transaction = in_transaction;
            return error.map_or(Ok(()), |error| Err(Failure::Server(Box::new(error))));
        }
        if !matches!(state.receive(true), Ok(1..)) {
            // what the server said before it broke off says more
            return Err(error.map_or_else(|| broken(state), |error| Failure::Server(Box::new(error))));
        }
    }
}

/// Hands over the messages that are here as a whole.
fn take(state: &mut State, each: &mut dyn FnMut(u8, &[u8]) -> Flow) -> Result<(), Failure> {
    let mut taken = 0;
    let mut senseless = None;
    loop {
        let rest = &state.received()[taken..];
        match framing::message(rest) {
            Ok(Some((tag, body, length))) => {
                taken += length;
                // an error without a code is nobody's that we know
                let flow = if tag == b'E' && !has_code(body) { Flow::Break(false) } else { each(tag, body) };
                if let Flow::Break(good) = flow {
                    senseless = (!good).then(|| shown(&rest[..length]));
                    break;
                }
            }
            Ok(None) => break,
            Err(framing::NoMessage::Short) => {
                senseless = Some(shown(rest));
                break;
            }
            Err(framing::NoMessage::Long(bytes)) => return Err(Failure::TooLong(bytes)),
        }
    }
    state.take(taken);
    senseless.map_or(Ok(()), |bytes| Err(Failure::Senseless(bytes)))
}

/// The first bytes of a message that makes no sense.
fn shown(message: &[u8]) -> Vec<u8> {
    message.iter().copied().take(SHOWN).collect()
}

/// Whether an ErrorResponse has a SQLSTATE, as PostgreSQL's and every pooler's have.
fn has_code(body: &[u8]) -> bool {
    body.split(|byte| *byte == 0).any(|field| field.len() == 6 && field[0] == b'C')
}

fn broken(state: &mut State) -> Failure {
    Failure::Broken(state.broken.take().unwrap_or(Broken::Closed))
}

/// The columns of a DataRow; `None` in the list is NULL. `None` at all: this is no row.
pub fn columns<const COUNT: usize>(body: &[u8]) -> Option<[Option<&[u8]>; COUNT]> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    if usize::from(u16::from_be_bytes(*count)) < COUNT {
        return None;
    }
    let mut columns = [None; COUNT];
    for column in &mut columns {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        // -1 is NULL
        if let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) {
            let (value, after) = rest.split_at_checked(length)?;
            (*column, rest) = (Some(value), after);
        }
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_found_and_what_is_cut_short_is_not() {
        let row = b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(columns::<3>(row), Some([Some(&b"a"[..]), None, Some(&b""[..])]));
        assert_eq!(columns::<2>(row), Some([Some(&b"a"[..]), None]));
        assert_eq!(columns::<4>(row), None);
        for end in 0..row.len() {
            assert_eq!(columns::<3>(&row[..end]), None, "{end}");
        }
    }
}
