// How many of the units that compete each head of each layer may keep: (L, H). They only shrink.

public final class BudgetTable: @unchecked Sendable {
    private let heads: Int
    private let memory: Buffer<Int>
    private let mostLayers: Int
    private var units: UnsafeMutablePointer<Int>?
    /// Layers it speaks of.
    private var layers = 0
    /// The numbers that the first layer and head have in the model, of which this may be a part.
    var first: (layer: Int, head: Int) = (0, 0)

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        heads = shape.heads
        mostLayers = shape.layers
        memory = Buffer(account)
    }

    /// Every head of a layer keeps at most so many from now on.
    public func shrink(_ layer: Int, to most: Int) {
        for head in 0..<heads { shrink(own: layer - first.layer, head: head, to: most) }
    }

    /// One head keeps at most so many. A layer that was not observed yet is ignored, and what another rank has.
    public func shrink(_ layer: Int, head: Int, to most: Int) {
        shrink(own: layer - first.layer, head: head - first.head, to: most)
    }

    /// By the numbers in this part of the model.
    func shrink(own layer: Int, head: Int, to most: Int) {
        guard let units, (0..<layers).contains(layer), (0..<heads).contains(head) else { return }
        let place = units + (layer * heads + head)
        place.pointee = min(place.pointee, max(most, 0))
    }

    /// One number a head, of a layer of this part.
    func of(_ layer: Int) -> ReadOnlyBuffer<Int> {
        ReadOnlyBuffer(units.map { UnsafePointer($0 + layer * heads) }, heads)
    }

    /// The next layer, whose heads may keep every unit.
    func append(_ frame: Frame) {
        guard let units, layers < mostLayers else { return }
        for head in 0..<heads { units[layers * heads + head] = frame.of(head).competing }
        layers += 1
    }

    /// Copies another table of the same model.
    func copy(_ other: BudgetTable) throws(KVSieveError) {
        let units = try reserve()
        if let others = other.units { units.update(from: others, count: other.layers * heads) }
        layers = other.layers
    }

    /// Room for all layers; the numbers so far are kept.
    @discardableResult
    func reserve() throws(KVSieveError) -> UnsafeMutablePointer<Int> {
        let memory = try memory.reserve(mostLayers * heads)
        units = memory
        return memory
    }

    func clear() { layers = 0 }
}
