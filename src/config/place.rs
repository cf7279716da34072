//! In which section of the configuration a directive stands, and whether ours may stand there.

/// The innermost section that is not merely a condition for reading the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Server config, or a `<VirtualHost>`.
    Server,
    /// `<Location>` or `<LocationMatch>`, as it was written.
    Location(String),
    /// Any other: its name with brackets, e.g. `<Directory>`.
    Other(String),
}

impl Place {
    /// The place in these sections, innermost first, each as httpd's tree has it (`<Location`, `<VirtualHost`).
    pub fn within<'s>(sections: impl IntoIterator<Item = &'s str>) -> Self {
        // <IfModule> and its like are not in the tree: httpd reads past them.
        match sections.into_iter().next() {
            None => Place::Server,
            Some(name) => {
                let bare = name.trim_start_matches('<').trim_end_matches('>');
                match bare.to_ascii_lowercase().as_str() {
                    "virtualhost" => Place::Server,
                    "location" | "locationmatch" => Place::Location(format!("<{bare}>")),
                    _ => Place::Other(format!("<{bare}>")),
                }
            }
        }
    }

    /// An error, in httpd's words, where a directive of ours has no business: a database belongs to a URL.
    pub fn check(&self, directive: &str) -> Result<(), String> {
        match self {
            Place::Server | Place::Location(_) => Ok(()),
            Place::Other(section) => {
                Err(format!("{directive} not allowed in {section} context; it belongs in <Location>"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn the_innermost_section_decides() {
        for (sections, allowed) in [
            (&[][..], true),
            (&["<VirtualHost"], true),
            (&["<Location", "<VirtualHost"], true),
            (&["<LocationMatch"], true),
            (&["<If", "<Location"], false),
            (&["<Directory", "<VirtualHost"], false),
            (&["<Files"], false),
            (&["<Proxy"], false),
        ] {
            let place = Place::within(sections.iter().copied());
            assert_eq!(place.check("DBTestTable").is_ok(), allowed, "{sections:?}");
        }
        let message = Place::within(["<Directory"]).check("DBTestTable").unwrap_err();
        assert_eq!(message, "DBTestTable not allowed in <Directory> context; it belongs in <Location>");
    }
}
