//! TLS as libpq does it: which certificates are trusted, whose name must be in one, and what came of the handshake.
//!
//! Ours rather than the driver's, which knows three of the six modes and says of a failed handshake only that it
//! failed. No file is taken implicitly from ~/.postgresql: the child of a web server has no home worth the name.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    ErrorCode, HandshakeError, Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslRef, SslStream,
    SslVerifyMode, SslVersion,
};
use openssl::x509::store::X509Lookup;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509VerifyResult};

use crate::database::{Cause, Error, Stage};

use super::certificate::{self, Peer};
use super::settings::{Host, HostPort, PgSettings, RootCert, SslMode, SslNegotiation, TlsVersion};
use super::socket::Socket;

/// A handshake that failed.
#[derive(Debug)]
pub struct Failed {
    pub error: Error,
    /// The certificate that verification stopped at, and its place in the chain (0 is the server's own).
    pub rejected: Option<(Peer, u32)>,
}

impl From<Error> for Box<Failed> {
    fn from(error: Error) -> Self {
        Box::new(Failed { error, rejected: None })
    }
}

/// What verification disliked, for the report: the handshake's error has only the code.
type Rejected = Arc<Mutex<Option<(Peer, u32)>>>;

/// Reads the certificates and keys that the settings name and makes of them what handshakes need.
pub fn context(settings: &PgSettings) -> Result<SslContext, Error> {
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(|error| failed("preparing TLS", &error))?;
    // one receive for a record instead of one for its header and one for the rest
    builder.set_read_ahead(true);
    builder
        .set_min_proto_version(Some(version(settings.ssl_min_protocol_version)))
        .and_then(|()| builder.set_max_proto_version(settings.ssl_max_protocol_version.map(version)))
        .map_err(|error| failed("setting the TLS version", &error))?;
    if let Some(root) = &settings.sslrootcert {
        trust(&mut builder, root)?;
    }
    revoke(&mut builder, settings)?;
    if let (Some(cert), Some(key)) = (&settings.sslcert, &settings.sslkey) {
        identify(&mut builder, cert, key, settings)?;
    }
    if settings.sslnegotiation == SslNegotiation::Direct {
        builder.set_alpn_protos(b"\x0apostgresql").map_err(|error| failed("setting ALPN", &error))?;
    }
    Ok(builder.build())
}

/// The handshake with `host` over a connected socket, within the socket's deadline.
pub fn handshake(socket: Socket, settings: &PgSettings, host: &HostPort) -> Result<SslStream<Socket>, Box<Failed>> {
    let doing = || format!("the TLS handshake with {}", name_of(host).unwrap_or_else(|| "the server".into()));
    let context = context(settings)?;
    let rejected = Rejected::default();
    let ssl = prepare(&context, settings, host, &rejected).map_err(|error| failed(&doing(), &error))?;
    let stream = ssl.connect(socket).map_err(|error| {
        let error = Error { stage: Stage::Tls, doing: doing(), cause: handshake_cause(error) };
        Box::new(Failed { error, rejected: rejected.lock().unwrap_or_else(PoisonError::into_inner).take() })
    })?;
    if settings.sslmode == SslMode::VerifyFull {
        compare_name(stream.ssl(), &name_of(host).unwrap_or_default(), doing)?;
    }
    Ok(stream)
}

/// `verify-full`: the certificate must be made out to the host that was asked for.
fn compare_name(ssl: &SslRef, host: &str, doing: impl Fn() -> String) -> Result<(), Box<Failed>> {
    let Some(certificate) = ssl.peer_certificate() else {
        return Err(refuse(&doing(), "the server showed no certificate").into());
    };
    if certificate::is_for(&certificate, host) {
        return Ok(());
    }
    let peer = Peer::of(&certificate);
    let verify = if host.parse::<IpAddr>().is_ok() { IP_ADDRESS_MISMATCH } else { HOSTNAME_MISMATCH };
    let text = format!("the certificate is made out to {}, not to {host}", peer.made_out_to());
    let error = Error { stage: Stage::Tls, doing: doing(), cause: Cause::Tls { verify, text } };
    Err(Box::new(Failed { error, rejected: Some((peer, 0)) }))
}

