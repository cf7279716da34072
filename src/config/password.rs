//! The password of DBTestPasswordFile: out of a file that others cannot read, or from a program, as httpd's own
//! `exec:` directives have it. Read while the configuration is, by root: the child may do neither.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::database::Secret;

/// A password and what is odd about it.
#[derive(Debug)]
pub struct Found {
    pub password: Secret,
    pub warning: Option<String>,
}

/// No password is longer, in bytes.
const LONGEST: u64 = 4096;
/// httpd does not start while the program runs.
const PROGRAM_MAY_TAKE: Duration = Duration::from_secs(10);

/// Reads the file, which must be regular, and neither readable by others nor writable by anybody but its owner.
pub fn from_file(path: &Path) -> Result<Found, String> {
    let shown = path.display();
    // Not to wait for the writer of a FIFO.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| cannot_open(path, &error))?;
    // Of the open file, so that it is the one that is read.
    let found = file.metadata().map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown} is not a regular file"));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o027 != 0 {
        return Err(format!("{shown} is open to others than its owner (mode {mode:04o}): chmod 600 {shown}"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| format!("{shown}: {error}"))?;
    let mut password = understood(&bytes, &format!("{shown}"))?;
    // A group of root's alone is nobody else.
    if mode & 0o040 != 0 && found.gid() != 0 && password.warning.is_none() {
        password.warning = Some(format!(
            "{shown} can be read by its group (mode {mode:04o}), and so perhaps by scripts of this server: only the \
             user who starts httpd needs to: chmod 600 {shown}"
        ));
    }
    Ok(password)
}

fn cannot_open(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{shown} does not exist: put the password in it, and chmod 600 {shown}"),
        io::ErrorKind::PermissionDenied => {
            format!("{shown} cannot be read by the user who starts httpd: it must belong to that user (root)")
        }
        _ => format!("{shown} cannot be read: {error}"),
    }
}

/// Runs the program and takes the first line of its output, as httpd's ap_get_exec_line() does.
pub fn from_program(command: &str) -> Result<Found, String> {
    run(command, PROGRAM_MAY_TAKE)
}

fn run(command: &str, within: Duration) -> Result<Found, String> {
    let words = words(command)?;
    let Some((program, arguments)) = words.split_first() else {
        return Err("after \"exec:\" a program is missing: exec:/PATH/TO/PROGRAM".into());
    };
    check_program(Path::new(program))?;
    // What it says on standard error is for the administrator.
    let started = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("{program} cannot be run: {error}"))?;
    let read = first_line(&mut child, within);
    if !matches!(read, Ok(Output { ended: true, .. })) {
        // It may have ended by now, and then there is nothing to be done about an error.
        let _ = child.kill();
    }
    drop(child.stdout.take());
    let ended = child.wait().map_err(|error| format!("{program}: {error}"))?;
    let line = read.map_err(|error| format!("{program}: {error}"))?.line;
    if !ended.success() && ended.code().is_some() {
        return Err(format!("{program} failed: {ended}"));
    }
    understood(&line, &format!("the output of {program}"))
}

/// As root we run only what nobody else can have changed.
fn check_program(program: &Path) -> Result<(), String> {
    let shown = program.display();
    if !program.is_absolute() {
        return Err(format!("{shown} is not an absolute path: exec:/PATH/TO/PROGRAM"));
    }
    let found = std::fs::metadata(program).map_err(|error| format!("{shown} cannot be run: {error}"))?;
    if found.mode() & 0o022 != 0 {
        return Err(format!("{shown} may be written to by others than its owner: chmod go-w {shown}"));
    }
    Ok(())
}

/// What a program wrote.
struct Output {
    line: Vec<u8>,
    /// All of it was read, and so its exit status is its own and not our doing.
    ended: bool,
}

/// Reads to the end of output, of patience or of the deadline, and keeps the first line.
fn first_line(child: &mut Child, within: Duration) -> Result<Output, String> {
    let Some(output) = child.stdout.as_mut() else { return Err("it has no output".into()) };
    let deadline = Instant::now() + within;
    let mut bytes = Vec::new();
    let mut ended = false;
    while !ended && bytes.len() as u64 <= LONGEST && wait(output, deadline)? {
        let mut buffer = [0; 512];
        let count = output.read(&mut buffer).map_err(|error| error.to_string())?;
        bytes.extend_from_slice(&buffer[..count]);
        ended = count == 0;
    }
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => bytes.truncate(end + 1),
        None if ended || bytes.len() as u64 > LONGEST => {}
        None => return Err(format!("no line within {within:?}")),
    }
    Ok(Output { line: bytes, ended })
}

/// Waits until there is something to read; false at the deadline.
fn wait(output: &ChildStdout, deadline: Instant) -> Result<bool, String> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|error| error.to_string())?;
        match poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Makes a password of what was read; `source` names it in messages.
