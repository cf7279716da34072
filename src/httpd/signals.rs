//! Threads of our own in httpd's children.

/// Runs `work` with all signals blocked in this thread; threads that it starts inherit that, and so never run httpd's
/// handlers, some of which end the child from whatever thread they are called in.
pub fn without_signals(work: &mut dyn FnMut()) {
    // SAFETY: both sets are local and initialised before they are read; the mask concerns this thread alone, and is put
    // back before we return. `work` does not unwind across C: it only starts a thread.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        work();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
    }
}
