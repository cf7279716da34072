//! A blocking socket on which every call ends in time.
//!
//! Blocking, since the thread has nothing else to do: one send and one receive are all a query costs. The kernel
//! keeps the time (SO_RCVTIMEO, SO_SNDTIMEO). Setting that is a system call too, so it is set again only when the
//! time that is left differs noticeably from what the socket knows: on the later reads of a slow answer.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, SockAddr, SockRef, TcpKeepalive, Type};

use super::deadline::Deadline;
use super::settings::PgSettings;

/// Where a server is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    /// The socket itself, `DIR/.s.PGSQL.PORT`.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{} port {}", address.ip(), address.port()),
            Address::Unix(path) => write!(f, "socket {}", path.display()),
        }
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connected socket.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    /// Reads and writes end by then.
    deadline: Deadline,
    /// False: a read takes what has arrived and waits for nothing.
    pub wait: bool,
    receive_limit: Duration,
    send_limit: Duration,
}

impl Socket {
    /// Connects, and turns on what the settings say about a TCP connection.
    ///
    /// An error is the system's own (ECONNREFUSED, EACCES …), or [`io::ErrorKind::TimedOut`] without an errno when
    /// the deadline passed.
    pub fn connect(address: &Address, settings: &PgSettings, deadline: Deadline) -> io::Result<Self> {
        let stream = match address {
            Address::Tcp(address) => Stream::Tcp(connect_tcp(*address, settings, deadline)?),
            Address::Unix(path) => Stream::Unix(connect_unix(path, deadline)?),
        };
        let zero = Duration::ZERO;
        Ok(Self { stream, deadline, wait: true, receive_limit: zero, send_limit: zero })
    }

    /// Reads and writes end by `deadline` from now on.
    pub fn end_by(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    pub fn is_unix(&self) -> bool {
        matches!(self.stream, Stream::Unix(_))
    }

    /// The user that the process behind a Unix socket runs as; for PostgreSQL, who started the server.
    #[cfg(target_os = "linux")]
    pub fn peer_uid(&self) -> Option<u32> {
        match &self.stream {
            Stream::Unix(stream) => rustix::net::sockopt::socket_peercred(stream).ok().map(|peer| peer.uid.as_raw()),
            Stream::Tcp(_) => None,
        }
    }

    /// Not known on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn peer_uid(&self) -> Option<u32> {
        None
    }

    /// Both ends, for a TCP connection.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        match &self.stream {
            Stream::Tcp(stream) => Some((stream.local_addr().ok()?, stream.peer_addr().ok()?)),
            Stream::Unix(_) => None,
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    fn remaining(&self) -> io::Result<Duration> {
        match self.deadline.remaining() {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            // zero would mean no limit, and the kernel counts in microseconds
            remaining => Ok(remaining.max(Duration::from_millis(1))),
        }
    }
}

/// Whether the kernel must be told: the difference is more than a sixteenth of what it knows.
fn differs(known: Duration, wanted: Duration) -> bool {
    known.abs_diff(wanted) > known / 16
}

/// Whether to call again: a signal came, or the kernel's time is over and ours perhaps not yet.
fn again(error: Errno) -> bool {
    matches!(error, Errno::INTR | Errno::AGAIN)
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.wait {
            count(Call::Receive);
            return Ok(rustix::net::recv(self.fd(), buffer, RecvFlags::DONTWAIT)?.0);
        }
        loop {
            let remaining = self.remaining()?;
            if differs(self.receive_limit, remaining) {
                count(Call::Limit);
                SockRef::from(&self.fd()).set_read_timeout(Some(remaining))?;
                self.receive_limit = remaining;
            }
            count(Call::Receive);
            match rustix::net::recv(self.fd(), &mut *buffer, RecvFlags::empty()) {
                Ok((count, _)) => return Ok(count),
                Err(error) if again(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let remaining = self.remaining()?;
            if differs(self.send_limit, remaining) {
                count(Call::Limit);
                SockRef::from(&self.fd()).set_write_timeout(Some(remaining))?;
                self.send_limit = remaining;
            }
            count(Call::Send);
            // a signal would end the child; an error does for us
            match rustix::net::send(self.fd(), bytes, SendFlags::NOSIGNAL) {
                Ok(count) => return Ok(count),
                Err(error) if again(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The system calls of an open socket.
#[derive(Debug, Clone, Copy)]
enum Call {
    Send,
    Receive,
    Limit,
}

#[cfg(not(test))]
fn count(_: Call) {}

#[cfg(test)]
fn count(call: Call) {
    CALLS.with_borrow_mut(|calls| calls[call as usize] += 1);
}

#[cfg(test)]
thread_local! {
    /// Sends, receives and limits set by this thread: what a query may cost is tested.
    pub static CALLS: std::cell::RefCell<[u32; 3]> = const { std::cell::RefCell::new([0; 3]) };
}

fn connect_tcp(address: SocketAddr, settings: &PgSettings, deadline: Deadline) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    let remaining = match deadline.remaining() {
        Duration::ZERO => return Err(io::ErrorKind::TimedOut.into()),
        remaining => remaining,
    };
    socket.connect_timeout(&address.into(), remaining)?;
    socket.set_tcp_nodelay(true)?;
    if settings.keepalives {
        socket.set_tcp_keepalive(&keepalive(settings))?;
    }
    #[cfg(target_os = "linux")]
    if let Some(timeout) = settings.tcp_user_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    Ok(socket.into())
}

fn keepalive(settings: &PgSettings) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new();
    if let Some(idle) = settings.keepalives_idle {
        keepalive = keepalive.with_time(idle);
    }
    if let Some(interval) = settings.keepalives_interval {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(count) = settings.keepalives_count {
        keepalive = keepalive.with_retries(count);
    }
    keepalive
}

/// Connecting to a Unix socket waits only when the server's queue is full; SO_SNDTIMEO bounds that wait.
fn connect_unix(path: &std::path::Path, deadline: Deadline) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let remaining = deadline.remaining().max(Duration::from_millis(1));
    socket.set_write_timeout(Some(remaining))?;
    let address = SockAddr::unix(path)?;
    loop {
        return match socket.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            result => result.map(|()| socket.into()),
        };
    }
}

/// The number of a user named in `requirepeer`. /etc/passwd only: servers are run by system users.
pub fn uid_of(user: &str) -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(2)?.parse().ok()
}