fn understood(bytes: &[u8], source: &str) -> Result<Found, String> {
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{source} is longer than a password ({LONGEST} bytes)"));
    }
    let text = str::from_utf8(bytes).map_err(|_| format!("{source} is not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(format!("{source} begins with a byte order mark: save it as UTF-8 without one"));
    }
    let (line, carriage_return) = match text.strip_suffix('\n') {
        None => (text, false),
        Some(line) => line.strip_suffix('\r').map_or((line, false), |line| (line, true)),
    };
    if line.is_empty() {
        return Err(format!("{source} is empty"));
    }
    if line.contains('\n') {
        return Err(format!("{source} has several lines: it must hold the password and nothing else"));
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("there is a control character in {source}: it must hold the password and nothing else"));
    }
    let warning = if carriage_return {
        Some(format!("{source} ends in a carriage return, which is not taken for a part of the password"))
    } else if line.trim() != line {
        Some(format!("{source} begins or ends with white space, which is taken for a part of the password"))
    } else if line.matches(':').count() == 4 {
        Some(format!("{source} looks like a line of .pgpass: it must hold the password and nothing else"))
    } else {
        None
    };
    Ok(Found { password: Secret::new(line), warning })
}

/// Splits a command as a shell would, without its expansions: white space, quotes of both kinds, backslashes.
fn words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quotation mark in the command after \"exec:\" is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::time::Instant;

    use super::*;

    fn file(dir: &Path, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.join("pass");
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn one_line_end_is_taken_off_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for (content, password, warning) in [
            ("secret", "secret", ""),
            ("secret\n", "secret", ""),
            ("se cret\n", "se cret", ""),
            ("pässwörd\n", "pässwörd", ""),
            ("secret\r\n", "secret", "ends in a carriage return"),
            ("secret \n", "secret ", "white space, which is taken for a part"),
            ("\tsecret", "\tsecret", "white space"),
            ("*:*:*:app:secret\n", "*:*:*:app:secret", "a line of .pgpass"),
        ] {
            let found = from_file(&file(dir.path(), content.as_bytes(), 0o600)).unwrap();
            assert_eq!(found.password.reveal(), password);
            let said = found.warning.unwrap_or_default();
            assert!(said.contains(warning) && said.is_empty() == warning.is_empty(), "{content:?}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn what_is_no_password_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (content, mode, expected) in [
            (&b"secret"[..], 0o644, "is open to others than its owner (mode 0644): chmod 600 "),
            (b"secret", 0o620, "(mode 0620)"),
            (b"secret", 0o602, "(mode 0602)"),
            (b"", 0o600, "is empty"),
            (b"\n", 0o600, "is empty"),
            (b"\r\n", 0o600, "is empty"),
            (b"secret\n\n", 0o600, "has several lines"),
            (b"secret\nother", 0o600, "has several lines"),
            (b"secret\0", 0o600, "a control character"),
            (b"secret\r", 0o600, "a control character"),
            (b"\xff", 0o600, "is not UTF-8"),
            (b"\xef\xbb\xbfsecret", 0o600, "a byte order mark"),
            (&[b'x'; 5000], 0o600, "longer than a password"),
        ] {
            let message = from_file(&file(dir.path(), content, mode)).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
        assert!(from_file(&dir.path().join("none")).unwrap_err().contains("does not exist"));
        assert!(from_file(dir.path()).unwrap_err().contains("is not a regular file"));
    }

    #[test]
    fn a_group_that_may_read_it_is_told_of_unless_it_is_roots() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), b"secret", 0o640);
        if rustix::process::geteuid().is_root() {
            assert_eq!(from_file(&path).unwrap().warning, None);
            std::os::unix::fs::chown(&path, None, Some(65534)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        }
        let warning = from_file(&path).unwrap().warning.unwrap();
        assert!(warning.contains("can be read by its group (mode 0640)"), "{warning}");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(from_file(&path).unwrap_err().contains("is not a regular file"));
    }

    #[test]
    fn a_program_gives_its_first_line() {
        for (command, expected) in [
            ("/bin/echo secret", "secret"),
            ("/usr/bin/printf 'a b\\nrest'", "a b"),
            ("/usr/bin/printf \"%s\" 'it is'", "it is"),
            ("/bin/sh -c 'echo first; sleep 0.1; echo second'", "first"),
            ("/usr/bin/yes yes", "yes"),
        ] {
            assert_eq!(from_program(command).unwrap().password.reveal(), expected, "{command}");
        }
    }

    #[test]
    fn a_program_that_gives_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let writable = dir.path().join("program");
        fs::write(&writable, "#!/bin/sh\necho x\n").unwrap();
        fs::set_permissions(&writable, Permissions::from_mode(0o757)).unwrap();
        let writable = writable.display().to_string();
        for (command, expected) in [
            ("", "a program is missing"),
            ("echo x", "echo is not an absolute path"),
            ("/no/such/program", "/no/such/program cannot be run: No such file"),
            ("/bin/false", "/bin/false failed: exit status: 1"),
            ("/bin/sh -c 'echo x; exit 3'", "failed: exit status: 3"),
            ("/bin/true", "the output of /bin/true is empty"),
            ("/bin/echo 'x", "is not closed"),
            (&writable, "may be written to by others"),
        ] {
            let message = from_program(command).unwrap_err();
            assert!(message.contains(expected), "{command}: {message}");
        }
    }

    #[test]
    fn a_program_that_says_nothing_is_stopped() {
        let began = Instant::now();
        let message = run("/bin/sleep 60", Duration::from_millis(200)).unwrap_err();
        assert!(message.contains("no line within 200ms"), "{message}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
