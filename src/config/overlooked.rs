//! What no directive of ours can notice, since it is about those that are not there: a page in a section where it is not
//! looked for, settings without a page, a page that is written twice. Read from the configuration as it was written.
//! What cannot be judged by the text alone (a pattern, an expression) is left alone.

use super::checks::{Finding, Severity};
use super::ids;
use super::settings::Origin;
use crate::database::text::nearest;

/// A directive, or a section with what stands in it.
#[derive(Debug, Clone)]
pub struct Written {
    /// "SetHandler"; a section's with its bracket, "<Location".
    pub name: String,
    /// Without quotes and the bracket that closes a section's first line.
    pub argument: String,
    pub origin: Origin,
    pub inside: Vec<Written>,
}

/// What SetHandler may say.
const HANDLERS: [&str; 2] = ["dbtest", "dbtest-status"];

impl Written {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The path of a `<Location>`; None for a pattern or any other section.
    fn path(&self) -> Option<&str> {
        let literal = self.is("<Location") && !self.argument.starts_with('~');
        literal.then(|| self.argument.trim_end_matches('/'))
    }

    fn is_location(&self) -> bool {
        self.is("<Location") || self.is("<LocationMatch")
    }

    fn title(&self) -> String {
        format!("{} \"{}\">", self.name, self.argument)
    }

    fn handler(&self) -> Option<&Written> {
        self.inside.iter().find(|line| line.is("SetHandler"))
    }

    fn is_page(&self) -> bool {
        self.handler().is_some_and(|line| HANDLERS.contains(&line.argument.as_str()))
    }

    /// Its first directive of ours.
    fn ours(&self) -> Option<&Written> {
        let is_ours = |line: &&Written| line.name.to_ascii_lowercase().starts_with("dbtest");
        self.inside.iter().find(is_ours)
    }
}

/// All of it, in the order in which it was written.
pub fn look(configuration: &[Written]) -> Vec<Finding> {
    let mut findings = Vec::new();
    handlers(configuration, None, &mut findings);
    servers(configuration, |scope, outer| {
        let known: Vec<&Written> = scope.iter().chain(outer).filter(|line| line.is_location()).collect();
        for section in scope.iter().filter(|line| line.is_location()) {
            findings.extend(without_page(section, &known));
        }
        findings.extend(twice(scope));
    });
    findings
}

/// The main server's lines, and those of each virtual host with the main server's.
fn servers<'w>(configuration: &'w [Written], mut each: impl FnMut(&'w [Written], &'w [Written])) {
    each(configuration, &[]);
    for host in configuration.iter().filter(|line| line.is("<VirtualHost")) {
        each(&host.inside, configuration);
    }
}

fn warning(id: &'static str, message: String, at: &Written) -> Finding {
    Finding { id, severity: Severity::Warning, message, origin: Some(at.origin.clone()) }
}

/// Every SetHandler: one of ours that stands where a page is not looked for, and one that is nearly ours.
fn handlers(lines: &[Written], around: Option<&Written>, findings: &mut Vec<Finding>) {
    for line in lines {
        let inner = if line.is("<VirtualHost") { around } else { Some(line) };
        handlers(&line.inside, inner, findings);
        if !line.is("SetHandler") {
            continue;
        }
        let name = line.argument.as_str();
        if HANDLERS.contains(&name) {
            if let Some(section) = around.filter(|section| !section.is_location()) {
                let message = format!(
                    "SetHandler {name} in {}: a database belongs to a URL: write it in a <Location>. Here no DBTest \
                     directive is allowed, and neither configtest nor DBTEST_CHECK sees the page",
                    section.title()
                );
                findings.push(warning(ids::WRONG_SECTION, message, line));
            }
        } else if let Some(meant) = nearest(name, HANDLERS).filter(|_| name.to_ascii_lowercase().starts_with("db")) {
            let message = format!("SetHandler {name}: there is no such handler of this module: did you mean {meant}?");
            findings.push(warning(ids::NO_HANDLER, message, line));
        }
    }
}

/// Settings of a Location that neither is a page, nor holds one, nor is held by one.
fn without_page(section: &Written, known: &[&Written]) -> Option<Finding> {
    let first = section.ours()?;
    let holds = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let concerns = |page: &&&Written| match (section.path(), page.path()) {
        (Some(one), Some(other)) => holds(one, other) || holds(other, one),
        // what a pattern matches, only a request tells
        _ => true,
    };
    if known.iter().filter(|page| page.is_page()).any(|page| concerns(&page)) {
        return None;
    }
    let message =
        format!("{}: {} has no effect, for there is no SetHandler dbtest for it", section.title(), first.name);
    Some(warning(ids::NO_HANDLER, message, first))
}

