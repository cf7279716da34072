//! Texts by the thousand that nobody would write on purpose: no panic, and no password in a message.

use std::path::Path;

use super::parse;
use crate::database::Setting;

/// What has a meaning somewhere.
const SIGNS: &[&str] = &[
    "@", ":", "/", "?", "#", "%", "&", "=", " ", "'", "\\", ",", "[", "]", "$", "{", "+", "\"", ";", "é", "//", "://",
    "%4", "%40", "}",
];

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % sides
    }
}

#[test]
fn no_password_however_badly_written_gets_into_a_message() {
    let mut dice = Dice(0x00D1_CE00_BEEF);
    let (mut refused, mut read_back) = (0, 0);
    for _ in 0..20_000 {
        // Words in it, which no message of ours has, between signs that have a meaning somewhere.
        let mut password = String::new();
        for _ in 0..=dice.roll(3) {
            password.push_str(["Qxj", "Zvkq", "Wjqx9", "7Xkz"][dice.roll(4)]);
            password.push_str(SIGNS[dice.roll(SIGNS.len())]);
        }
        password.push_str("Hqzx");
        let text = match dice.roll(6) {
            0 => format!("postgresql://app:{password}@db.example.com/app"),
            1 => format!("postgresql+psycopg2://app:{password}@db.example.com:5432/app?sslmode=require"),
            2 => format!("host=db.example.com password={password} user=app"),
            3 => format!("host=db.example.com user=app password='{password}' dbname=app"),
            4 => format!("postgresql://app@db.example.com/app?password={password}&sslmode=require"),
            // Without a host, and with a "?" and a "=", nobody can tell a password's rest from a parameter.
            _ => format!("postgresql://app:{}/app", password.replace('?', "")),
        };
        match parse(&text, &setting()) {
            Ok(settings) => {
                if settings.password.is_some_and(|found| found.reveal() == password) {
                    read_back += 1;
                }
            }
            Err(error) => {
                refused += 1;
                let message = error.to_string();
                for word in ["Qxj", "Zvkq", "Wjqx9", "7Xkz", "Hqzx"] {
                    assert!(!message.contains(word), "{text}\n  says {message}");
                }
            }
        }
    }
    assert!(refused > 2_000 && read_back > 2_000, "{refused} refused, {read_back} read");
}

fn setting() -> Setting<'static> {
    Setting { state_dir: Path::new("/state"), password: None }
}

#[test]
fn no_text_makes_a_reader_panic_and_every_message_is_one_line() {
    const WORDS: &[&str] = &[
        "postgresql",
        "sqlite:",
        "host",
        "password",
        "port",
        "5432",
        "::1",
        "sslmode",
        "\0",
        "\r\n",
        "日本",
        "\u{85}",
    ];
    let mut dice = Dice(0xBAD_5EED);
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..dice.roll(12) {
            text.push_str(SIGNS[dice.roll(SIGNS.len())]);
            text.push_str(WORDS[dice.roll(WORDS.len())]);
        }
        let both = [parse(&text, &setting()).map(drop), crate::database::parse(&text, &setting()).map(drop)];
        for error in both.into_iter().filter_map(Result::err) {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains(char::is_control), "{text:?}: {message:?}");
        }
    }
}
