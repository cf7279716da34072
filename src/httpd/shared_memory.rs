//! Memory that the parent and its children share: made before they are forked, by all of them seen as the same.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

/// So many numbers, zero at first. Given back when the value is dropped; a child keeps it to its end.
pub struct SharedMemory {
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: a slice of atomics, which any thread may use.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Anonymous memory: nothing on a disk, no name that another process could open.
    pub fn new(count: usize) -> io::Result<Self> {
        let bytes = count.max(1) * size_of::<AtomicU64>();
        // SAFETY: asks for new memory at an address of the kernel's choice; nothing else refers to it.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(address.cast()) {
            Some(words) if address != libc::MAP_FAILED => Ok(Self { words, count }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsRef<[AtomicU64]> for SharedMemory {
    fn as_ref(&self) -> &[AtomicU64] {
        // SAFETY: the memory is `count` words long, page-aligned, zeroed by the kernel (a valid number), mapped until
        // `drop`, and written only through atomics, by this process and by others.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and no reference outlives the value.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.count.max(1) * size_of::<AtomicU64>()) };
    }
}
