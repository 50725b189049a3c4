// Column sums of attention that the engine gave: what WindowAttention makes of queries and keys, without their product.
//
//     logits         P[i, j] = softmax_j g_i z[i, j]      j <= the row's own column; what lies behind is not read
//     probabilities  P as given; with a gain p^g / sum p^g, which is the softmax of g ln p
//     column sums    as given
//
// A row is read twice, first for its maximum, then for its exponentials, which stay in the second-level cache until they are
// added with 1 / sum as weight. Heads go to any thread; rows are added in order.

struct GivenSums: ParallelWork, @unchecked Sendable {
    let layer: LayerView
    let given: GivenAttention
    /// Rows of attention, 1 of sums.
    let rows: Int
    /// Given heads of a key/value head.
    let perHead: Int
    /// g_i, in the workspace until the next attention.
    private let gains: UnsafePointer<Float>
    /// Maximum and 1/sum of each row, (heads, rows, 2).
    private let softmaxRows: UnsafeMutablePointer<Float>
    /// Where the sums go: a row for each key/value head, or for each given head.
    private var sums: PointerBox<Float>?
    private var stride = 0
    private var sumsEachHead = false

    /// Nil if the layer has queries and keys.
    /// - Parameter gain: g of a row whose query has seen so many tokens, its own included.
    init?(
        _ layer: LayerView, _ work: Workspace, gain: (_ seen: Int) -> Double = { _ in 1 }
    ) throws(KVSieveError) {
        guard let given = layer.attention else { return nil }
        self.layer = layer
        self.given = given
        rows = given.tensor.tokens
        perHead = given.perHead(layer.shape)
        let gains = try work.gains.reserve(rows)
        for row in 0..<rows { gains[row] = Float(gain(layer.length.seen - rows + row + 1)) }
        self.gains = UnsafePointer(gains)
        softmaxRows = try work.softmaxRows.reserve(2 * given.tensor.heads * rows)
        for worker in work.workers { try worker.attentionRow.reserve(given.tensor.dim) }
    }

    /// Writes each key/value head's column sums to its row of `table`, (H, >= n).
    func writeSums(to table: TableMemory, _ work: Workspace) throws(KVSieveError) {
        guard let start = table.start else { return }
        var all = self
        all.sums = PointerBox(start)
        all.stride = table.stride
        try work.forEach(layer.shape.heads, all)
    }

    /// The column sums of each query head by itself, key/value heads in order.
    /// - Parameter body: gets a key/value head's, (G, n), which are its own to change; called on the calling thread.
    func forEachGroup(
        _ work: Workspace, _ body: (_ head: Int, _ sums: HeadTable) throws(KVSieveError) -> Void
    ) throws(KVSieveError) {
        let table = work.queryHeadColumns
        for head in 0..<layer.shape.heads {
            try table.reserve(rows: perHead, width: layer.length.rows(head))
            guard let start = table.start else { return }
            var one = self
            // The group's rows stand where those of head 0 would.
            one.sums = PointerBox(start - head * perHead * table.stride)
            one.stride = table.stride
            one.sumsEachHead = true
            try one.work(on: head, with: work.caller)
            try body(
                head,
                HeadTable(
                    table, work, .rows(layer.length), rows: perHead, rowsOfHead: perHead, first: (0, head)))
        }
    }

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        guard let sums else { return }
        let scratch = try worker.attentionRow.reserve(given.tensor.dim)
        for own in (head * perHead)..<((head + 1) * perHead) {
            let target = sums.pointer + (sumsEachHead ? own : head) * stride
            for row in 0..<rows {
                let count = visible(head, row)
                let isFirst = row == 0 && (sumsEachHead || own == head * perHead)
                // Beyond a shorter head's columns, and a row's, there are zeros.
                if isFirst && isSum(row) && given.tensor.type == .float32 {
                    let numbers = firstNumber(own, row).assumingMemoryBound(to: Float.self)
                    try check(kernels.copy_minimum(numbers, Int64(count), target), own, row)
                    (target + count).update(repeating: 0, count: stride - count)
                    continue
                }
                let (numbers, weight) = try softmax(own, row, count, scratch)
                if isFirst && weight == 1 {
                    target.update(from: numbers, count: count)
                    (target + count).update(repeating: 0, count: stride - count)
                    continue
                }
                if isFirst { target.update(repeating: 0, count: stride) }
                kernels.add_scaled(numbers, weight, Int64(count), target)
            }
        }
    }

    /// Columns that a row sees of a head's cache, its own the last of them.
    func visible(_ head: Int, _ row: Int) -> Int {
        layer.length.rows(head) - (given.kind == .columnSums ? 0 : rows - 1 - row)
    }

    /// Of a given row, where its first column that is in the cache is.
    private func firstNumber(_ head: Int, _ row: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(given.tensor.row(head, row)) + layer.length.first(head / perHead) * given.tensor.type.size
    }

    /// Numbers that are P[row, j] when multiplied with the weight, j < count.
    /// - Parameter scratch: n floats, where they are unless they can be read in place.
    private func softmax(
        _ head: Int, _ row: Int, _ count: Int, _ scratch: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) -> (UnsafePointer<Float>, weight: Float) {
        let source = firstNumber(head, row)
        var numbers = source.assumingMemoryBound(to: Float.self)
        if given.tensor.type != .float32 {
            given.tensor.type.widen(source, scratch, count)
            numbers = UnsafePointer(scratch)
        }
        if given.kind != .logits {
            try check(kernels.row_minimum(numbers, Int64(count)), head, row)
            if isSum(row) { return (numbers, 1) }
            kernels.row_logarithms(numbers, Int64(count), scratch)
            numbers = UnsafePointer(scratch)
        }
        let most = kernels.row_maximum(numbers, Int64(count))
        guard most.isFinite else { throw refusal(head, row, "NaN or infinity") }
        let sum = kernels.row_exponentials(numbers, Int64(count), most, gains[row], scratch)
        let place = softmaxRows + 2 * (head * rows + row)
        place[0] = most
        place[1] = 1 / sum
        return (UnsafePointer(scratch), place[1])
    }

    private func check(_ least: Float, _ head: Int, _ row: Int) throws(KVSieveError) {
        guard least >= 0 else { throw refusal(head, row, "NaN, infinity or a number below 0") }
    }

    /// Are the row's numbers counted as they are?
    private func isSum(_ row: Int) -> Bool {
        given.kind == .columnSums || given.kind == .probabilities && gains[row] == 1
    }

    private func refusal(_ head: Int, _ row: Int, _ what: String) -> KVSieveError {
        KVSieveError(
            .nonfinite,
            "attention of layer \(layer.layer), head \(head), row \(row) has \(what) in a column that is read")
    }

    /// P[row, j] of some columns, after writeSums: numbers that must be multiplied with the weight.
    /// - Parameters:
    ///   - columns: `count` of them, all visible.
    ///   - out: `count` floats.
    func some(
        _ head: Int, _ row: Int, _ columns: UnsafePointer<Int32>, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) -> Float {
        let size = given.tensor.type.size
        let source = firstNumber(head, row)
        for index in 0..<count { given.tensor.type.widen(source + Int(columns[index]) * size, out + index, 1) }
        if isSum(row) { return 1 }
        if given.kind == .probabilities { kernels.row_logarithms(out, Int64(count), out) }
        let place = softmaxRows + 2 * (head * rows + row)
        _ = kernels.row_exponentials(out, Int64(count), place[0], gains[row], out)
        return place[1]
    }
}
