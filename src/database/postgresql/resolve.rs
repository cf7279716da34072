//! From what the administrator wrote to addresses one can connect to.
//!
//! getaddrinfo(3) alone gives nsswitch's answers, and it knows no deadline: with dead name servers it takes 20 to 40
//! seconds. So it runs in a thread of its own, which is left behind when the time is over. Left-over threads are few:
//! whoever asks for a name that is being looked up waits for the same lookup, and past [`MOST`] none is begun.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::database::{Cause, Error, Stage};

use super::deadline::Deadline;
use super::settings::{Host, HostPort};
use super::socket::Address;

/// Lookups that a process may have under way at a time, each with a thread.
const MOST: usize = 8;

/// Starts a thread in a way that suits the process. In httpd's children no signal may be delivered to it: the handlers
/// of some MPMs end the child from whatever thread they run in.
pub static START: OnceLock<fn(&mut dyn FnMut())> = OnceLock::new();

/// What came of a lookup. Cloned for everybody who waited.
type Found = Result<Vec<IpAddr>, Failed>;

#[derive(Debug, Clone)]
struct Failed {
    code: i32,
    text: String,
}

/// A lookup under way.
#[derive(Default)]
struct Lookup {
    found: Mutex<Option<Found>>,
    done: Condvar,
}

/// The lookups of a process that are under way, and how one is made.
struct Lookups {
    under_way: Mutex<Vec<(String, Arc<Lookup>)>>,
    look_up: fn(&str) -> Found,
}

static LOOKUPS: Lookups = Lookups::new(look_up);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses behind a name, in the resolver's order, by the deadline.
pub fn resolve(host: &str, deadline: Deadline) -> Result<Vec<IpAddr>, Error> {
    LOOKUPS.resolve(host, deadline)
}

