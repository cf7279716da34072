//! The module's own record, declared as C would declare it ahead: what finds its settings by it need not know the
//! hooks and directives that it points to (`module`).

use super::bindings::module;

// SAFETY: defined in `module`, of this type and under this name.
unsafe extern "C" {
    pub(super) static mut dbtest_module: module;
}
