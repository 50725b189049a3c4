// Prefetches of memory that is read without a pattern, which the processor cannot foresee.

import CSupport

/// Prefetches the lines of `bytes` bytes. Never faults, whatever the address.
func prefetchLines(_ start: UnsafeRawPointer, bytes: Int) {
    for offset in stride(from: 0, to: bytes, by: 64) { support_prefetch(start + offset) }
}
