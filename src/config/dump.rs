//! The text of `httpd -t -D DUMP_DBTEST`: what holds in each place, and where each value was written. No secrets.

use std::fmt::Write as _;
use std::time::Duration;

use super::checks::PlaceView;
use super::detail::Detail;
use super::resolve::{Environment, default};
use super::settings::Set;
use crate::database::Table;

/// One line: a directive, its value, and where it comes from.
struct Row {
    name: &'static str,
    value: String,
    from: String,
}

/// All the places, one after the other.
pub fn text(places: &[PlaceView]) -> String {
    let environment = Environment::of_this_build();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("PG")).collect();
    names.sort();
    text_with(places, &environment, &names)
}

fn text_with(places: &[PlaceView], environment: &Environment, variables: &[String]) -> String {
    let mut text = format!("mod_dbtest {} configuration:\n", env!("CARGO_PKG_VERSION"));
    if places.is_empty() {
        text.push_str("no place has SetHandler dbtest\n");
    }
    for place in places {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{}", place.name());
        let rows = rows(place, environment);
        let width = rows.iter().map(|row| row.value.chars().count()).max().unwrap_or(0).min(60);
        for Row { name, value, from } in rows {
            let _ = writeln!(text, "    {name:<21} {value:<width$}  {from}");
        }
        if let Err(error) = place.resolved {
            let _ = writeln!(text, "    error: {error}");
        }
    }
    let postgresql = |place: &PlaceView| place.resolved.is_ok_and(|resolved| resolved.target.kind() == "postgresql");
    if !variables.is_empty() && places.iter().any(postgresql) {
        let _ = writeln!(
            text,
            "note: {} in the environment: psql takes such variables, this module does not",
            variables.join(", ")
        );
    }
    text
}

fn rows(place: &PlaceView, environment: &Environment) -> Vec<Row> {
    let settings = place.settings;
    let database = match place.resolved {
        Ok(resolved) => resolved.target.masked(),
        Err(_) => "(see the error below)".into(),
    };
    let mut rows = vec![Row {
        name: "DBTestDatabase",
        value: database,
        from: settings.database.as_ref().map_or("default".into(), |set| set.origin().to_string()),
    }];
    if let Some(file) = &settings.password_file {
        rows.push(row("DBTestPasswordFile", Some(file), String::new(), Clone::clone));
    }
    let flag = |on: &bool| if *on { "On" } else { "Off" }.to_owned();
    let number = |number: &u32| number.to_string();
    rows.extend([
        row("DBTestTable", settings.table.as_ref(), Table::default(), Table::to_string),
        row("DBTestCreateTable", settings.create_table.as_ref(), false, flag),
        row("DBTestReadOnly", settings.read_only.as_ref(), false, flag),
        row("DBTestPageSize", settings.page_size.as_ref(), default::PAGE_SIZE, number),
        row("DBTestMaxBody", settings.max_body.as_ref(), default::MAX_BODY, size),
        row("DBTestDetail", settings.detail.as_ref(), Detail::default(), Detail::to_string),
        row("DBTestTimeout connect", settings.timeout_connect.as_ref(), default::CONNECT, time),
        row("DBTestTimeout query", settings.timeout_query.as_ref(), default::QUERY, time),
        row("DBTestTimeout wait", settings.timeout_wait.as_ref(), default::WAIT, time),
        row("DBTestConnections", settings.connections.as_ref(), default::CONNECTIONS, number),
        row("DBTestOrigin", settings.origins.as_ref(), Vec::new(), |origins| {
            if origins.is_empty() { "none".to_owned() } else { origins.join(" ") }
        }),
        row("DBTestStateDir", settings.state_dir.as_ref(), environment.default_state_dir.clone(), |dir| {
            dir.display().to_string()
        }),
    ]);
    rows
}

fn row<T>(name: &'static str, set: Option<&Set<T>>, default: T, show: impl Fn(&T) -> String) -> Row {
    match set {
        Some(set) => Row { name, value: show(set.value()), from: set.origin().to_string() },
        None => Row { name, value: show(&default), from: "default".into() },
    }
}

/// As the directive takes it.
fn time(time: &Duration) -> String {
    if time.subsec_millis() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}

fn size(bytes: &usize) -> String {
    if bytes.is_multiple_of(1024) { format!("{}K", bytes / 1024) } else { bytes.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{Line, read};

    #[test]
    fn every_value_with_its_place_and_no_secret() {
        let settings = read(&[
            Line("DBTestDatabase", &["postgresql://app:SECRET@db.example.com/app"]),
            Line("DBTestTimeout", &["query=1500ms"]),
            Line("DBTestMaxBody", &["1M"]),
        ]);
        let environment = Environment { default_state_dir: "/var/lib/dbtest".into() };
        let resolved = settings.resolve(&environment);
        let view = PlaceView {
            server: "example.com:80",
            location: "/dbtest",
            settings: &settings,
            resolved: resolved.as_ref(),
            open_to_everyone: false,
        };
        let text = text_with(&[view], &environment, &["PGPORT".into()]);
        let expected = format!("mod_dbtest {} configuration:\n", env!("CARGO_PKG_VERSION"))
            + "\
example.com:80/dbtest
    DBTestDatabase        postgresql://app:***@db.example.com/app  httpd.conf:1
    DBTestTable           stuff                                    default
    DBTestCreateTable     Off                                      default
    DBTestReadOnly        Off                                      default
    DBTestPageSize        20                                       default
    DBTestMaxBody         1024K                                    httpd.conf:3
    DBTestDetail          brief                                    default
    DBTestTimeout connect 3s                                       default
    DBTestTimeout query   1500ms                                   httpd.conf:2
    DBTestTimeout wait    1s                                       default
    DBTestConnections     1                                        default
    DBTestOrigin          none                                     default
    DBTestStateDir        /var/lib/dbtest                          default
note: PGPORT in the environment: psql takes such variables, this module does not
";
        assert_eq!(text, expected);
    }
}
