//! What the server said before the session was ready, read beside the driver from the same bytes.
//!
//! The driver keeps to itself which authentication was asked for and whether it succeeded before an error came;
//! the diagnosis is made of exactly that. It also gives up on a message that is not UTF-8, which servers send
//! before they know the client's encoding.

use crate::database::{LoginRefusal, ServerError};

pub use super::auth_request::AuthRequest;
use super::policy::{self, Policy};

/// The record of one startup.
#[derive(Debug, Clone, Default)]
pub struct Startup {
    /// At least one whole message of the protocol came.
    pub spoke: bool,
    /// The first request, if any: none for `trust`, `peer`, `ident` and `cert`.
    pub auth_request: Option<AuthRequest>,
    /// AuthenticationOk: pg_hba.conf and the password are settled.
    pub auth_ok: bool,
    /// ParameterStatus, in the order in which they came.
    pub parameters: Vec<(String, String)>,
    /// The process id in BackendKeyData; a pooler makes one up.
    pub backend_pid: Option<i32>,
    /// ReadyForQuery.
    pub ready: bool,
    /// ErrorResponse.
    pub error: Option<ServerError>,
    /// Why we do not go on, though the server would.
    pub refusal: Option<LoginRefusal>,
    /// What is demanded of the login. Set before it begins.
    pub policy: Policy,
    /// The server sent its signature: only the driver can tell whether it is right.
    pub signed: bool,
    /// The first bytes of a peer that does not speak the protocol.
    pub foreign: Option<Vec<u8>>,
    /// Bytes that came so far.
    heard: usize,
    /// Bytes of a message that is not yet whole.
    pending: Vec<u8>,
}

/// libpq takes nothing longer before authentication (fe-connect.c); a longer one is somebody else's text.
const LONGEST_FIRST: usize = 30_000;
/// All that a server says until the session is ready, in bytes: far more than PostgreSQL's parameters and notices.
const MOST_LOGIN: usize = 1 << 20;
/// Of a foreign peer's greeting, this much is worth showing.
const SHOWN: usize = 64;

impl Startup {
    /// The value of a parameter that the server reported.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Takes the next bytes from the server. True: they are no PostgreSQL's, or a refusal that needs no more.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.heard += bytes.len();
        self.pending.extend_from_slice(bytes);
        if self.heard > MOST_LOGIN {
            self.foreign = Some(self.pending.iter().copied().take(SHOWN).collect());
            self.pending = Vec::new();
            return true;
        }
        while self.foreign.is_none() && !self.ready && self.refusal.is_none() {
            if !self.spoke && self.is_foreign() {
                return true;
            }
            let Some(length) = self.message_length() else { break };
            let message: Vec<u8> = self.pending.drain(..length).collect();
            self.spoke = true;
            self.take(message[0], &message[5..]);
        }
        self.refusal.is_some()
    }

    /// The length of the first message, tag included, once it is here as a whole.
    fn message_length(&self) -> Option<usize> {
        let header = self.pending.get(..5)?;
        let length = 1 + u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        (length >= 5 && self.pending.len() >= length).then_some(length)
    }

    /// Looks at the very first bytes. The errors of a postmaster that cannot fork are `E`, text, NUL, as in protocol 2.
    fn is_foreign(&mut self) -> bool {
        let Some(tag) = self.pending.first() else { return false };
        let plausible = match self.pending.get(1..5) {
            Some(length) => {
                (4..LONGEST_FIRST).contains(&(u32::from_be_bytes(length.try_into().unwrap_or_default()) as usize))
            }
            None => true,
        };
        if matches!(tag, b'R' | b'E' | b'N' | b'v') && plausible {
            return false;
        }
        if *tag == b'E' && self.pending.last() == Some(&0) {
            let message = String::from_utf8_lossy(&self.pending[1..self.pending.len() - 1]).trim_end().to_owned();
            self.spoke = true;
            self.error = Some(ServerError { severity: "FATAL".into(), message, ..ServerError::default() });
        } else {
            self.foreign = Some(self.pending.iter().copied().take(SHOWN).collect());
        }
        true
    }

    fn take(&mut self, tag: u8, body: &[u8]) {
        match tag {
            b'R' => self.take_authentication(body),
            b'S' => {
                let mut texts = body.split(|byte| *byte == 0).map(lossy);
                if let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                    self.parameters.push((name, value));
                }
            }
            b'K' => self.backend_pid = integer(body),
            b'Z' => self.ready = true,
            b'E' => self.error = Some(server_error(body)),
            _ => {}
        }
    }

    fn take_authentication(&mut self, body: &[u8]) {
        let request = match integer(body) {
            Some(0) => return self.admitted(),
            // the exchange goes on
            None | Some(8) => return,
            Some(11) => {
                let count = policy::iterations(&body[4..]).filter(|count| *count > policy::MOST_ITERATIONS);
                let refusal = count.map(|count| LoginRefusal::Iterations { count, most: policy::MOST_ITERATIONS });
                self.refusal = self.refusal.take().or(refusal);
                return;
            }
            Some(12) => {
                self.signed = true;
                return;
            }
            Some(3) => AuthRequest::Cleartext,
            Some(5) => AuthRequest::Md5,
            Some(7) => AuthRequest::Gss,
            Some(9) => AuthRequest::Sspi,
            Some(10) => {
                let names = body[4..].split(|byte| *byte == 0).filter(|name| !name.is_empty());
                AuthRequest::Sasl(names.map(lossy).collect())
            }
            Some(other) => AuthRequest::Other(other),
        };
        self.refusal = self.refusal.take().or(self.policy.asked(&request).err());
        self.auth_request.get_or_insert(request);
    }

    /// AuthenticationOk. After SCRAM only together with the server's signature, which proves that it knows the password.
    fn admitted(&mut self) {
        self.refusal = match self.auth_request {
            Some(AuthRequest::Sasl(_)) if !self.signed => Some(LoginRefusal::Unproven { skipped: true }),
            Some(_) => None,
            None => self.policy.let_in().err(),
        };
        self.auth_ok = self.refusal.is_none();
    }
}

