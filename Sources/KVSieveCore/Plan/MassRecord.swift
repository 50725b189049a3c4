// Which share of its attention each head has kept. While a layer's choice may change, the column sums of its attention are
// remembered, (H, n); when it is final they become one number a head, and a later layer takes their memory.

final class MassRecord {
    private struct Layer {
        /// Nil if the layer read no attention, or its choice is final.
        var sums: TableMemory?
        /// Are its shares those of what it keeps now?
        var isKnown = false
    }

    private let shape: ModelShape
    private let account: MemoryAccount
    private var layers: [Layer]
    private var free: [TableMemory] = []
    /// (L, H)
    private let shares: Buffer<Float>
    private var start: UnsafeMutablePointer<Float>?

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        self.shape = shape
        self.account = account
        layers = Array(repeating: Layer(), count: shape.layers)
        shares = Buffer(account)
        free.reserveCapacity(shape.layers)
    }

    /// Room for a layer's sums that no layer has; still free until they are kept.
    func next(width: Int) throws(KVSieveError) -> TableMemory {
        if free.isEmpty { free.append(TableMemory(account)) }
        let last = free[free.count - 1]
        try last.reserve(rows: shape.heads, width: width)
        return last
    }

    /// Room for the shares of all layers.
    func reserve() throws(KVSieveError) { start = try shares.reserve(shape.layers * shape.heads) }

    /// Room for the sums of `count` layers at once.
    func prepare(_ count: Int, like sums: TableMemory) throws(KVSieveError) {
        while free.count < count { free.append(TableMemory(account)) }
        for table in free { try table.reserve(rows: sums.rows, width: sums.stride) }
    }

    /// A layer was observed; what earlier ones keep may have changed.
    /// - Parameter sums: nil if it was kept whole.
    func keep(_ layer: Int, _ sums: TableMemory?) {
        for earlier in layers.indices where layers[earlier].sums != nil { layers[earlier].isKnown = false }
        layers[layer] = Layer(sums: sums, isKnown: sums == nil)
        guard let sums else {
            row(layer)?.update(repeating: 1, count: shape.heads)
            return
        }
        free.removeAll { $0 === sums }
    }

    /// What a layer keeps is final: its sums are free.
    func settle(_ layer: Int, _ kept: Selection?) {
        guard let sums = layers[layer].sums, let kept else { return }
        measure(layer, sums, kept)
        layers[layer].sums = nil
        free.append(sums)
    }

    /// The share of each head in a layer that keeps `kept`; nil if it is not known.
    func shares(_ layer: Int, _ kept: Selection) -> UnsafePointer<Float>? {
        if !layers[layer].isKnown {
            guard let sums = layers[layer].sums else { return nil }
            measure(layer, sums, kept)
        }
        return row(layer).map { UnsafePointer($0) }
    }

    /// The sequence, or its round, is over.
    func clear() {
        for layer in layers.indices {
            if let sums = layers[layer].sums { free.append(sums) }
            layers[layer] = Layer()
        }
    }

    private func measure(_ layer: Int, _ sums: TableMemory, _ kept: Selection) {
        guard let out = row(layer) else { return }
        for head in 0..<kept.heads {
            let own = UnsafeBufferPointer(start: sums.row(head), count: kept.frame.of(head).rows)
            let rows = UnsafeBufferPointer(start: kept.rows + Int(kept.offsets[head]), count: kept.count(head))
            out[head] = Float(AttentionShare.of(rows, from: kept.frame.length.first(head), in: own))
        }
        layers[layer].isKnown = true
    }

    private func row(_ layer: Int) -> UnsafeMutablePointer<Float>? { start.map { $0 + layer * shape.heads } }
}
