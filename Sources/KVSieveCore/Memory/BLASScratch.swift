// The memory that BLAS packs its matrices in: a buffer made for the largest of them, of which it fills a few MiB.

import CSupport

/// Addresses, reserved once. A page becomes memory when it is first written to; MemoryAccount counts none of them.
final class BLASScratch: @unchecked Sendable {
    private var start: UnsafeMutableRawPointer?
    private var bytes = 0

    deinit { if let start { support_release_addresses(start, bytes) } }

    /// `count` bytes, page-aligned; always as many as the first time.
    @discardableResult
    func reserve(_ count: Int) throws(KVSieveError) -> UnsafeMutableRawPointer {
        if let start { return start }
        guard let fresh = support_reserve_addresses(count) else {
            throw KVSieveError(.memory, "out of memory: \(count) bytes of address space were asked for")
        }
        (start, bytes) = (fresh, count)
        return fresh
    }

    /// Bytes that have been written to, page by page.
    var resident: Int { start.map { support_resident($0, bytes) } ?? 0 }
}
