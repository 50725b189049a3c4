// The ranges of positions that a plan has handed out, of each layer that was asked for; forgotten when what it keeps may change.

final class RangePool {
    private var layers: [PositionRanges?]
    private var isEmpty = true
    private let memory: SelectionMemory
    /// Positions of slots, which are in no order, while they are sorted: a bit for each token seen, and the positions.
    private let bits: Buffer<UInt64>
    private let sorted: Buffer<Int32>

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        layers = Array(repeating: nil, count: shape.layers)
        memory = SelectionMemory(account)
        bits = Buffer(account)
        sorted = Buffer(account)
    }

    /// The memory is kept.
    func clear() {
        if isEmpty { return }
        for layer in layers.indices { layers[layer] = nil }
        isEmpty = true
    }

    /// Of what a selection keeps.
    func ranges(_ layer: Int, of selection: Selection) throws(KVSieveError) -> PositionRanges {
        if let known = layers[layer] { return known }
        return try keep(
            layer,
            PositionRanges(heads: selection.heads, seen: selection.frame.length.seen, memory) { head in
                UnsafeBufferPointer(
                    start: selection.positions + Int(selection.offsets[head]), count: selection.count(head))
            })
    }

    /// Of what is in the slots of a layer that decodes.
    func ranges(_ layer: Int, heads: Int, of decoding: DecodingSequence) throws(KVSieveError) -> PositionRanges {
        if let known = layers[layer] { return known }
        let slots = decoding.layer(layer)
        let seen = decoding.seen(byLayer: layer)
        let bits = try bits.reserve(seen / 64 + 1)
        let sorted = try sorted.reserve(heads * slots.living)
        for head in 0..<heads {
            sort(slots.positions(head), seen, bits, sorted + head * slots.living)
        }
        return try keep(
            layer,
            PositionRanges(heads: heads, seen: seen, memory) { head in
                UnsafeBufferPointer(start: sorted + head * slots.living, count: slots.living)
            })
    }

    private func keep(_ layer: Int, _ ranges: PositionRanges) -> PositionRanges {
        layers[layer] = ranges
        isEmpty = false
        return ranges
    }

    /// Different positions below `seen`, in order.
    private func sort(
        _ positions: UnsafeBufferPointer<Int32>, _ seen: Int, _ bits: UnsafeMutablePointer<UInt64>,
        _ target: UnsafeMutablePointer<Int32>
    ) {
        bits.update(repeating: 0, count: seen / 64 + 1)
        for position in positions { bits[Int(position) / 64] |= 1 << UInt64(Int(position) % 64) }
        var next = 0
        for word in 0...(seen / 64) {
            var rest = bits[word]
            while rest != 0 {
                target[next] = Int32(truncatingIfNeeded: 64 * word + rest.trailingZeroBitCount)
                next += 1
                rest &= rest - 1
            }
        }
    }
}
