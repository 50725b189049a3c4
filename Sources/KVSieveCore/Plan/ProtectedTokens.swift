// The tokens that the caller wants every head to keep: ranges of positions, merged, in the plan's memory. A list is never
// changed: frames of earlier calls may still read it.

struct ProtectedTokens {
    private let memory: SelectionMemory
    private(set) var rows = ProtectedRows()

    init(_ account: MemoryAccount) { memory = SelectionMemory(account) }

    /// On failure nothing has changed.
    mutating func add(_ added: Range<Int>) throws(KVSieveError) {
        let buffer = try memory.take(2 * (rows.count + 1))
        let bounds = try buffer.reserve(2 * (rows.count + 1))
        var count = 0
        func put(_ range: Range<Int>) {
            bounds[2 * count] = Int64(range.lowerBound)
            bounds[2 * count + 1] = Int64(range.upperBound)
            count += 1
        }
        // Those that the new one meets become one with it.
        var (first, end) = (added.lowerBound, added.upperBound)
        var later = rows.count
        for index in 0..<rows.count {
            let range = rows.positions(index)
            if range.upperBound < first {
                put(range)
            } else if range.lowerBound > end {
                later = index
                break
            } else {
                (first, end) = (min(first, range.lowerBound), max(end, range.upperBound))
            }
        }
        put(first..<end)
        for index in later..<rows.count { put(rows.positions(index)) }
        rows = ProtectedRows(bounds, count, owner: buffer)
    }

    /// The memory is kept.
    mutating func clear() { rows = ProtectedRows() }

    /// A layer's caches with the protected tokens among their rows.
    func checked(_ length: CacheLength, _ origins: RowOrigins? = nil) throws(KVSieveError) -> CacheLength {
        guard rows.end <= length.seen else {
            throw KVSieveError(
                .shape,
                "tokens up to position \(rows.end - 1) are protected; expected at most \(length.seen - 1), the last")
        }
        if rows.isEmpty && length.protected.isEmpty { return length }
        return length.with(rows.among(origins.map { $0.kept.rows(seen: $0.seen) }))
    }
}

extension Plan {
    /// Every head keeps `count` tokens from position `first` on. Called before the first layer is observed; after extend() it is
    /// for the new tokens.
    public func protect(first: Int, count: Int) throws(KVSieveError) {
        guard case .prefill(let caches) = phase, current.layers.isEmpty else {
            throw KVSieveError(
                .state, "protect came after the first observe; it comes before, and after extend for the new tokens")
        }
        let length = caches?.length(0)
        let (least, end) = length.map { ($0.seen - $0.new, $0.seen) } ?? (0, ModelShape.mostTokens)
        guard first >= least, first < end else {
            let why = caches == nil ? "" : ", the new tokens: an earlier one may be gone"
            throw KVSieveError(.shape, "first is \(first); expected \(least) ... \(end - 1)\(why)")
        }
        guard count >= 1, count <= end - first else {
            throw KVSieveError(
                .shape, "count is \(count); expected 1 ... \(end - first) tokens from position \(first) on")
        }
        try protected.add(first..<(first + count))
    }
}