/// X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH (x509_vfy.h).
const HOSTNAME_MISMATCH: i32 = 62;
const IP_ADDRESS_MISMATCH: i32 = 64;

/// `tls-server-end-point` of RFC 5929: the hash that SCRAM-SHA-256-PLUS ties a login to.
pub fn server_end_point(ssl: &SslRef) -> Option<Vec<u8>> {
    let certificate = ssl.peer_certificate()?;
    let algorithms = certificate.signature_algorithm().object().nid().signature_algorithms()?;
    let digest = match algorithms.digest {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        other => MessageDigest::from_nid(other)?,
    };
    Some(certificate.digest(digest).ok()?.to_vec())
}

/// OpenSSL's text within an error of a TLS stream, if that is what it is: an alert, a broken record.
pub fn text_of(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<openssl::ssl::Error>()?;
    Some(inner.ssl_error().map_or_else(|| inner.to_string(), stack_text))
}

/// The name that the certificate must be made out to: what the administrator wrote.
fn name_of(host: &HostPort) -> Option<String> {
    match &host.host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(address) => Some(address.to_string()),
        Host::SocketDir(_) | Host::LocalSocket => host.hostaddr.map(|address| address.to_string()),
    }
}

fn prepare(
    context: &SslContext,
    settings: &PgSettings,
    host: &HostPort,
    rejected: &Rejected,
) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    let name = name_of(host).unwrap_or_default();
    if settings.sslsni && name.parse::<IpAddr>().is_err() && !name.is_empty() {
        ssl.set_hostname(&name)?;
    }
    // libpq verifies whenever it has a root certificate, whatever the mode
    if settings.sslrootcert.is_some() || settings.sslmode >= SslMode::VerifyCa {
        let rejected = Arc::clone(rejected);
        ssl.set_verify_callback(SslVerifyMode::PEER, move |good, store| {
            if !good {
                let seen = store.current_cert().map(|certificate| (Peer::of(certificate), store.error_depth()));
                *rejected.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            }
            good
        });
    }
    Ok(ssl)
}

fn handshake_cause(error: HandshakeError<Socket>) -> Cause {
    let stream = match error {
        HandshakeError::SetupFailure(error) => return Cause::Tls { verify: 0, text: stack_text(&error) },
        HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream) => stream,
    };
    let verify = stream.ssl().verify_result();
    let error = stream.into_error();
    if verify != X509VerifyResult::OK {
        return Cause::Tls { verify: verify.as_raw(), text: verify.error_string().into() };
    }
    if let Some(stack) = error.ssl_error() {
        return Cause::Tls { verify: 0, text: stack_text(stack) };
    }
    match error.into_io_error() {
        Ok(error) => Cause::Io(error),
        Err(error) if matches!(error.code(), ErrorCode::SYSCALL | ErrorCode::ZERO_RETURN) => Cause::Closed,
        Err(error) => Cause::Tls { verify: 0, text: error.to_string() },
    }
}

fn trust(builder: &mut SslContextBuilder, root: &RootCert) -> Result<(), Error> {
    let path = match root {
        RootCert::System => {
            return builder
                .set_default_verify_paths()
                .map_err(|error| failed("finding the system's certificates", &error));
        }
        RootCert::File(path) => path,
    };
    let doing = format!("reading the root certificate {} (sslrootcert)", path.display());
    let pem = read(path, &doing)?;
    let certificates = X509::stack_from_pem(&pem).map_err(|error| failed(&doing, &error))?;
    if certificates.is_empty() {
        return Err(refuse(&doing, "it holds no certificate in PEM form"));
    }
    for certificate in certificates {
        builder.cert_store_mut().add_cert(certificate).map_err(|error| failed(&doing, &error))?;
    }
    Ok(())
}

