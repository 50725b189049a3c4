// Memory of selections. A buffer that no selection holds any more is used again: the next sequence allocates nothing.

public final class SelectionMemory: @unchecked Sendable {
    private let account: MemoryAccount
    private var all: [Buffer<Int64>] = []

    init(_ account: MemoryAccount) { self.account = account }

    /// A buffer with room for `words`: of those that are free the smallest that has it, else the largest made larger, so that
    /// there are never more buffers than selections at one time. It is free again when the last selection that holds it is gone.
    /// On failure nothing was taken.
    func take(_ words: Int) throws(KVSieveError) -> Buffer<Int64> {
        var best: Buffer<Int64>?
        for index in all.indices where isFree(index) {
            let other = all[index]
            if best.map({ other.fits(words, better: $0) }) ?? true { best = other }
        }
        if let best {
            try best.reserve(words)
            return best
        }
        return try add(words)
    }

    /// `count` free buffers with room for `words`.
    func prepare(_ count: Int, _ words: Int) throws(KVSieveError) {
        var missing = count
        for index in all.indices where missing > 0 && isFree(index) {
            try all[index].reserve(words)
            missing -= 1
        }
        all.reserveCapacity(all.count + missing)
        for _ in 0..<missing { try add(words) }
    }

    private func isFree(_ index: Int) -> Bool { isKnownUniquelyReferenced(&all[index]) }

    @discardableResult
    private func add(_ words: Int) throws(KVSieveError) -> Buffer<Int64> {
        let fresh = Buffer<Int64>(account)
        try fresh.reserve(words)
        all.append(fresh)
        return fresh
    }
}

extension Buffer<Int64> {
    /// Is it a better place for `words` than the other?
    fileprivate func fits(_ words: Int, better other: Buffer<Int64>) -> Bool {
        if capacity >= words { return other.capacity < words || capacity < other.capacity }
        return other.capacity < words && capacity > other.capacity
    }
}
