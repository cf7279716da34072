//! Reading the arguments of a directive. Messages are httpd's own where httpd has one (server/config.c,
//! invoke_cmd), since httpd leaves the counting to whoever declares TAKE_ARGV.

use std::time::Duration;

/// The only argument.
pub fn one<'a>(name: &str, help: &str, arguments: &[&'a str]) -> Result<&'a str, String> {
    match arguments {
        [argument] => Ok(argument),
        _ => Err(format!("{name} takes one argument, {help}")),
    }
}

/// `On` or `Off`, in any case.
pub fn flag(name: &str, arguments: &[&str]) -> Result<bool, String> {
    match arguments {
        [on] if on.eq_ignore_ascii_case("on") => Ok(true),
        [off] if off.eq_ignore_ascii_case("off") => Ok(false),
        _ => Err(format!("{name} must be On or Off")),
    }
}

/// A whole number within bounds.
pub fn number(name: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{name} must be a number from {least} to {most}, not \"{}\"", text.escape_debug())),
    }
}

/// A time: a number and `ms`, `s`, `min` or `h`; seconds without one, as with httpd's Timeout.
pub fn duration(name: &str, text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(3600);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit.to_ascii_lowercase().as_str() {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "min" | "mi" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let time = number
        .parse::<u64>()
        .ok()
        .zip(milliseconds)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .map(Duration::from_millis);
    match time {
        Some(time) if time <= LONGEST => Ok(time),
        Some(_) => Err(format!("{name} must be at most one hour, not \"{}\"", text.escape_debug())),
        None => Err(format!("{name} must be a time such as 500ms, 3s or 1min, not \"{}\"", text.escape_debug())),
    }
}

/// A size: bytes, or a number and `K` or `M` (of 1,024 each).
pub fn size(name: &str, text: &str, least: usize, most: usize) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => Some(1),
        "K" | "KB" => Some(1024),
        "M" | "MB" => Some(1024 * 1024),
        _ => None,
    };
    let size = number.parse::<usize>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    match size {
        Some(size) if (least..=most).contains(&size) => Ok(size),
        Some(_) => Err(format!("{name} must be from {least} to {}M bytes", most / (1024 * 1024))),
        None => Err(format!("{name} must be a size such as 65536, 64K or 1M, not \"{}\"", text.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, size};

    #[test]
    fn times() {
        for (text, expected) in
            [("500ms", 500), ("3s", 3000), ("3", 3000), ("2min", 120_000), ("1H", 3_600_000), ("0s", 0)]
        {
            assert_eq!(duration("X", text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "3 s", "3sec", "99999999999999999999s"] {
            assert!(duration("X", text).unwrap_err().starts_with("X must be a time such as"), "{text}");
        }
        for text in ["2h", "9999999999999999s"] {
            assert!(duration("X", text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [("1024", 1024), ("64K", 65536), ("64k", 65536), ("1M", 1_048_576), ("2048B", 2048)] {
            assert_eq!(size("X", text, 1024, 1 << 24), Ok(expected), "{text}");
        }
        for text in ["", "K", "-1", "1G", "64 K", "1.5M"] {
            assert!(size("X", text, 1024, 1 << 24).unwrap_err().starts_with("X must be a size such as"), "{text}");
        }
        for text in ["1023", "17M", "18446744073709551615K"] {
            assert!(size("X", text, 1024, 1 << 24).is_err(), "{text}");
        }
    }
}
