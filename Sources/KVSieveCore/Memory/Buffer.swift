// Memory that can be refused: every buffer that grows with T, H or L is allocated by malloc. Out of memory is then an error, and
// not the end of the process. A buffer keeps its memory, and is used again.

import CSupport

/// Counts what a plan holds, and refuses beyond a limit (tests set one).
public final class MemoryAccount: @unchecked Sendable {
    public var limit: Int
    /// Bytes held now, and the most ever held. Changed by the plan's calling thread only.
    public private(set) var held = 0
    public private(set) var highest = 0
    /// Calls of malloc so far.
    public private(set) var allocations = 0
    /// Bytes of the last call.
    public private(set) var wanted = 0

    public init(limit: Int = .max) { self.limit = limit }

    func take(_ bytes: Int) throws(KVSieveError) -> UnsafeMutableRawPointer {
        wanted = bytes
        let (sum, overflow) = held.addingReportingOverflow(bytes)
        guard !overflow, sum <= limit, let memory = support_allocate(bytes) else {
            throw KVSieveError(.memory, "out of memory: \(bytes) bytes were asked for, \(held) are held by this plan")
        }
        held = sum
        highest = max(highest, held)
        allocations += 1
        return memory
    }

    func give(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        support_free(memory)
        held -= bytes
    }
}

/// A run of trivial elements, 64-byte aligned. Contents are unspecified after reserve().
public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
    private let account: MemoryAccount
    private(set) var capacity = 0
    private var memory: UnsafeMutableRawPointer?

    init(_ account: MemoryAccount) { self.account = account }

    deinit { release() }

    /// Room for `count` elements; earlier contents may be lost. On failure the buffer is as it was.
    @discardableResult
    func reserve(_ count: Int) throws(KVSieveError) -> UnsafeMutablePointer<Element> {
        if let memory, count <= capacity { return memory.assumingMemoryBound(to: Element.self) }
        let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflow else {
            throw KVSieveError(.memory, "out of memory: \(count) elements were asked for")
        }
        let fresh = try account.take(bytes)
        release()
        memory = fresh
        capacity = max(count, 1)
        return fresh.assumingMemoryBound(to: Element.self)
    }

    /// reserve() that frees the old memory before it allocates more, so that both are never held together. On failure the buffer
    /// is empty.
    @discardableResult
    func renew(_ count: Int) throws(KVSieveError) -> UnsafeMutablePointer<Element> {
        if count > capacity { release() }
        return try reserve(count)
    }

    /// Room for `count` elements; contents are kept. On failure the buffer is as it was.
    @discardableResult
    func grow(_ count: Int) throws(KVSieveError) -> UnsafeMutablePointer<Element> {
        if let memory, count <= capacity { return memory.assumingMemoryBound(to: Element.self) }
        let larger = Buffer(account)
        let fresh = try larger.reserve(count)
        if let memory { fresh.update(from: memory.assumingMemoryBound(to: Element.self), count: capacity) }
        swap(&memory, &larger.memory)
        swap(&capacity, &larger.capacity)
        return fresh
    }

    /// Frees the memory.
    func release() {
        if let memory { account.give(memory, capacity * MemoryLayout<Element>.stride) }
        memory = nil
        capacity = 0
    }
}
