// A finished sequence that goes on: new tokens stand behind the rows that each layer kept, and all of them compete again.

struct Continuation: Sendable {
    /// What each layer kept.
    private let kept: [Selection]
    /// Tokens seen before the new ones.
    private let seen: Int
    private let new: Int
    private let ofModel: Int

    init(_ kept: [Selection], seen: Int, new: Int) {
        self.kept = kept
        self.seen = seen
        self.new = new
        ofModel = kept.reduce(0) { $0 + $1.total + $1.heads * new }
    }

    func length(_ layer: Int) -> CacheLength {
        let heads = (0..<kept[layer].heads).map { kept[layer].count($0) + new }
        return CacheLength(seen: seen + new, new: new, heads: heads, ofModel: ofModel)
    }

    func origin(_ layer: Int) -> Origin { Origin(kept: kept[layer], seen: seen) }
}

/// Where the rows of a layer's cache come from: those that an earlier selection kept, and behind them positions from `seen` on.
struct Origin: Sendable {
    let kept: Selection
    let seen: Int

    /// The position of a row.
    func position(_ head: Int, _ row: Int) -> Int32 {
        let count = kept.count(head)
        return row < count
            ? kept.positions[Int(kept.offsets[head]) &+ row] : Int32(truncatingIfNeeded: seen &+ row &- count)
    }
}
