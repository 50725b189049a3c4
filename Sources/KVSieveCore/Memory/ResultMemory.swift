// Memory of selections that nobody holds any more: the next sequence's are written there, and nothing is allocated.

public final class ResultMemory: @unchecked Sendable {
    private let account: MemoryAccount
    private var free: [Buffer<Int64>] = []

    init(_ account: MemoryAccount) { self.account = account }

    /// A buffer with room for `words`: the smallest that has it, else the largest made larger, so that there are never more
    /// buffers than selections lived at once. On failure nothing was taken.
    func take(_ words: Int) throws(KVSieveError) -> Buffer<Int64> {
        let bySize = free.indices.sorted { free[$0].capacity < free[$1].capacity }
        guard let index = bySize.first(where: { free[$0].capacity >= words }) ?? bySize.last else {
            let fresh = Buffer<Int64>(account)
            try fresh.reserve(words)
            return fresh
        }
        try free[index].reserve(words)
        return free.remove(at: index)
    }

    /// `count` buffers of `words` that are free.
    func prepare(_ count: Int, _ words: Int) throws(KVSieveError) {
        while free.count < count {
            let fresh = Buffer<Int64>(account)
            try fresh.reserve(words)
            free.append(fresh)
        }
    }

    func give(_ buffer: Buffer<Int64>) { free.append(buffer) }
}
