//! Looks for [`Names`], after a look-up that failed.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::diagnosis::host::path::{Need, Trouble, first_obstacle};
use crate::diagnosis::host::path_fixes::cure;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::postgresql::evidence::names::{Answer, Names, Unreadable};

/// Looks at the files below `root`, and asks the name servers until `ends`.
pub fn look(root: &Path, host: &str, who: &Who, ends: Instant) -> Names {
    let text = |path: &str| {
        let bytes = std::fs::read(root.join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let resolv = text("etc/resolv.conf");
    let known = in_hosts(&text("etc/hosts"));
    let files = ["etc/resolv.conf", "etc/nsswitch.conf", "etc/hosts"];
    let unreadable = files.iter().find_map(|file| unreadable(&root.join(file), who));
    let question = full_name(host, &resolv);
    let each = servers(&resolv);
    let servers = each.iter().take(3).map(|server| (*server, ask(*server, &question, ends))).collect();
    Names {
        known,
        unreadable,
        stops_before_dns: stops_before_dns(&text("etc/nsswitch.conf"), host),
        servers,
        looked: true,
    }
}

fn unreadable(file: &Path, who: &Who) -> Option<Unreadable> {
    let obstacle = first_obstacle(file, Need::Read, who)?;
    if matches!(obstacle.trouble, Trouble::Missing | Trouble::Dangling(_)) {
        // the resolver does without it
        return None;
    }
    let sentence = obstacle.sentence(who);
    let fix = match obstacle.trouble {
        // everybody reads these files: a list of exceptions would only hide that one of them lost its mode
        Trouble::NotReadable => Some(crate::diagnosis::host::path_fixes::shell(
            format!("chmod a+r {}", crate::diagnosis::host::shell::quote(&obstacle.real)),
            crate::diagnosis::report::Then::None,
        )),
        _ => cure(&[obstacle], who),
    };
    Some(Unreadable { sentence, fix })
}

/// The names in the text of /etc/hosts.
fn in_hosts(hosts: &str) -> Vec<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split_whitespace().skip(1)).map(str::to_owned).collect()
}

/// The values of a keyword of resolv.conf.
fn words<'a>(resolv: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = resolv.lines().map(str::split_whitespace);
    lines.filter_map(move |mut words| (words.next() == Some(keyword)).then_some(words)).flatten()
}

fn servers(resolv: &str) -> Vec<IpAddr> {
    // a zone (fe80::1%eth0) is nothing that can be asked from here
    words(resolv, "nameserver").filter_map(|word| word.parse().ok()).collect()
}

/// A name without a dot is asked for in the first domain of the search list.
fn full_name(host: &str, resolv: &str) -> String {
    let domain = words(resolv, "search").next().or_else(|| words(resolv, "domain").next());
    match domain {
        Some(domain) if !host.contains('.') => format!("{host}.{domain}"),
        _ => host.to_owned(),
    }
}

/// Whether the line `hosts:` ends a search before its `dns`, and by which words (nsswitch.conf(5)). Sources that ask
/// DNS themselves, as `resolve` does, count as `dns`.
fn stops_before_dns(nsswitch: &str, host: &str) -> Option<String> {
    let line = nsswitch.lines().find_map(|line| line.split('#').next()?.trim().strip_prefix("hosts:"))?;
    let spaced = line.replace('[', " [").replace(']', "] ").to_lowercase();
    let mut words = spaced.split_whitespace().peekable();
    let local = host.to_lowercase().trim_end_matches('.').ends_with(".local");
    while let Some(word) = words.next() {
        if word == "dns" || word == "resolve" {
            return None;
        }
        // an action may have blanks in it
        let mut action = String::new();
        while !word.starts_with('[') && words.peek().is_some_and(|next| next.starts_with('[') || !action.is_empty()) {
            action.push_str(words.next().unwrap_or_default());
            action.push(' ');
            if action.contains(']') {
                break;
            }
        }
        // `mdns4_minimal` concerns itself with .local alone
        let concerned = !word.starts_with("mdns") || local;
        if concerned && action.contains("notfound=return") {
            return Some(format!("{word} {}", action.trim()));
        }
    }
    Some("dns is not in the line".into())
}

/// Asks one name server for the addresses of a name.
fn ask(server: IpAddr, name: &str, ends: Instant) -> Answer {
    match question(server, name, 1, ends) {
        Answer::NoAddress => question(server, name, 28, ends),
        answer => answer,
    }
}

