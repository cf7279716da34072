//! The simple commands of a shell text, each with its words: as much of the shell's grammar as printed fixes use.

/// One command: its words without quotes, without what is redirected.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Simple {
    pub words: Vec<String>,
    /// Its output goes into a file.
    pub writes: bool,
}

/// All of them, those in `$(…)` and in backquotes too.
pub fn commands(text: &str) -> Vec<Simple> {
    let mut reader = Reader { text: text.chars().collect(), ..Reader::default() };
    reader.read();
    reader.found
}

#[derive(Default)]
struct Reader {
    text: Vec<char>,
    at: usize,
    /// The word that is being read; a quoted one may be empty.
    word: Option<String>,
    command: Simple,
    /// What comes next is where a redirection leads.
    target: Option<Redirection>,
    found: Vec<Simple>,
}

#[derive(Clone, Copy, PartialEq)]
enum Redirection {
    In,
    Out,
}

impl Reader {
    fn read(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    let next = self.next();
                    self.word.get_or_insert_default().extend(next);
                }
                '\'' => {
                    let inside = self.until('\'');
                    self.word.get_or_insert_default().push_str(&inside);
                }
                '"' => self.double_quoted(),
                '`' => {
                    let inside = self.until('`');
                    self.found.extend(commands(&inside));
                    self.word.get_or_insert_default().push('_');
                }
                '$' if self.peek() == Some('(') => self.substituted(),
                '#' if self.word.is_none() => {
                    self.until('\n');
                    self.end_command();
                }
                '<' | '>' => self.redirected(c),
                '&' if self.peek() == Some('>') => {}
                '\n' | ';' | '|' | '&' | '(' | ')' => self.end_command(),
                c if c.is_whitespace() => self.end_word(),
                c => self.word.get_or_insert_default().push(c),
            }
        }
        self.end_command();
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += 1;
        c
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    /// What stands before the next `end`, which is taken as well.
    fn until(&mut self, end: char) -> String {
        let mut inside = String::new();
        while let Some(c) = self.next().filter(|c| *c != end) {
            inside.push(c);
        }
        inside
    }

    fn double_quoted(&mut self) {
        self.word.get_or_insert_default();
        while let Some(c) = self.next().filter(|c| *c != '"') {
            match c {
                '\\' => {
                    let next = self.next();
                    self.word.get_or_insert_default().extend(next);
                }
                '$' if self.peek() == Some('(') => self.substituted(),
                c => self.word.get_or_insert_default().push(c),
            }
        }
    }

    /// `$(…)` up to its own closing one.
    fn substituted(&mut self) {
        self.next();
        let (mut depth, mut quote, mut inside) = (1, None, String::new());
        while let Some(c) = self.next() {
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('(', None) => depth += 1,
                (')', None) => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        // sums are no commands
        if !inside.starts_with('(') {
            self.found.extend(commands(&inside));
        }
        self.word.get_or_insert_default().push('_');
    }

    fn redirected(&mut self, c: char) {
        // the number of a descriptor belongs to it
        if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        while self.peek().is_some_and(|c| "<>&|".contains(c)) {
            self.next();
        }
        self.target = Some(if c == '>' { Redirection::Out } else { Redirection::In });
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.target.take() {
            None => self.command.words.push(word),
            // another descriptor, or nowhere
            Some(to) => {
                let nowhere = word == "/dev/null" || word.chars().all(|c| c.is_ascii_digit() || c == '-');
                self.command.writes |= to == Redirection::Out && !nowhere;
            }
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.target = None;
        let command = std::mem::take(&mut self.command);
        if !command.words.is_empty() || command.writes {
            self.found.push(command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_the_shell_reads_it() {
        let words = |text: &str| -> Vec<String> {
            commands(text).into_iter().map(|one| one.words.join(" ") + if one.writes { " >" } else { "" }).collect()
        };
        assert_eq!(words("a 'b; c' && d \"e $(f g)\" | h 2>/dev/null"), ["a b; c", "f g", "d e _", "h"]);
        assert_eq!(words("kill -HUP 1\nkill 2 # kill 3\n{ x; }"), ["kill -HUP 1", "kill 2", "{ x", "}"]);
        assert_eq!(words("printf '%s\\n' a >> /etc/x; cat <y >/dev/null 2>&1"), ["printf %s\\n a >", "cat"]);
        assert_eq!(words("p=$(head -1 \"/a b\") && kill `cat p`"), ["head -1 /a b", "p=_", "cat p", "kill _"]);
    }
}