/// Revocation lists; libpq takes them into account only together with a root certificate.
fn revoke(builder: &mut SslContextBuilder, settings: &PgSettings) -> Result<(), Error> {
    if settings.sslrootcert.is_none() || (settings.sslcrl.is_none() && settings.sslcrldir.is_none()) {
        return Ok(());
    }
    let store = builder.cert_store_mut();
    if let Some(path) = &settings.sslcrl {
        let doing = format!("reading the revocation list {} (sslcrl)", path.display());
        read(path, &doing)?;
        let lookup = store.add_lookup(X509Lookup::file()).map_err(|error| failed(&doing, &error))?;
        lookup.load_crl_file(path, SslFiletype::PEM).map_err(|error| failed(&doing, &error))?;
    }
    if let Some(path) = &settings.sslcrldir {
        let doing = format!("reading the revocation lists in {} (sslcrldir)", path.display());
        let lookup = store.add_lookup(X509Lookup::hash_dir()).map_err(|error| failed(&doing, &error))?;
        let path = path.to_str().ok_or_else(|| refuse(&doing, "its path is not UTF-8"))?;
        lookup.add_dir(path, SslFiletype::PEM).map_err(|error| failed(&doing, &error))?;
    }
    let flags = X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL;
    store.set_flags(flags).map_err(|error| failed("setting the check of revocation lists", &error))
}

/// Our own certificate and key.
fn identify(builder: &mut SslContextBuilder, cert: &Path, key: &Path, settings: &PgSettings) -> Result<(), Error> {
    let doing = format!("reading the client certificate {} (sslcert)", cert.display());
    read(cert, &doing)?;
    builder.set_certificate_chain_file(cert).map_err(|error| failed(&doing, &error))?;
    let doing = format!("reading the client key {} (sslkey)", key.display());
    let key = private_key(key, settings, &doing)?;
    builder.set_private_key(&key).map_err(|error| failed(&doing, &error))?;
    builder.check_private_key().map_err(|error| failed(&doing, &error))
}

fn private_key(path: &Path, settings: &PgSettings, doing: &str) -> Result<PKey<Private>, Error> {
    let bytes = read(path, doing)?;
    let metadata =
        path.metadata().map_err(|error| Error { stage: Stage::Tls, doing: doing.into(), cause: Cause::Io(error) })?;
    // libpq's rule (fe-secure-openssl.c): a key of root's may be readable for a group, any other for nobody else
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(refuse(
            doing,
            &format!("others may read it (its mode is {mode:04o}): set 0600, or 0640 if root owns it"),
        ));
    }
    let password = settings.sslpassword.as_ref().map_or("", |secret| secret.reveal()).as_bytes();
    // a callback even without a password: OpenSSL would ask the terminal
    let pem = PKey::private_key_from_pem_callback(&bytes, |buffer| {
        let length = password.len().min(buffer.len());
        buffer[..length].copy_from_slice(&password[..length]);
        Ok(length)
    });
    if pem.is_err() && password.is_empty() && bytes.windows(9).any(|word| word == b"ENCRYPTED") {
        let file = path.display();
        return Err(refuse(
            doing,
            &format!(
                "it is encrypted with a passphrase and sslpassword is not set: set it, or take the passphrase off with \
                 openssl pkey -in {file} -out {file}.plain"
            ),
        ));
    }
    pem.or_else(|error| PKey::private_key_from_der(&bytes).map_err(|_| error)).map_err(|error| failed(doing, &error))
}

fn read(path: &Path, doing: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Error { stage: Stage::Tls, doing: doing.into(), cause: Cause::Io(error) }),
    }
}

fn version(version: TlsVersion) -> SslVersion {
    match version {
        TlsVersion::V1_0 => SslVersion::TLS1,
        TlsVersion::V1_1 => SslVersion::TLS1_1,
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    }
}

fn failed(doing: &str, error: &ErrorStack) -> Error {
    refuse(doing, &stack_text(error))
}

fn refuse(doing: &str, text: &str) -> Error {
    Error { stage: Stage::Tls, doing: doing.into(), cause: Cause::Tls { verify: 0, text: text.into() } }
}

/// The reasons in OpenSSL's error queue, without its file names and line numbers.
fn stack_text(stack: &ErrorStack) -> String {
    let reasons = stack.errors().iter().map(|error| {
        let reason = error.reason().map_or_else(|| format!("error {:x}", error.code()), str::to_owned);
        match error.data() {
            Some(data) if !data.is_empty() => format!("{reason} ({data})"),
            _ => reason,
        }
    });
    let text = reasons.collect::<Vec<_>>().join(": ");
    if text.is_empty() { "OpenSSL gives no reason".into() } else { text }
}
