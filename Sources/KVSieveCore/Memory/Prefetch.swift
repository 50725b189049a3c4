// Memory that is asked for before it is needed: what follows no pattern, the processor cannot foresee.

import CSupport

/// Asks for the lines of `bytes` bytes. Never faults, wherever they are.
func prefetchLines(_ start: UnsafeRawPointer, bytes: Int) {
    for offset in stride(from: 0, to: bytes, by: 64) { support_prefetch(start + offset) }
}
