//! The stream below a session, shared by those who speak over it: tokio-postgres, asynchronous in form and blocking in
//! fact, and `exchange`, which speaks for the table's own statements.
//!
//! The driver's connection reads before it writes, and after an answer asks for more. So a read is granted by the
//! executor, once a turn and only when everything was sent; without a grant it is pending. What one receive brought is
//! kept in a buffer here: the driver's own shrinks as messages are cut off it, and would cost a second receive now and
//! then.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use openssl::ssl::SslStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::deadline::Deadline;
use super::framing::Framing;
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

/// The stream, what was received, and what the executor and the driver must know of each other.
#[derive(Debug)]
pub struct State {
    pub deadline: Deadline,
    /// The driver may read, and wait for what comes.
    pub granted: bool,
    /// Something was read or written since the executor looked.
    pub moved: bool,
    /// Bytes were handed to the system since the executor looked.
    pub sent: bool,
    pub broken: Option<Broken>,
    pub startup: Startup,
    /// What the driver has been given so far.
    pub framing: Framing,
    /// The last answer ended inside a transaction that somebody else began.
    pub in_transaction: bool,
    /// A write failed since the peer had closed: what it said before is still to be read.
    deaf: bool,
    transport: Transport,
    received: Vec<u8>,
    from: usize,
    until: usize,
}

/// [`State`], shared. One thread at a time has the session, so nobody ever waits for the lock.
#[derive(Debug, Clone)]
pub struct Control(Arc<Mutex<State>>);

impl Control {
    pub fn new(transport: Transport, deadline: Deadline) -> Self {
        Self(Arc::new(Mutex::new(State {
            deadline,
            granted: false,
            moved: false,
            sent: false,
            broken: None,
            startup: Startup::default(),
            framing: Framing::default(),
            in_transaction: false,
            deaf: false,
            transport,
            received: vec![0; RECEIVE_BUFFER],
            from: 0,
            until: 0,
        })))
    }

    /// Reads or changes the state.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Receives more, after what is in the buffer. Zero bytes: the peer has closed. Without `wait` only what has arrived,
    /// or [`io::ErrorKind::WouldBlock`].
    pub fn receive(&mut self, wait: bool) -> io::Result<usize> {
        self.make_room();
        let socket = self.transport.socket();
        socket.end_by(self.deadline);
        socket.wait = wait;
        let result = self.transport.read(&mut self.received[self.until..]);
        self.transport.socket().wait = true;
        match result {
            Ok(0) => {
                self.broken = Some(Broken::Closed);
                Ok(0)
            }
            Ok(count) => {
                self.until += count;
                self.moved = true;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => Err(self.breaks(error)),
        }
    }

    /// What has been received and not been taken.
    pub fn received(&self) -> &[u8] {
        &self.received[self.from..self.until]
    }

    /// So many bytes of it are done with.
    pub fn take(&mut self, count: usize) {
        self.from += count;
    }

    /// A message may be longer than the buffer, which grows as it comes and shrinks when all is taken.
    fn make_room(&mut self) {
        if self.from == self.until {
            (self.from, self.until) = (0, 0);
            if self.received.len() > RECEIVE_BUFFER {
                self.received = vec![0; RECEIVE_BUFFER];
            }
        } else if self.until == self.received.len() {
            self.received.copy_within(self.from..self.until, 0);
            (self.from, self.until) = (0, self.until - self.from);
            if self.until > self.received.len() / 2 {
                self.received.resize(self.received.len() * 2, 0);
            }
        }
    }

    /// Sends some of the bytes. To a peer that has closed, all of them: it may have said why, e.g. "terminating
    /// connection due to administrator command", and that is still to be read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.transport.socket().end_by(self.deadline);
        match self.transport.write(bytes) {
            Ok(count) => {
                (self.moved, self.sent) = (true, true);
                Ok(count)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                (self.moved, self.deaf) = (true, true);
                Ok(bytes.len())
            }
            Err(error) => Err(self.breaks(error)),
        }
    }

    /// Remembers how the stream broke; the caller gets a copy to end with.
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

    /// Hands the driver what there is; receives if there is nothing and it may.
    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.from == self.until {
            if !std::mem::replace(&mut self.granted, false) {
                return Poll::Pending;
            }
            self.receive(true)?;
            if !self.startup.ready && self.startup.feed(&self.received[self.from..self.until]) {
                self.broken = Some(Broken::Refused);
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        let count = buffer.remaining().min(self.until - self.from);
        let bytes = &self.received[self.from..self.from + count];
        self.framing.feed(bytes);
        if self.framing.is_too_long() {
            // the driver would make room for all of it at once
            let error = io::Error::new(io::ErrorKind::InvalidData, "a message is longer than mod_dbtest takes");
            self.broken = Some(Broken::Io(error));
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        buffer.put_slice(bytes);
        self.from += count;
        Poll::Ready(Ok(()))
    }
}

/// The driver's end of the stream.
#[derive(Debug)]
pub struct Wire(pub Control);

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.with(|state| state.deliver(buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.with(|state| {
            state.framing.asked();
            Poll::Ready(state.send(bytes))
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
        let hash = self.0.with(|state| match &state.transport {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => tls::server_end_point(stream.ssl()),
        });
        hash.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
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
