// Squared norms of the rows of a tensor, a head at a time on any thread.

struct SquaredNorms: ParallelWork {
    private let tensor: TensorView
    private let table: HeadTable
    private let layer: LayerView

    /// - Parameter table: (H, n); of each head as many rows are read as the table's row has columns.
    init(of tensor: TensorView, into table: HeadTable, _ layer: LayerView) {
        self.tensor = tensor
        self.table = table
        self.layer = layer
    }

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let row = try worker.oneRow.reserve(tensor.dim)
        let norms = table.row(head)
        guard let start = norms.baseAddress else { return }
        let first = layer.length.first(head)
        for token in 0..<norms.count { start[token] = try squaredNorm(head, first &+ token, row) }
    }

    /// - Parameter row: scratch, a row of the tensor.
    @inline(__always) private func squaredNorm(
        _ head: Int, _ token: Int, _ row: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) -> Float {
        let source = tensor.row(head, token)
        var floats = UnsafePointer(source.assumingMemoryBound(to: Float.self))
        if tensor.type != .float32 {
            tensor.type.widen(source, row, tensor.dim)
            floats = UnsafePointer(row)
        }
        let norm = kernels.squared_norm(floats, Int64(tensor.dim))
        guard norm.isFinite else {
            throw KVSieveError(
                .nonfinite,
                "\(tensor.name) of layer \(layer.layer), kv head \(head), token \(token) have NaN or infinity, or a"
                    + " squared norm that overflows")
        }
        return norm
    }
}
