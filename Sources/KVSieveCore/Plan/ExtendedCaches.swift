// The caches of a finished sequence that goes on: the kept rows of each layer, then the new tokens. All of them compete again.

struct ExtendedCaches: Sendable {
    /// What each layer kept.
    private let kept: [Selection]
    /// Of each layer's cache, the new tokens included.
    private let lengths: [CacheLength]
    /// Tokens seen before the new ones.
    private let seen: Int
    /// Of each layer of the model, if this plan has a part of it.
    private var ofModel: [CacheLength] = []
    private var whole: WholeCaches?

    init(
        _ kept: [Selection], seen: Int, new: Int, _ alignment: Alignment, of joined: JoinedPlan? = nil
    ) throws(KVSieveError) {
        self.kept = kept
        self.seen = seen
        var ofModel = kept.reduce(0) { $0 + $1.total + $1.heads * new }
        if let joined {
            let (model, caches) = (joined.model, joined.caches)
            ofModel = try caches.size().total + model.layers * model.heads * new
            whole = caches
            for layer in 0..<model.layers {
                var heads: [Int] = []
                for head in 0..<model.heads { heads.append(try caches.rows(layer, head) + new) }
                self.ofModel.append(CacheLength(seen: seen + new, new: new, heads: heads, ofModel: ofModel))
            }
        }
        lengths = kept.map { kept in
            CacheLength(
                seen: seen + new, new: new, heads: (0..<kept.heads).map { kept.count($0) + new }, ofModel: ofModel,
                alignment)
        }
    }

    func length(_ layer: Int) -> CacheLength { lengths[layer] }

    /// Of a layer of the model, of which this plan has a part, with these protected tokens.
    func wholeLength(_ layer: Int, _ protected: ProtectedRows) throws(KVSieveError) -> CacheLength? {
        guard let whole, ofModel.indices.contains(layer) else { return nil }
        if protected.isEmpty { return ofModel[layer] }
        return ofModel[layer].with(protected.among(try whole.kept(layer)))
    }

    func origins(_ layer: Int) -> RowOrigins { RowOrigins(kept: kept[layer], seen: seen) }
}
