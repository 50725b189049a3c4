// Layers of a sequence that will be decoded, each made when its selection was; and the memory of earlier sequences.

final class DecodingPool {
    private let shape: ModelShape
    private let account: MemoryAccount
    private(set) var layers: [DecodingLayer] = []
    private var spare: [DecodingLayer] = []

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        self.shape = shape
        self.account = account
    }

    /// A layer for this rule; it is still a spare one until it is kept.
    func next(_ rule: DecodeRule) throws(KVSieveError) -> DecodingLayer {
        if let suiting = spare.last(where: { $0.rule.suits(rule) }) {
            try suiting.clear(rule)
            return suiting
        }
        spare.removeAll(keepingCapacity: true)
        return try DecodingLayer(rule, heads: shape.heads, account)
    }

    func keep(_ layer: DecodingLayer) {
        layers.append(layer)
        spare.removeAll { $0 === layer }
    }

    /// The sequence is over.
    func release() {
        spare.append(contentsOf: layers)
        layers.removeAll(keepingCapacity: true)
    }
}
