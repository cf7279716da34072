//! Where one message ends and the next begins.

/// Follows the messages that the driver was given, without reading them: is it done with everything?
#[derive(Debug, Default)]
pub struct Framing {
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the message's body that are still to come.
    left: usize,
    /// A message was longer than is taken.
    too_long: bool,
    /// The last answer ended with ReadyForQuery, and nothing was asked since.
    ready: bool,
}

/// The longest message that is taken: more than any text that a page can show, and little enough that a wrong length
/// (of up to 4 GiB) does not cost the child's memory.
pub const MOST_MESSAGE: usize = 64 << 20;

/// Tag and length.
const HEADER: usize = 5;

impl Framing {
    /// The next bytes from the server.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = &bytes[count..];
                continue;
            }
            let count = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + count].copy_from_slice(&bytes[..count]);
            self.have += count;
            bytes = &bytes[count..];
            if self.have == HEADER {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [tag, length @ ..] = self.header;
        self.have = 0;
        // the length counts itself
        self.left = (u32::from_be_bytes(length) as usize).saturating_sub(4);
        self.too_long |= self.left > MOST_MESSAGE;
        match tag {
            b'Z' => self.ready = true,
            // notice, parameter and notification come at any time
            b'N' | b'S' | b'A' => {}
            _ => self.ready = false,
        }
    }

    /// Whether a message is longer than is taken.
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Something was sent, which will be answered.
    pub fn asked(&mut self) {
        self.ready = false;
    }

    /// Nothing is owed, and no message is half delivered.
    pub fn is_settled(&self) -> bool {
        self.ready && self.have == 0 && self.left == 0
    }
}

/// A message: its tag, its body and its length in all.
pub type Message<'a> = (u8, &'a [u8], usize);

/// Why there is no message.
#[derive(Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// Its length is shorter than the length's own field.
    Short,
    /// It is longer than is taken: so many bytes.
    Long(usize),
}

/// The first message in `bytes`, if it is whole.
pub fn message(bytes: &[u8]) -> Result<Option<Message<'_>>, NoMessage> {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let [tag, length @ ..] = *header;
    let end = 1 + u32::from_be_bytes(length) as usize;
    if end < HEADER {
        return Err(NoMessage::Short);
    }
    if end > MOST_MESSAGE {
        return Err(NoMessage::Long(end));
    }
    Ok(bytes.get(HEADER..end).map(|body| (tag, body, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_settled_at_the_end_of_an_answer_and_between_messages_only() {
        let answer = b"T\0\0\0\x06xxZ\0\0\0\x05I";
        for split in 0..answer.len() {
            let mut framing = Framing::default();
            framing.asked();
            framing.feed(&answer[..split]);
            assert!(!framing.is_settled(), "after {split}");
            framing.feed(&answer[split..]);
            assert!(framing.is_settled());
            framing.feed(b"S\0\0\0\x06");
            assert!(!framing.is_settled(), "half a parameter");
            framing.feed(b"a\0");
            assert!(framing.is_settled());
            framing.asked();
            assert!(!framing.is_settled());
        }
    }

    #[test]
    fn a_message_is_taken_whole_or_not_at_all() {
        let bytes = b"C\0\0\0\x07abcZ";
        assert_eq!(message(&bytes[..7]), Ok(None));
        assert_eq!(message(bytes), Ok(Some((b'C', &b"abc"[..], 8))));
        assert_eq!(message(b"C\0\0\0\x03abc"), Err(NoMessage::Short));
        assert_eq!(message(b"C\x7f\xff\xff\xffabc"), Err(NoMessage::Long(1 << 31)));
    }
}
