//! A limit of the process, raised where it comes from: the unit, or limits.conf.

use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::report::{Fix, Then};

/// A higher limit: in the unit where httpd is a service, else on the running parent, whose children inherit it.
pub fn limit_fix(who: &Who, unit_name: &str, name: &str, value: &str) -> Fix {
    let unit_value = if value == "unlimited" { "infinity" } else { value };
    let text = match &who.unit {
        Some(unit) => format!(
            "mkdir -p /etc/systemd/system/{unit}.d\n\
             printf '[Service]\\n{unit_name}={unit_value}\\n' >> /etc/systemd/system/{unit}.d/dbtest.conf\n\
             systemctl daemon-reload"
        ),
        None => {
            let parent = &who.parent;
            format!("prlimit --pid {parent} --{name}={value}")
        }
    };
    path_fixes::shell(text, Then::Restart)
}
