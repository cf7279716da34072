//! A server of our own that speaks PostgreSQL's protocol as a script has it: a real peer that may be wrong.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Rows that the peer committed, and connections that it took.
#[derive(Debug, Default)]
pub struct Ledger {
    pub rows: AtomicU32,
    pub sessions: AtomicU32,
}

impl Ledger {
    pub fn rows(&self) -> u32 {
        self.rows.load(Ordering::SeqCst)
    }

    pub fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::SeqCst)
    }
}

/// One connection, from the peer's side.
pub struct Talk {
    pub stream: TcpStream,
    pub ledger: Arc<Ledger>,
    /// How many connections came before this one.
    pub number: u32,
}

/// Starts a peer that runs `script` for each connection, each in a thread of its own; gives its port.
pub fn peer(script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static) -> (u16, Arc<Ledger>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ledger, script) = (Arc::new(Ledger::default()), Arc::new(script));
    let all = Arc::clone(&ledger);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (ledger, script) = (Arc::clone(&all), Arc::clone(&script));
            let number = ledger.sessions.fetch_add(1, Ordering::SeqCst);
            // the client may go whenever it likes
            std::thread::spawn(move || script(&mut Talk { stream, ledger, number }).ok());
        }
    });
    (port, ledger)
}

/// A message: tag, length, body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// An ErrorResponse with these fields.
pub fn error(fields: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, text) in fields {
        body.push(*name);
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    message(b'E', &body)
}

/// A DataRow of these columns.
pub fn row(columns: &[&str]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for column in columns {
        body.extend_from_slice(&(column.len() as u32).to_be_bytes());
        body.extend_from_slice(column.as_bytes());
    }
    message(b'D', &body)
}

/// What follows the right password: AuthenticationOk, parameters, the key, ReadyForQuery.
pub fn greeting() -> Vec<u8> {
    let mut bytes = message(b'R', &[0, 0, 0, 0]);
    for text in ["server_version\x0015.18\0", "client_encoding\0UTF8\0", "in_hot_standby\0off\0"] {
        bytes.extend(message(b'S', text.as_bytes()));
    }
    bytes.extend(message(b'K', &[0, 0, 0, 42, 1, 2, 3, 4]));
    bytes.extend(message(b'Z', b"I"));
    bytes
}

/// What PostgreSQL answers when an INSERT is stored: the id and the process that stored it.
pub fn stored(id: &str) -> Vec<u8> {
    let messages = [message(b'1', b""), message(b'2', b""), row(&[id, "42"]), message(b'C', b"INSERT 0 1\0")];
    [messages.concat(), message(b'Z', b"I")].concat()
}

/// A row of the page in an answer that is whole.
pub fn page(rows: &[[&str; 4]]) -> Vec<u8> {
    let mut bytes = [message(b'1', b""), message(b'2', b"")].concat();
    bytes.extend(rows.iter().flat_map(|columns| row(columns)));
    bytes.extend(message(b'C', b"SELECT 1\0"));
    bytes.extend(message(b'Z', b"I"));
    bytes
}

impl Talk {
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the startup packet, refusing TLS on the way; gives its body.
    pub fn startup(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
            self.stream.read_exact(&mut body)?;
            if body != [4, 210, 22, 47] {
                return Ok(body);
            }
            self.send(b"N")?;
        }
    }

    /// Lets the client in without a password.
    pub fn admit(&mut self) -> io::Result<()> {
        self.startup()?;
        self.send(&greeting())
    }

    /// One message from the client.
    pub fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let [tag, length @ ..] = header;
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
        self.stream.read_exact(&mut body)?;
        Ok((tag, body))
    }

    /// What the client sends until it waits for an answer (Sync or Query), put together. An error once it goes.
    pub fn request(&mut self) -> io::Result<String> {
        let mut all = String::new();
        loop {
            let (tag, body) = self.message()?;
            match tag {
                b'X' => return Err(io::ErrorKind::ConnectionAborted.into()),
                b'S' => return Ok(all),
                _ => all.push_str(&String::from_utf8_lossy(&body)),
            }
            if tag == b'Q' {
                return Ok(all);
            }
        }
    }

    /// Stores a row; gives its id.
    pub fn store(&mut self) -> String {
        (self.ledger.rows.fetch_add(1, Ordering::SeqCst) + 1).to_string()
    }
}
