// The caches of a finished sequence that goes on: the kept rows of each layer, then the new tokens. All of them compete again.

struct ExtendedCaches: Sendable {
    /// What each layer kept.
    private let kept: [Selection]
    /// Of each layer's cache, the new tokens included.
    private let lengths: [CacheLength]
    /// Tokens seen before the new ones.
    private let seen: Int

    init(_ kept: [Selection], seen: Int, new: Int, _ alignment: Alignment) {
        self.kept = kept
        self.seen = seen
        let ofModel = kept.reduce(0) { $0 + $1.total + $1.heads * new }
        lengths = kept.map { kept in
            CacheLength(
                seen: seen + new, new: new, heads: (0..<kept.heads).map { kept.count($0) + new }, ofModel: ofModel,
                alignment)
        }
    }

    func length(_ layer: Int) -> CacheLength { lengths[layer] }

    func origins(_ layer: Int) -> RowOrigins { RowOrigins(kept: kept[layer], seen: seen) }
}
