// What every head of a model keeps that several ranks have, as far as the next round of the sequence must know it: how many rows,
// and in which of them the protected tokens are.

final class WholeCaches: @unchecked Sendable {
    private let layers: Int
    private let heads: Int
    /// (L, H + 1)
    private let offsets: Buffer<Int64>
    /// (L, H, ranges)
    private let firstRows: Buffer<Int32>
    private var protected = ProtectedRows()
    private var seen = 0

    init(layers: Int, heads: Int, _ account: MemoryAccount) {
        (self.layers, self.heads) = (layers, heads)
        offsets = Buffer(account)
        firstRows = Buffer(account)
    }

    /// Numbers that are told of a head.
    static func numbers(_ protected: ProtectedRows) -> Int { 1 + protected.count }

    func reserve(_ protected: ProtectedRows) throws(KVSieveError) {
        try offsets.reserve(layers * (heads + 1))
        try firstRows.reserve(layers * heads * protected.count)
    }

    /// What a rank tells of one of its heads.
    static func write(
        _ kept: Selection, _ head: Int, _ protected: ProtectedRows, to numbers: UnsafeMutablePointer<Int32>
    ) {
        numbers[0] = Int32(truncatingIfNeeded: kept.count(head))
        let rows = Int(kept.offsets[head])..<Int(kept.offsets[head + 1])
        for index in 0..<protected.count {
            let row = ProtectedRows.firstIndex(of: protected.positions(index).lowerBound, in: kept.positions, rows)
            numbers[1 + index] = Int32(truncatingIfNeeded: row - rows.lowerBound)
        }
    }

    /// - Parameter told: the numbers of a head.
    func set(
        _ protected: ProtectedRows, seen: Int,
        _ told: (_ layer: Int, _ head: Int) throws(KVSieveError) -> UnsafePointer<Int32>
    ) throws(KVSieveError) {
        let offsets = try offsets.reserve(layers * (heads + 1))
        let firstRows = try firstRows.reserve(layers * heads * protected.count)
        (self.protected, self.seen) = (protected, seen)
        for layer in 0..<layers {
            let own = offsets + layer * (heads + 1)
            own[0] = 0
            for head in 0..<heads {
                let numbers = try told(layer, head)
                own[head + 1] = own[head] + Int64(numbers[0])
                (firstRows + (layer * heads + head) * protected.count).update(
                    from: numbers + 1, count: protected.count)
            }
        }
    }

    /// Forgets the sequence; the memory is kept.
    func clear() { protected = ProtectedRows() }

    func rows(_ layer: Int, _ head: Int) throws(KVSieveError) -> Int {
        let own = try offsets.reserve(layers * (heads + 1)) + layer * (heads + 1)
        return Int(own[head + 1] - own[head])
    }

    /// Rows of all heads of all layers, and of the longest head.
    func size() throws(KVSieveError) -> (total: Int, longest: Int) {
        var (total, longest) = (0, 0)
        for layer in 0..<layers {
            for head in 0..<heads {
                let rows = try rows(layer, head)
                (total, longest) = (total + rows, max(longest, rows))
            }
        }
        return (total, longest)
    }

    /// Where the caches of a layer have the protected tokens.
    func kept(_ layer: Int) throws(KVSieveError) -> ProtectedRows.Kept {
        let bounds = protected.allBounds
        let firstRows = try firstRows.reserve(layers * heads * protected.count)
        let rows: ProtectedRows.Rows
        if let bounds {
            rows = .first(firstRows + layer * heads * protected.count, bounds: bounds, count: protected.count)
        } else {
            rows = .first(firstRows, bounds: UnsafePointer(try offsets.reserve(1)), count: 0)
        }
        return ProtectedRows.Kept(
            offsets: UnsafePointer(try offsets.reserve(layers * (heads + 1)) + layer * (heads + 1)), rows: rows,
            seen: seen, heads: heads, owner: self)
    }
}
