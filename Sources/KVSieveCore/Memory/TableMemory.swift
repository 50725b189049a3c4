// Memory of a table of numbers: rows of floats, `stride` apart, used again for the next layer.

public final class TableMemory: @unchecked Sendable {
    private let values: Buffer<Float>
    private(set) var start: UnsafeMutablePointer<Float>?
    private(set) var rows = 0
    /// Floats from a row to the next.
    private(set) var stride = 0

    init(_ account: MemoryAccount) { values = Buffer(account) }

    /// Room for (rows, width); contents are unspecified.
    func reserve(rows: Int, width: Int) throws(KVSieveError) {
        start = try values.reserve(rows * width)
        self.rows = rows
        stride = width
    }

    /// Row `index`, from its first float on; nil beyond the last.
    func row(_ index: Int) -> UnsafeMutablePointer<Float>? {
        guard let start, index < rows else { return nil }
        return start + index * stride
    }

    func clear() { start?.update(repeating: 0, count: rows * stride) }
}