fn integer(body: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(body.get(..4)?.try_into().ok()?))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of an ErrorResponse; text that is not UTF-8 keeps what is.
pub fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    let mut position = None;
    let mut query = None;
    for field in body.split(|byte| *byte == 0) {
        let Some((name, text)) = field.split_first() else { continue };
        let text = lossy(text);
        match name {
            b'V' => error.severity = text,
            b'S' if error.severity.is_empty() => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = text.parse().ok(),
            b'p' => position = text.parse().ok(),
            b'q' => query = Some(text),
            b'W' => error.context = Some(text),
            b's' => error.schema = Some(text),
            b't' => error.table = Some(text),
            b'c' => error.column = Some(text),
            b'd' => error.datatype = Some(text),
            b'n' => error.constraint = Some(text),
            b'F' => error.file = Some(text),
            b'L' => error.line = text.parse().ok(),
            b'R' => error.routine = Some(text),
            _ => {}
        }
    }
    error.internal = query.map(|query| (position.unwrap_or(0), query));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn an_exchange_is_recorded_byte_by_byte() {
        let mut bytes = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        bytes.extend(message(b'R', b"\0\0\0\x0cv=c2lnbmVk"));
        bytes.extend(message(b'R', &[0, 0, 0, 0]));
        bytes.extend(message(b'S', b"server_version\x0015.18\0"));
        bytes.extend(message(b'K', &[0, 0, 1, 0, 9, 9, 9, 9]));
        bytes.extend(message(b'Z', b"I"));
        let mut startup = Startup::default();
        for byte in bytes {
            assert!(!startup.feed(&[byte]));
        }
        let mechanisms = vec!["SCRAM-SHA-256-PLUS".to_owned(), "SCRAM-SHA-256".to_owned()];
        assert_eq!(startup.auth_request, Some(AuthRequest::Sasl(mechanisms)));
        assert!(startup.auth_ok && startup.ready);
        assert_eq!(startup.parameter("server_version"), Some("15.18"));
        assert_eq!(startup.backend_pid, Some(256));
    }

    #[test]
    fn an_error_in_latin_1_keeps_its_code() {
        let mut startup = Startup::default();
        startup.feed(&message(b'E', b"SFATAL\0VFATAL\0C28000\0Mr\xf4le refus\xe9\0Rauth_failed\0\0"));
        let error = startup.error.unwrap();
        assert_eq!((error.code.as_str(), error.routine.as_deref()), ("28000", Some("auth_failed")));
        assert!(!startup.auth_ok && startup.auth_request.is_none());
    }

    #[test]
    fn other_peoples_greetings_are_foreign() {
        let greetings: [&[u8]; 5] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"J\0\0\0\x0a8.0",
            b"-ERR unknown",
            b"ERROR\r\n",
        ];
        for greeting in greetings {
            let mut startup = Startup::default();
            assert!(startup.feed(greeting), "{}", greeting.escape_ascii());
            assert_eq!(startup.foreign.as_deref(), Some(greeting));
        }
    }

    #[test]
    fn a_postmaster_that_cannot_fork_says_so_in_the_old_form() {
        let mut startup = Startup::default();
        assert!(startup.feed(b"Ecould not fork new process for connection: Cannot allocate memory\n\0"));
        assert!(startup.error.unwrap().message.starts_with("could not fork"));
    }
}
