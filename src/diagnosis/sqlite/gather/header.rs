//! The first bytes of a file that SQLite refuses: what it is instead, or which part of the format is too new.
//!
//! Reading them takes a descriptor of our own, and **closing any descriptor of a file drops the POSIX locks that
//! this process holds on it**, those of SQLite's connections included (sqlite.org/howtocorrupt.html, §2.2).
//! So a descriptor that was opened is kept for the life of the process, one for each file that was ever
//! refused, and the number is bounded. A file that works is never opened here.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Descriptors that are kept at most; past it, nothing is said about first bytes.
const KEPT: usize = 32;

/// sqlite.org/fileformat2.html, "The Database Header".
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// As many bytes as are looked at.
const LOOKED_AT: usize = 1024;

static OPENED: Mutex<Vec<((u64, u64), File)>> = Mutex::new(Vec::new());

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    Empty,
    /// Shorter than a header, though it begins like one.
    Short(usize),
    Sqlite {
        /// 1: rollback journal; 2: write-ahead log; more: newer than this library.
        write_version: u8,
        read_version: u8,
        /// Bytes.
        page_size: u32,
        /// As the header counts them; 0 when an old library left it so.
        pages: u32,
    },
    /// Something else: what, in words.
    Other(&'static str),
    /// Bytes without any order: encrypted, by all appearance.
    Random,
    /// Nothing that is known: the first bytes.
    Unknown(Vec<u8>),
}

/// Reads the first bytes of the file at `path`; `None` when they cannot be read.
pub fn read(path: &Path) -> Option<Header> {
    with_file(path, |file| {
        let mut bytes = vec![0; LOOKED_AT];
        let length = file.read_at(&mut bytes, 0).ok()?;
        bytes.truncate(length);
        Some(parse(&bytes))
    })?
}

/// Does something with the file, on a descriptor that is never closed.
pub fn with_file<T>(path: &Path, work: impl FnOnce(&File) -> T) -> Option<T> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = std::fs::metadata(path).ok()?;
    if !found.is_file() {
        return None;
    }
    let key = (found.dev(), found.ino());
    if !opened.iter().any(|(known, _)| *known == key) {
        if opened.len() >= KEPT {
            return None;
        }
        let file = File::open(path).ok()?;
        let now = file.metadata().ok()?;
        opened.push(((now.dev(), now.ino()), file));
    }
    let (_, file) = opened.iter().find(|(known, _)| *known == key)?;
    Some(work(file))
}

/// Reads a header. Pure.
pub fn parse(bytes: &[u8]) -> Header {
    if bytes.is_empty() {
        return Header::Empty;
    }
    if bytes.starts_with(MAGIC) {
        let Some(header) = bytes.get(..100) else { return Header::Short(bytes.len()) };
        let size = u32::from(u16::from_be_bytes([header[16], header[17]]));
        return Header::Sqlite {
            write_version: header[18],
            read_version: header[19],
            // 1 stands for 65536
            page_size: if size == 1 { 65536 } else { size },
            pages: u32::from_be_bytes([header[28], header[29], header[30], header[31]]),
        };
    }
    if MAGIC.starts_with(bytes) {
        return Header::Short(bytes.len());
    }
    for (magic, what) in KNOWN {
        if bytes.starts_with(magic) {
            return Header::Other(what);
        }
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Header::Other("nothing but zero bytes");
    }
    if std::str::from_utf8(&bytes[..bytes.len().min(512)])
        .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
    {
        return Header::Other("plain text");
    }
    if bytes.len() >= 512 && is_random(bytes) {
        Header::Random
    } else {
        Header::Unknown(bytes[..bytes.len().min(16)].to_vec())
    }
}

const KNOWN: &[(&[u8], &str)] = &[
    (b"version https://git-lfs", "a pointer of git-lfs: the real file was not fetched"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"PK\x03\x04", "a zip archive"),
    (b"<!DOCTYPE", "a page of HTML"),
    (b"<!doctype", "a page of HTML"),
    (b"<html", "a page of HTML"),
    (b"<?xml", "XML"),
    (b"** This file contains an SQLite 2.1 database **", "a database of SQLite 2"),
    (b"\x00\x01\x00\x00Standard Jet DB", "a database of Microsoft Access"),
    (b"PRAGMA foreign_keys", "a dump in SQL, to be read into a database"),
    (b"BEGIN TRANSACTION", "a dump in SQL, to be read into a database"),
    (b"--", "a dump in SQL, to be read into a database"),
    (b"PGDMP", "a dump of PostgreSQL"),
    (b"\x37\x7f\x06\x82", "SQLite's write-ahead log, not its database"),
    (b"\x37\x7f\x06\x83", "SQLite's write-ahead log, not its database"),
    (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", "SQLite's rollback journal, not its database"),
    (b"\x7fELF", "a program"),
];

/// Whether the bytes have about the entropy of noise: more than 7.5 bits a byte would be too much to ask of a
/// kilobyte, but noise fills nearly all values evenly and nothing else that is kept in a file does.
fn is_random(bytes: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum();
    // the most that so few bytes can show is log2(length)
    entropy > 0.9 * total.log2().min(8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_be_bytes()[0]
            })
            .collect()
    }

    #[test]
    fn what_a_file_is_instead_is_known_by_its_first_bytes() {
        for (bytes, expected) in [
            (&b""[..], Header::Empty),
            (b"SQLite for", Header::Short(10)),
            (b"version https://git-lfs.github.com/spec/v1\n", Header::Other(KNOWN[0].1)),
            (b"\x1f\x8b\x08", Header::Other("compressed with gzip")),
            (b"hello\n", Header::Other("plain text")),
            (&[0; 4096], Header::Other("nothing but zero bytes")),
        ] {
            assert_eq!(parse(bytes), expected);
        }
        assert_eq!(parse(&noise(1024)), Header::Random);
        assert!(matches!(parse(b"\x80\x01\x02\xff\xfe"), Header::Unknown(_)));
    }

    #[test]
    fn a_database_tells_versions_and_pages() {
        let mut bytes = vec![0; 4096];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..20].copy_from_slice(&[16, 0, 2, 2]);
        bytes[28..32].copy_from_slice(&[0, 0, 0, 9]);
        assert_eq!(parse(&bytes), Header::Sqlite { write_version: 2, read_version: 2, page_size: 4096, pages: 9 });
    }
}