impl Lookup {
    fn wait(&self, limit: Duration) -> Option<Found> {
        let found = lock(&self.found);
        let waited = self.done.wait_timeout_while(found, limit, |found| found.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

impl Lookups {
    const fn new(look_up: fn(&str) -> Found) -> Self {
        Self { under_way: Mutex::new(Vec::new()), look_up }
    }

    fn resolve(&'static self, host: &str, deadline: Deadline) -> Result<Vec<IpAddr>, Error> {
        let failed = |cause| Error { stage: Stage::Resolve, doing: format!("looking up the host name {host}"), cause };
        let lookup = self.begin(host).map_err(|error| failed(Cause::Io(error)))?;
        match lookup.wait(deadline.remaining()) {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(Failed { code, text })) => Err(failed(Cause::Resolver { code, name: eai_name(code), text })),
            None => Err(failed(Cause::TimedOut(deadline.limit()))),
        }
    }

    /// Joins the lookup of this name that is under way, or begins one.
    fn begin(&'static self, host: &str) -> io::Result<Arc<Lookup>> {
        let mut under_way = lock(&self.under_way);
        if let Some((_, lookup)) = under_way.iter().find(|(name, _)| name == host) {
            return Ok(Arc::clone(lookup));
        }
        if under_way.len() >= MOST {
            let text = format!("{MOST} other names are being looked up, and the resolver does not answer");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        let lookup = Arc::new(Lookup::default());
        let mut started = Ok(());
        let mut start = || {
            let (name, own) = (host.to_owned(), Arc::clone(&lookup));
            let thread = std::thread::Builder::new().name("dbtest-resolve".into());
            started = thread.spawn(move || self.finish(&name, &own)).map(drop);
        };
        match START.get() {
            Some(quietly) => quietly(&mut start),
            None => start(),
        }
        started?;
        under_way.push((host.to_owned(), Arc::clone(&lookup)));
        Ok(lookup)
    }

    /// The thread.
    fn finish(&self, name: &str, lookup: &Arc<Lookup>) {
        let found = (self.look_up)(name);
        lock(&self.under_way).retain(|(_, other)| !Arc::ptr_eq(other, lookup));
        *lock(&lookup.found) = Some(found);
        lookup.done.notify_all();
    }
}

fn look_up(host: &str) -> Found {
    let hints = dns_lookup::AddrInfoHints { socktype: dns_lookup::SockType::Stream.into(), ..Default::default() };
    let failed = |code, error: io::Error| Failed { code, text: error.to_string() };
    let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints))
        .map_err(|error| failed(error.error_num(), io::Error::from(error)))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for entry in found {
        let address = entry.map_err(|error| failed(libc::EAI_SYSTEM, error))?;
        if !addresses.contains(&address.sockaddr.ip()) {
            addresses.push(address.sockaddr.ip());
        }
    }
    Ok(addresses)
}

/// Everywhere that one configured host may be reached, in the order to try.
pub fn addresses(host: &HostPort, deadline: Deadline) -> Result<Vec<Address>, Error> {
    let tcp = |ip| Address::Tcp(SocketAddr::new(ip, host.port));
    if let Some(ip) = host.hostaddr {
        return Ok(vec![tcp(ip)]);
    }
    if let Some(file) = host.socket_file() {
        return Ok(vec![Address::Unix(file)]);
    }
    match &host.host {
        Host::Address(ip) => Ok(vec![tcp(*ip)]),
        Host::Name(name) => Ok(resolve(name, deadline)?.into_iter().map(tcp).collect()),
        // both have a socket file
        Host::SocketDir(_) | Host::LocalSocket => Ok(Vec::new()),
    }
}

/// The symbol behind getaddrinfo's number, as in netdb.h.
fn eai_name(code: i32) -> &'static str {
    match code {
        libc::EAI_AGAIN => "EAI_AGAIN",
        libc::EAI_BADFLAGS => "EAI_BADFLAGS",
        libc::EAI_FAIL => "EAI_FAIL",
        libc::EAI_FAMILY => "EAI_FAMILY",
        libc::EAI_MEMORY => "EAI_MEMORY",
        libc::EAI_NONAME => "EAI_NONAME",
        libc::EAI_NODATA => "EAI_NODATA",
        libc::EAI_SERVICE => "EAI_SERVICE",
        libc::EAI_SOCKTYPE => "EAI_SOCKTYPE",
        libc::EAI_SYSTEM => "EAI_SYSTEM",
        libc::EAI_OVERFLOW => "EAI_OVERFLOW",
        // glibc's, without a constant in the crate libc: the name exists but has no address of our kind
        -9 => "EAI_ADDRFAMILY",
        _ => "EAI_?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_told_by_its_code() {
        // .invalid never exists (RFC 6761); without any name server the answer is EAI_AGAIN
        let error = resolve("db.invalid", Deadline::after(Duration::from_secs(60))).unwrap_err();
        assert_eq!(error.stage, Stage::Resolve);
        let Cause::Resolver { name, text, .. } = &error.cause else { panic!("{error:?}") };
        assert!(["EAI_NONAME", "EAI_AGAIN", "EAI_NODATA"].contains(name), "{name}");
        assert!(!text.is_empty());
    }

    #[test]
    fn the_machine_itself_has_an_address() {
        assert!(
            resolve("localhost", Deadline::after(Duration::from_secs(60))).unwrap().iter().all(IpAddr::is_loopback)
        );
    }

    #[test]
    fn a_lookup_ends_in_its_time_and_leaves_few_threads() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        static RELEASED: Mutex<bool> = Mutex::new(false);
        static BELL: Condvar = Condvar::new();
        let stuck: fn(&str) -> Found = |_| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            drop(BELL.wait_while(RELEASED.lock().unwrap(), |released| !*released));
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        };
        let lookups: &'static Lookups = Box::leak(Box::new(Lookups::new(stuck)));
        let limit = Duration::from_millis(20);
        for _ in 0..3 {
            for name in 0..2 * MOST {
                let error = lookups.resolve(&format!("stuck{name}.test"), Deadline::after(limit)).unwrap_err();
                assert_eq!(error.stage, Stage::Resolve);
                match error.cause {
                    Cause::TimedOut(given) => assert_eq!(given, limit),
                    Cause::Io(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(CALLS.load(Ordering::SeqCst) <= MOST);
        *RELEASED.lock().unwrap() = true;
        BELL.notify_all();
        let found = lookups.resolve("stuck0.test", Deadline::after(Duration::from_secs(60))).unwrap();
        assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
    }
}
