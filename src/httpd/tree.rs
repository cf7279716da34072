//! The configuration as it was written: httpd's tree of directives. It is asked what httpd keeps for itself: the name
//! in a SetHandler (an expression by then), and whether a `Require` restricts who may reach a place (mod_authz_core's).

use std::collections::HashSet;

use super::bindings::{self, ap_directive_t, server_rec};
use super::text::{holds, string};
use crate::config::Origin;
use crate::config::overlooked::Written;

/// The arguments of the directive at a place in a file.
pub(super) fn argument_at(file: &str, line: i64) -> Option<String> {
    // SAFETY: the tree stands as long as the configuration that is served.
    unsafe { find(bindings::ap_conftree, file, line) }
}

unsafe fn find(first: *const ap_directive_t, file: &str, line: i64) -> Option<String> {
    // SAFETY: as in argument_at; strings in it end in NUL.
    unsafe {
        siblings(first).find_map(|node| {
            if i64::from(node.line_num) == line && string(node.filename) == Some(file) && node.first_child.is_null() {
                Some(argument(node))
            } else {
                find(node.first_child, file, line)
            }
        })
    }
}

/// The configuration as it was written, for [`crate::config::overlooked`].
pub(super) fn written() -> Vec<Written> {
    // SAFETY: as in argument_at.
    unsafe { copy(bindings::ap_conftree) }
}

unsafe fn copy(first: *const ap_directive_t) -> Vec<Written> {
    // SAFETY: as in argument_at; strings in it end in NUL.
    unsafe {
        siblings(first)
            .map(|node| Written {
                name: string(node.directive).unwrap_or_default().to_owned(),
                argument: argument(node),
                origin: Origin {
                    file: string(node.filename).unwrap_or_default().to_owned(),
                    line: u32::try_from(node.line_num).unwrap_or(0),
                },
                inside: copy(node.first_child),
            })
            .collect()
    }
}

/// File and line of every SetHandler in the server's own configuration; an .htaccess is in no tree.
pub(super) fn set_handlers() -> HashSet<(String, i64)> {
    let mut found = HashSet::new();
    // SAFETY: as in argument_at.
    unsafe { gather_set_handlers(bindings::ap_conftree, &mut found) };
    found
}

unsafe fn gather_set_handlers(first: *const ap_directive_t, found: &mut HashSet<(String, i64)>) {
    // SAFETY: as in argument_at; strings in it end in NUL.
    unsafe {
        for node in siblings(first) {
            if name(node) == "sethandler"
                && let Some(file) = string(node.filename)
            {
                found.insert((file.to_owned(), node.line_num.into()));
            }
            gather_set_handlers(node.first_child, found);
        }
    }
}

/// The names of the sections around a directive, innermost first: "<Location", "<VirtualHost".
///
/// # Safety
/// `directive` is NULL or a node of httpd's tree, which stands as long as the names are used.
pub(super) unsafe fn enclosing<'a>(directive: *const ap_directive_t) -> impl Iterator<Item = &'a str> {
    // SAFETY: the caller's promise; a node's parent is NULL at the top.
    let mut next = unsafe { directive.as_ref() }.map_or(std::ptr::null(), |node| node.parent.cast_const());
    std::iter::from_fn(move || {
        // SAFETY: as above; a name ends in NUL.
        unsafe {
            let node = next.as_ref()?;
            next = node.parent;
            string(node.directive)
        }
    })
}

/// Whether everybody may reach `path` as far as `<Location>` sections say: the last of them that says anything decides,
/// as without AuthMerging. A restriction by `<Directory>`, `<If>` or another module is not seen.
///
/// # Safety
/// Called in a hook of the configuration phase, with a server of the configuration read now.
pub(super) unsafe fn is_open(server: &server_rec, path: &str) -> bool {
    let mut open = true;
    // SAFETY: the tree stands as long as its configuration; strings in it end in NUL.
    unsafe {
        let tree = siblings(bindings::ap_conftree);
        for node in tree {
            match name(node).as_str() {
                "<virtualhost" if is_definition_of(node, server) => {
                    siblings(node.first_child).for_each(|inner| judge(inner, path, &mut open));
                }
                _ => judge(node, path, &mut open),
            }
        }
    }
    open
}

/// Lets one top-level directive change the verdict.
unsafe fn judge(node: &ap_directive_t, path: &str, open: &mut bool) {
    // SAFETY: as in is_open.
    unsafe {
        // httpd lets Require stand in no server's config, only in sections
        if is_around(node, path)
            && let Some(verdict) = verdict_of(node)
        {
            *open = verdict;
        }
    }
}

/// Whether a directive is a section for this path. A pattern is held against a pattern: what it matches, only a request
/// tells.
unsafe fn is_around(node: &ap_directive_t, path: &str) -> bool {
    // SAFETY: as in is_open.
    let (name, argument) = unsafe { (name(node), argument(node)) };
    let pattern = argument.strip_prefix('~').map_or(argument.as_str(), |rest| rest.trim().trim_matches('"'));
    match name.as_str() {
        "<location" => holds(&argument, path) || pattern == path,
        "<locationmatch" => pattern == path,
        _ => false,
    }
}

/// Some(false) if something in the section restricts, Some(true) if it grants to all, None if it says nothing.
unsafe fn verdict_of(section: &ap_directive_t) -> Option<bool> {
    let mut verdict = None;
    // SAFETY: as in is_open.
    unsafe {
        for node in siblings(section.first_child) {
            let inner = match restriction(node) {
                None => verdict_of(node),
                Some(restricts) => Some(!restricts),
            };
            match inner {
                Some(false) => return Some(false),
                Some(true) => verdict = Some(true),
                None => {}
            }
        }
    }
    verdict
}

/// Whether an access directive restricts; None for any other directive.
unsafe fn restriction(node: &ap_directive_t) -> Option<bool> {
    // SAFETY: as in is_open.
    let argument = unsafe { argument(node) }.to_ascii_lowercase();
    // SAFETY: as in is_open.
    match unsafe { name(node) }.as_str() {
        "require" => Some(argument != "all granted"),
        "deny" => Some(true),
        "allow" => Some(argument != "from all"),
        _ => None,
    }
}

unsafe fn is_definition_of(node: &ap_directive_t, server: &server_rec) -> bool {
    // SAFETY: as in is_open.
    unsafe {
        i64::from(node.line_num) == i64::from(server.defn_line_number)
            && string(node.filename) == string(server.defn_name)
    }
}

unsafe fn name(node: &ap_directive_t) -> String {
    // SAFETY: as in is_open.
    unsafe { string(node.directive) }.unwrap_or_default().to_ascii_lowercase()
}

/// The arguments without quotes and the bracket that ends a section's opening line.
unsafe fn argument(node: &ap_directive_t) -> String {
    // SAFETY: as in is_open.
    let text = unsafe { string(node.args) }.unwrap_or_default();
    text.trim().trim_end_matches('>').trim().trim_matches('"').to_owned()
}

unsafe fn siblings<'a>(first: *const ap_directive_t) -> impl Iterator<Item = &'a ap_directive_t> {
    let mut next = first;
    std::iter::from_fn(move || {
        // SAFETY: as in is_open: a list that ends in NULL.
        let node = unsafe { next.as_ref() }?;
        next = node.next;
        Some(node)
    })
}
