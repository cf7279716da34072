//! A password that a program prints. httpd does not start while the program runs, so it is bounded, together with
//! whatever it started: a process group of its own, which is killed.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Found, LONGEST, Problem, owners, understood};

/// It must have ended by then.
const MAY_TAKE: Duration = Duration::from_secs(10);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the program and takes the first line of its output, as httpd's ap_get_exec_line() does.
pub(super) fn run(command: &str) -> Result<Found, Problem> {
    run_within(command, MAY_TAKE)
}

fn run_within(command: &str, within: Duration) -> Result<Found, Problem> {
    let Some(words) = shlex::split(command) else {
        return Err(Problem::Text("a quotation mark in the command after \"exec:\" is not closed".into()));
    };
    let Some((program, arguments)) = words.split_first() else {
        return Err(Problem::Text("after \"exec:\" a program is missing: exec:/PATH/TO/PROGRAM".into()));
    };
    if !Path::new(program).is_absolute() {
        return Err(Problem::Text(format!("{program} is not an absolute path: exec:/PATH/TO/PROGRAM")));
    }
    let output = owners::check(Path::new(program)).and_then(|()| output(program, arguments, within));
    let line = output.map_err(Problem::Outside)?;
    understood(&line, &format!("the output of {program}")).map_err(Problem::Outside)
}

/// The first line of what it printed, once it has ended well.
fn output(program: &str, arguments: &[String], within: Duration) -> Result<Vec<u8>, String> {
    // What it says on standard error is for the administrator.
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|error| format!("{program} cannot be run: {error}"))?;
    let read = watch(&mut child, within);
    // Before it is waited for: until then its id, and so that of its group, is nobody else's. An error means that
    // nobody is left in it.
    let _ = kill_process_group(id(&child)?, Signal::KILL);
    drop(child.stdout.take());
    let ended = child.wait().map_err(|error| format!("{program}: {error}"))?;
    let mut bytes = read.map_err(|problem| format!("{program} {problem}"))?;
    if !ended.success() {
        return Err(format!("{program} failed: {ended}"));
    }
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        bytes.truncate(end + 1);
    }
    Ok(bytes)
}

fn id(child: &Child) -> Result<Pid, String> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| "has no process id".to_owned())
}

/// Reads until the program has ended, and not only its output: a program that closes it may still fail, or stay.
fn watch(child: &mut Child, within: Duration) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + within;
    let id = id(child)?;
    let Some(output) = child.stdout.as_mut() else { return Err("has no output".into()) };
    let mut bytes = Vec::new();
    let mut open = true;
    loop {
        let ended = has_ended(id)?;
        let patience = if ended { Duration::ZERO } else { LOOK };
        if open && is_readable(output, patience)? {
            let mut buffer = [0; 512];
            let count = output.read(&mut buffer).map_err(|error| format!("cannot be read from: {error}"))?;
            bytes.extend_from_slice(&buffer[..count]);
            open = count > 0;
            if bytes.len() as u64 > LONGEST {
                return Err(format!("prints more than a password ({LONGEST} bytes)"));
            }
            continue;
        }
        if ended {
            return Ok(bytes);
        }
        if Instant::now() >= deadline {
            return Err(format!("has not ended within {within:?}"));
        }
        if !open {
            std::thread::sleep(LOOK);
        }
    }
}

/// Without reaping it.
fn has_ended(id: Pid) -> Result<bool, String> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(id), options) {
            Ok(status) => return Ok(status.is_some()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

fn is_readable(output: &std::process::ChildStdout, patience: Duration) -> Result<bool, String> {
    let timeout = Timespec::try_from(patience).map_err(|error| error.to_string())?;
    match poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(format!("cannot be read from: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(command: &str, within: Duration) -> String {
        match run_within(command, within) {
            Err(Problem::Outside(message)) => message,
            other => panic!("{command}: {other:?}"),
        }
    }

    const PLENTY: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_gives_its_first_line() {
        for (command, expected) in [
            ("/bin/echo secret", "secret"),
            ("/usr/bin/printf 'a b\\nrest'", "a b"),
            ("/usr/bin/printf \"%s\" 'it is'", "it is"),
            ("/bin/sh -c 'echo first; sleep 0.1; echo second'", "first"),
        ] {
            assert_eq!(run(command).unwrap().password.reveal(), expected, "{command}");
        }
    }

    #[test]
    fn a_program_that_fails_gives_none_whatever_it_printed() {
        for (command, expected) in [
            ("/no/such/program", "/no cannot be run: No such file"),
            ("/bin/false", "/bin/false failed: exit status: 1"),
            ("/bin/sh -c 'echo x; exit 3'", "failed: exit status: 3"),
            ("/bin/sh -c 'echo x; kill -9 $$'", "failed: signal: 9"),
            ("/bin/sh -c 'echo x; exec >&-; sleep 0.1; exit 4'", "failed: exit status: 4"),
            ("/bin/true", "the output of /bin/true is empty"),
            ("/usr/bin/yes yes", "prints more than a password"),
        ] {
            let message = refused(command, PLENTY);
            assert!(message.contains(expected), "{command}: {message}");
        }
    }

    #[test]
    fn a_program_that_stays_is_stopped_also_when_it_has_printed_and_closed_its_output() {
        let began = Instant::now();
        for command in [
            "/bin/sleep 600",
            "/bin/sh -c 'echo x; exec sleep 600'",
            "/bin/sh -c 'echo x; exec >&-; exec sleep 600'",
            "/bin/sh -c 'trap \"\" TERM; echo x; sleep 600'",
        ] {
            let message = refused(command, Duration::from_millis(200));
            assert!(message.contains("has not ended within 200ms"), "{command}: {message}");
        }
        assert!(began.elapsed() < Duration::from_secs(60), "they sleep ten minutes each");
    }

    #[test]
    fn what_it_leaves_behind_ends_with_it() {
        for command in ["/bin/sh -c 'sleep 600 & echo $!'", "/bin/sh -c 'sleep 600 >&- & echo $!'"] {
            let found = run_within(command, PLENTY).unwrap();
            let pid = found.password.reveal().to_owned();
            let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Err(_) => true,
                // ended, and its new parent has yet to look
                Ok(stat) => stat.contains(") Z"),
            };
            let began = Instant::now();
            while !gone() {
                assert!(began.elapsed() < Duration::from_secs(20), "{command}: {pid} is still there");
                std::thread::sleep(LOOK);
            }
        }
    }
}
