//! What the command line names: the one Location that `DBTestOnly` restricts it to, and the words after `-D`.

use crate::database::text::nearest;

/// What this module looks for after `-D`.
pub const DEFINES: [&str; 7] =
    ["DUMP_DBTEST", "DBTEST_CHECK", "DBTEST_INIT", "DBTEST_RESET", "DBTEST_YES", "DBTEST_JSON", "DBTEST_NAGIOS"];

/// Which of the places, each a server ("name:port", empty for the main one) and a Location, are meant. All of them
/// without a name; it is an error if there are none.
pub fn choose(places: &[(&str, &str)], only: Option<&str>) -> Result<Vec<usize>, String> {
    let name = |(server, location): &(&str, &str)| match (*server, *location) {
        ("", "") => "/".to_owned(),
        (server, location) => format!("{server}{location}"),
    };
    if places.is_empty() {
        return Err("no place of this server has SetHandler dbtest: there is nothing to do".into());
    }
    let Some(only) = only else { return Ok((0..places.len()).collect()) };
    let bare = only.trim_end_matches('/');
    let is_meant = |place: &(&str, &str)| place.1 == bare || name(place).trim_end_matches('/') == bare;
    let chosen: Vec<usize> = (0..places.len()).filter(|index| is_meant(&places[*index])).collect();
    if chosen.is_empty() {
        let names: Vec<String> = places.iter().map(name).collect();
        return Err(format!(
            "DBTestOnly {only}: there is no such Location with SetHandler dbtest; there is {}",
            names.join(", ")
        ));
    }
    Ok(chosen)
}

/// Words after `-D` (or of a `Define`) that are nearly one of ours, each with that one. Then what was asked for is not
/// done, and "Syntax OK" would be taken for it.
pub fn misspelt(defines: &[String]) -> impl Iterator<Item = (&str, &'static str)> {
    defines.iter().map(String::as_str).filter_map(|word| {
        let (bare, _) = word.split_once('=').unwrap_or((word, ""));
        if DEFINES.contains(&word) {
            return None;
        }
        // by what stands beside DBTEST, so that a name of somebody's own, such as DBTEST_HOST, is far from all of ours
        let plain = |word: &str| word.to_ascii_uppercase().replace(['_', '-'], "");
        let (ours, whole) = (plain(bare).contains("DBT"), !plain(bare).contains("DBTEST"));
        let compared = |word: &str| if whole { plain(word) } else { plain(word).replacen("DBTEST", "", 1) };
        let near = |known: &&&str| nearest(&compared(bare), [compared(known).as_str()]).is_some();
        Some((word, *DEFINES.iter().filter(|_| ours).find(near)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_named_with_or_without_its_server() {
        let places = [("", "/dbtest"), ("", "/other"), ("example.com:80", "/dbtest"), ("", "")];
        for (only, expected) in [
            (None, Some(vec![0, 1, 2, 3])),
            (Some("/dbtest"), Some(vec![0, 2])),
            (Some("/dbtest/"), Some(vec![0, 2])),
            (Some("example.com:80/dbtest"), Some(vec![2])),
            (Some("/other"), Some(vec![1])),
            (Some("/"), Some(vec![3])),
            (Some("/dbt"), None),
        ] {
            assert_eq!(choose(&places, only).ok(), expected, "{only:?}");
        }
        assert!(
            choose(&places, Some("/x")).unwrap_err().contains("there is /dbtest, /other, example.com:80/dbtest, /")
        );
        assert!(choose(&[], None).unwrap_err().contains("nothing to do"));
    }

    #[test]
    fn a_word_that_is_nearly_one_of_ours_is_told_from_somebodys_own() {
        for (word, expected) in [
            ("DBTEST_CHECK", None),
            ("DBTEST_CHEKC", Some("DBTEST_CHECK")),
            ("DBTESTCHECK", Some("DBTEST_CHECK")),
            ("DBTest_Check", Some("DBTEST_CHECK")),
            ("DBTEST_RESET=/dbtest", Some("DBTEST_RESET")),
            ("DUMP_DBTST", Some("DUMP_DBTEST")),
            ("DBTEST_NAGOIS", Some("DBTEST_NAGIOS")),
            ("DBTEST_PASSWORD", None),
            ("DUMP_VHOSTS", None),
            ("ROOT", None),
            ("SSL", None),
        ] {
            let words = [word.to_owned()];
            assert_eq!(misspelt(&words).next().map(|(_, known)| known), expected, "{word}");
        }
    }
}