fn question(server: IpAddr, name: &str, kind: u8, ends: Instant) -> Answer {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let Ok(socket) = UdpSocket::bind(SocketAddr::new(any, 0)) else { return Answer::Silent };
    // connected: it takes answers from that server alone, and hears that nothing listens there
    if socket.connect(SocketAddr::new(server, 53)).is_err() {
        return Answer::Silent;
    }
    let id = std::process::id().to_be_bytes();
    let query = query([id[2] ^ kind, id[3]], name, kind);
    if let Err(error) = socket.send(&query) {
        return if error.kind() == ErrorKind::ConnectionRefused { Answer::Refused } else { Answer::Silent };
    }
    let patience = ends.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), PATIENCE);
    let mut answer = [0; 1500];
    let received = socket.set_read_timeout(Some(patience)).and_then(|()| socket.recv(&mut answer));
    match received {
        Ok(count) if answer.get(..2) == query.get(..2) => read(&answer[..count], query.len()).unwrap_or(Answer::Silent),
        Ok(_) => Answer::Silent,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
        Err(_) => Answer::Silent,
    }
}

/// A name server that is well answers in a fraction of this.
const PATIENCE: Duration = Duration::from_millis(700);

/// A question with recursion desired (RFC 1035).
fn query(id: [u8; 2], name: &str, kind: u8) -> Vec<u8> {
    let mut bytes = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
    }
    bytes.extend_from_slice(&[0, 0, kind, 0, 1]);
    bytes
}

/// The addresses in an answer, which repeats the question first.
fn read(answer: &[u8], question: usize) -> Option<Answer> {
    match answer.get(3)? & 0x0f {
        0 => {}
        3 => return Some(Answer::NoSuchName),
        code => return Some(Answer::Code(code)),
    }
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut at = question;
    let mut found = Vec::new();
    for _ in 0..count {
        at = after_name(answer, at)?;
        let head = answer.get(at..at + 10)?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let data = answer.get(at + 10..at + 10 + length)?;
        match (head[1], data.len()) {
            (1, 4) => found.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            (28, 16) => found.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            // an alias, whose addresses follow
            _ => {}
        }
        at += 10 + length;
    }
    Some(if found.is_empty() { Answer::NoAddress } else { Answer::Addresses(found) })
}

fn after_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            // a pointer to an earlier name
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_ends_a_search_before_dns_is_found() {
        let stops = |line: &str, host| stops_before_dns(&format!("passwd: files\nhosts: {line}\n"), host);
        assert_eq!(stops("files dns", "db.local"), None);
        assert_eq!(stops("files [NOTFOUND=return] dns", "db.x").as_deref(), Some("files [notfound=return]"));
        assert_eq!(stops("files mdns4_minimal [NOTFOUND=return] dns", "db.x"), None);
        let minimal = stops("files mdns4_minimal [NOTFOUND=return] dns myhostname", "db.corp.local");
        assert_eq!(minimal.as_deref(), Some("mdns4_minimal [notfound=return]"));
        assert_eq!(
            stops("files[ SUCCESS=return NOTFOUND=return ]dns", "h").as_deref(),
            Some("files [ success=return notfound=return ]")
        );
        assert_eq!(stops("files resolve [!UNAVAIL=return] dns", "db.local"), None);
        assert_eq!(stops("files myhostname", "db").as_deref(), Some("dns is not in the line"));
        assert_eq!(stops_before_dns("", "db"), None);
    }

    #[test]
    fn an_answer_is_read_through_its_aliases() {
        let question = query([1, 2], "db.example", 1);
        let mut answer = question.clone();
        answer[2] = 0x81;
        answer[3] = 0x80;
        answer[7] = 2;
        answer.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 1, 2, 3]);
        assert_eq!(read(&answer, question.len()), Some(Answer::Addresses(vec![[10, 1, 2, 3].into()])));
        answer[3] = 0x83;
        assert_eq!(read(&answer, question.len()), Some(Answer::NoSuchName));
        // what is cut short is no answer
        answer[3] = 0x80;
        assert!((0..answer.len()).all(|end| read(&answer[..end], question.len()) != Some(Answer::NoSuchName)));
    }

    #[test]
    fn a_short_name_is_asked_for_in_the_search_domain() {
        assert_eq!(full_name("db", "search corp.example x\n"), "db.corp.example");
        assert_eq!(full_name("db.a", "search corp.example\n"), "db.a");
        assert_eq!(servers("nameserver 10.0.0.1\n# nameserver 1.1.1.1\nnameserver ::1\n").len(), 2);
    }
}
