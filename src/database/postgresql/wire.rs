//! The stream that tokio-postgres reads and writes: asynchronous in form, blocking in fact.
//!
//! Its connection reads before it writes, and after an answer asks for more. So a read is granted by the executor, once
//! a turn and only when everything was sent; without a grant it is pending. What one receive brought is kept in a
//! buffer here: the driver's own shrinks as messages are cut off it, and would cost a second receive now and then.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use openssl::ssl::SslStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::deadline::Deadline;
use super::socket::Socket;
use super::startup::Startup;
use super::tls;

/// A page of twenty rows as the server sends it, and no more than a socket's buffer holds.
const RECEIVE_BUFFER: usize = 16 * 1024;

/// How the bytes travel.
#[derive(Debug)]
pub enum Transport {
    Plain(Socket),
    Tls(Box<SslStream<Socket>>),
}

impl Transport {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.get_mut(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(buffer),
            Transport::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            Transport::Tls(stream) => stream.write(bytes),
        }
    }
}

/// What a read may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: it is pending.
    Nothing,
    /// Take what has arrived.
    Look,
    /// Wait for something, until the deadline.
    Wait,
}

/// How the stream broke.
#[derive(Debug)]
pub enum Broken {
    TimedOut,
    /// The peer closed it.
    Closed,
    Io(io::Error),
    /// TLS was broken off: OpenSSL's text, a server's alert among it.
    Tls(String),
    /// The peer speaks something else, or refused before the protocol began: see [`Startup`].
    Refused,
}

/// What the executor and the stream tell each other.
#[derive(Debug)]
pub struct State {
    pub deadline: Deadline,
    pub grant: Grant,
    /// Something was read or written since the executor looked.
    pub moved: bool,
    /// Bytes were handed to the system since the executor looked.
    pub sent: bool,
    pub broken: Option<Broken>,
    /// A write failed since the peer had closed: what it said before is still to be read.
    deaf: bool,
    pub startup: Startup,
}

/// [`State`], shared.
#[derive(Debug, Clone)]
pub struct Control(Arc<Mutex<State>>);

impl Control {
    pub fn new(deadline: Deadline) -> Self {
        let startup = Startup::default();
        let (grant, broken) = (Grant::Nothing, None);
        Self(Arc::new(Mutex::new(State { deadline, grant, moved: false, sent: false, broken, deaf: false, startup })))
    }

    /// Reads or changes the state. Never held while anything blocks.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The stream.
#[derive(Debug)]
pub struct Wire {
    transport: Transport,
    control: Control,
    received: Box<[u8]>,
    from: usize,
    until: usize,
}

impl Wire {
    pub fn new(transport: Transport, control: Control) -> Self {
        Self { transport, control, received: vec![0; RECEIVE_BUFFER].into(), from: 0, until: 0 }
    }

    /// Reads into the buffer, if that is granted.
    fn receive(&mut self) -> Poll<io::Result<usize>> {
        let (grant, deadline) =
            self.control.with(|state| (std::mem::replace(&mut state.grant, Grant::Nothing), state.deadline));
        if grant == Grant::Nothing {
            return Poll::Pending;
        }
        let socket = self.transport.socket();
        socket.end_by(deadline);
        socket.wait = grant == Grant::Wait;
        let result = self.transport.read(&mut self.received);
        self.transport.socket().wait = true;
        self.control.with(|state| match result {
            Ok(count) => {
                state.moved = true;
                let refused = !state.startup.ready && state.startup.feed(&self.received[..count]);
                if refused {
                    state.broken = Some(Broken::Refused);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                if count == 0 {
                    state.broken = Some(Broken::Closed);
                }
                Poll::Ready(Ok(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(state.breaks(error))),
        })
    }
}

impl State {
    /// Remembers how the stream broke; the driver gets a copy to end with.
    fn breaks(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.broken = Some(match kind {
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Broken::TimedOut,
            _ => match tls::text_of(&error) {
                Some(text) => Broken::Tls(text),
                // the peer's last words were read, if it had any
                None if self.deaf => Broken::Closed,
                None => Broken::Io(error),
            },
        });
        kind.into()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.from == wire.until {
            match wire.receive() {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(count)) => (wire.from, wire.until) = (0, count),
            }
        }
        let count = buffer.remaining().min(wire.until - wire.from);
        buffer.put_slice(&wire.received[wire.from..wire.from + count]);
        wire.from += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.transport.socket().end_by(wire.control.with(|state| state.deadline));
        let result = wire.transport.write(bytes);
        wire.control.with(|state| match result {
            Ok(count) => {
                state.moved = true;
                state.sent = true;
                Poll::Ready(Ok(count))
            }
            // it may have said why, e.g. "terminating connection due to administrator command"
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                state.moved = true;
                state.deaf = true;
                Poll::Ready(Ok(bytes.len()))
            }
            Err(error) => Poll::Ready(Err(state.breaks(error))),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.transport {
            Transport::Plain(_) => ChannelBinding::none(),
            Transport::Tls(stream) => match tls::server_end_point(stream.ssl()) {
                Some(hash) => ChannelBinding::tls_server_end_point(hash),
                None => ChannelBinding::none(),
            },
        }
    }
}

/// Tells tokio-postgres that TLS, or what stands for it, is done: we did it, and know more about how it failed.
pub struct Finished;

impl TlsConnect<Wire> for Finished {
    type Stream = Wire;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Wire>>;

    fn connect(self, wire: Wire) -> Self::Future {
        std::future::ready(Ok(wire))
    }
}