/// Two sections of one server for one path, where both say something about the page.
fn twice(scope: &[Written]) -> Vec<Finding> {
    let says = |section: &&Written| section.path().is_some() && (section.is_page() || section.ours().is_some());
    let sections: Vec<&Written> = scope.iter().filter(says).collect();
    let mut findings = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        if let Some(earlier) = sections[..index].iter().find(|earlier| earlier.path() == section.path()) {
            let message = format!(
                "{} is written twice, first at {}: of a directive that stands in both, this one holds",
                section.title(),
                earlier.origin
            );
            findings.push(warning(ids::TWICE, message, section));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration from its text, as httpd's tree has it.
    fn parse(text: &str) -> Vec<Written> {
        let mut open: Vec<Vec<Written>> = vec![Vec::new()];
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.starts_with("</") {
                let inside = open.pop().unwrap();
                open.last_mut().unwrap().last_mut().unwrap().inside = inside;
                continue;
            }
            let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
            let argument = argument.trim_end_matches('>').trim_matches('"').to_owned();
            let origin = Origin { file: "httpd.conf".into(), line };
            open.last_mut().unwrap().push(Written { name: name.into(), argument, origin, inside: Vec::new() });
            if text.starts_with('<') {
                open.push(Vec::new());
            }
        }
        open.pop().unwrap()
    }

    fn said(text: &str) -> Vec<String> {
        look(&parse(text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        for text in [
            "<Location \"/dbtest\">\nSetHandler dbtest\nDBTestTable t\n</Location>",
            "<LocationMatch \"^/a\">\nSetHandler dbtest\n</LocationMatch>",
            "SetHandler dbtest",
            "DBTestTable t\n<Location /a>\nSetHandler dbtest\n</Location>\n<Location /b>\nSetHandler dbtest\n</Location>",
            // inherited both ways
            "<Location />\nDBTestTable t\n</Location>\n<Location /a>\nSetHandler dbtest\n</Location>",
            "<Location /a>\nSetHandler dbtest\n</Location>\n<Location /a/b>\nDBTestTable t\n</Location>",
            "<Location /a>\nSetHandler dbtest\n</Location>\n<VirtualHost *>\n<Location /a>\nDBTestTable t\n</Location>\n</VirtualHost>",
            // nobody knows what it matches
            "<LocationMatch x>\nSetHandler dbtest\n</LocationMatch>\n<Location /a>\nDBTestTable t\n</Location>",
            // who may come is often written elsewhere
            "<Location /a>\nSetHandler dbtest\n</Location>\n<Location /a>\nRequire local\n</Location>",
            "<Directory /x>\nSetHandler server-status\n</Directory>",
            "<Location /d>\nSetHandler debug\n</Location>",
        ] {
            assert_eq!(said(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_would_pass_unnoticed_is_told_with_its_line() {
        for (text, expected) in [
            (
                "<Directory \"/srv/x\">\nSetHandler dbtest\n</Directory>",
                "DBT0184 SetHandler dbtest in <Directory \"/srv/x\">: a database belongs to a URL",
            ),
            (
                "<Location /a>\n<If \"true\">\nSetHandler dbtest\n</If>\n</Location>",
                "DBT0184 SetHandler dbtest in <If \"true\">",
            ),
            ("<Location /a>\nSetHandler dbtets\n</Location>", "DBT0185 SetHandler dbtets: there is no such handler"),
            ("<Location /a>\nSetHandler DBTest\n</Location>", "did you mean dbtest?"),
            ("<Location /a>\nSetHandler dbtest_status\n</Location>", "did you mean dbtest-status?"),
            (
                "<Location /a>\nDBTestTable t\n</Location>",
                "DBT0185 <Location \"/a\">: DBTestTable has no effect, for there is no SetHandler dbtest for it (httpd.conf:2)",
            ),
            (
                "<Location /ab>\nSetHandler dbtest\n</Location>\n<Location /a>\nDBTestTable t\n</Location>",
                "(httpd.conf:5)",
            ),
            (
                "<VirtualHost a>\n<Location /a>\nSetHandler dbtest\n</Location>\n</VirtualHost>\n<VirtualHost b>\n<Location /a>\nDBTestTable t\n</Location>\n</VirtualHost>",
                "(httpd.conf:8)",
            ),
            (
                "<Location /a>\nSetHandler dbtest\n</Location>\n<Location /a/>\nSetHandler dbtest\nDBTestTable t\n</Location>",
                "DBT0186 <Location \"/a/\"> is written twice, first at httpd.conf:1: of a directive that stands in both, this one holds (httpd.conf:4)",
            ),
        ] {
            let found = said(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains(expected), "{text}: {found:?}");
        }
    }
}
