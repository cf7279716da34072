//! POSIX access control lists as the kernel stores them (acl(5); xattr system.posix_acl_access): who gets
//! what once the mask is applied.

use std::fmt;

use crate::diagnosis::host::process::Who;

/// linux/posix_acl_xattr.h
const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// One list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    bits: u32,
    id: u32,
}

impl Acl {
    /// Reads the attribute's bytes; `None` if they are of another version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION || rest.len() % 8 != 0 {
            return None;
        }
        let entries = rest
            .chunks_exact(8)
            .map(|entry| Entry {
                tag: u16::from_le_bytes([entry[0], entry[1]]),
                bits: u32::from(u16::from_le_bytes([entry[2], entry[3]])),
                id: u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]),
            })
            .collect();
        Some(Self { entries })
    }

    /// Whether it lets `who` (who does not own the file) do `bits` on a file of group `gid`.
    pub fn allows(&self, bits: u32, gid: u32, who: &Who) -> bool {
        let mask = self.bits(MASK).unwrap_or(7);
        self.granted(gid, who).iter().any(|&(granted, masked)| {
            let effective = if masked { granted & mask } else { granted };
            effective & bits == bits
        })
    }

    /// Whether it would, were it not for its mask.
    pub fn only_mask_denies(&self, bits: u32, gid: u32, who: &Who) -> bool {
        !self.allows(bits, gid, who) && self.granted(gid, who).iter().any(|&(granted, _)| granted & bits == bits)
    }

    /// The rights that the entry of one user names, without the mask.
    pub fn of_user(&self, uid: u32) -> u32 {
        self.entries.iter().find(|entry| entry.tag == USER && entry.id == uid).map_or(0, |entry| entry.bits)
    }

    /// The rights of the entries that count for `who`, and whether the mask applies to them.
    fn granted(&self, gid: u32, who: &Who) -> Vec<(u32, bool)> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.tag == USER && entry.id == who.uid) {
            return vec![(entry.bits, true)];
        }
        let groups: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| match entry.tag {
                GROUP_OBJ => who.is_in_group(gid),
                GROUP => who.is_in_group(entry.id),
                _ => false,
            })
            .map(|entry| (entry.bits, true))
            .collect();
        if groups.is_empty() { self.bits(OTHER).map(|bits| vec![(bits, false)]).unwrap_or_default() } else { groups }
    }

    fn bits(&self, tag: u16) -> Option<u32> {
        self.entries.iter().find(|entry| entry.tag == tag).map(|entry| entry.bits)
    }
}

impl fmt::Display for Acl {
    /// As getfacl(1) writes it, with numbers for names: "user::rw- user:33:rw- mask::r-- …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries.iter().enumerate() {
            let (name, id) = match entry.tag {
                USER_OBJ => ("user", String::new()),
                USER => ("user", entry.id.to_string()),
                GROUP_OBJ => ("group", String::new()),
                GROUP => ("group", entry.id.to_string()),
                MASK => ("mask", String::new()),
                _ => ("other", String::new()),
            };
            let bit = |bit, letter| if entry.bits & bit != 0 { letter } else { '-' };
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{name}:{id}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(bits.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        Acl::parse(&bytes).unwrap()
    }

    fn www_data() -> Who {
        Who { uid: 33, groups: vec![(33, "www-data".into())], ..Who::default() }
    }

    #[test]
    fn the_mask_limits_a_named_user() {
        let list = acl(&[(USER_OBJ, 6, 0), (USER, 6, 33), (GROUP_OBJ, 4, 0), (MASK, 4, 0), (OTHER, 4, 0)]);
        assert!(list.allows(4, 0, &www_data()));
        assert!(!list.allows(2, 0, &www_data()));
        assert!(list.only_mask_denies(2, 0, &www_data()));
        assert_eq!(list.to_string(), "user::rw- user:33:rw- group::r-- mask::r-- other::r--");
    }

    #[test]
    fn a_group_that_matches_shuts_out_the_others() {
        let list = acl(&[(USER_OBJ, 6, 0), (GROUP_OBJ, 0, 0), (GROUP, 4, 33), (MASK, 6, 0), (OTHER, 7, 0)]);
        assert!(list.allows(4, 0, &www_data()));
        assert!(!list.allows(2, 0, &www_data()));
        assert!(!list.only_mask_denies(2, 0, &www_data()));
    }

    #[test]
    fn others_are_not_masked() {
        let list = acl(&[(USER_OBJ, 6, 0), (GROUP_OBJ, 0, 0), (MASK, 0, 0), (OTHER, 6, 0)]);
        assert!(list.allows(6, 0, &www_data()));
    }

    #[test]
    fn another_version_is_no_list() {
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), None);
        assert_eq!(Acl::parse(&[]), None);
    }
}
