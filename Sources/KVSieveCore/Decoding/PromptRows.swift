// Row i of the prompt's window over the kept slots, P[i, j] as the prefill's softmax over all T tokens has it, mean over the
// group. The prefill has kept the softmax's maxima and sums. The products with the kept keys, a small part of all, are computed
// again.

struct PromptRows: ParallelWork, @unchecked Sendable {
    private let attention: WindowAttention
    private let selection: Selection
    /// A head each, or one for all heads.
    private let choices: [RowBlocks]
    /// Maximum and 1/sum of every row, (Hq, W, 2).
    private let softmaxRows: UnsafePointer<Float>

    init(
        _ attention: WindowAttention, _ selection: Selection, _ choices: [RowBlocks], _ work: Workspace
    ) throws(KVSieveError) {
        self.attention = attention
        self.selection = selection
        self.choices = choices
        softmaxRows = UnsafePointer(
            try work.softmaxRows.reserve(2 * attention.layer.shape.queryHeads * attention.rows))
        for worker in work.workers {
            try worker.packedQueries.reserve(rowsOfGroup * dim)
            try worker.keyTile.reserve(StepInput.tile * dim)
            try worker.logitTile.reserve(rowsOfGroup * StepInput.tile)
        }
    }

    private var rows: Int { attention.rows }
    private var dim: Int { attention.layer.shape.headDim }
    private var group: Int { attention.layer.shape.group }
    private var rowsOfGroup: Int { group * rows }

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let heads = selection.heads
        let target = choices[head * choices.count / heads]
        let share = Float(group * (heads / choices.count))
        let keys = attention.keys
        let tile = StepInput.tile
        let packed = try worker.packedQueries.reserve(rowsOfGroup * dim)
        pack(head, packed)
        let floats = try worker.keyTile.reserve(tile * dim)
        let logits = try worker.logitTile.reserve(rowsOfGroup * tile)
        let kept = selection.positions + Int(selection.offsets[head])
        let count = Int(selection.offsets[head + 1] - selection.offsets[head])
        var first = 0
        while first < count {
            let columns = min(tile, count - first)
            for j in 0..<columns {
                keys.type.widen(keys.row(head, Int(kept[first + j])), floats + j * dim, dim)
            }
            kernels.row_dots(
                packed, Int64(rowsOfGroup), floats, Int64(dim), Int64(columns), Int64(dim), logits, Int64(tile))
            for row in 0..<rowsOfGroup {
                // Kept positions ascend: those after the row's own are at the end.
                var visible = columns
                let own = attention.layer.length.seen - rows + row % rows
                while visible > 0, kept[first + visible - 1] > own { visible -= 1 }
                let softmax = softmaxRows + 2 * (head * rowsOfGroup + row)
                let z = logits + row * tile
                _ = kernels.row_exponentials(z, Int64(visible), softmax[0], 1, z)
                kernels.add_scaled(z, softmax[1] / share, Int64(visible), target.row(row % rows) + first)
            }
            first += columns
        }
    }

    /// The group's query rows as floats, times scale and gain.
    private func pack(_ head: Int, _ packed: UnsafeMutablePointer<Float>) {
        for row in 0..<rowsOfGroup {
            attention.queries.type.widen(
                attention.queries.row(head * group + row / rows, row % rows), packed + row * dim, dim)
            let factor = attention.layer.shape.scale * attention.gain(row % rows)
            for d in 0..<dim { packed[row * dim + d] *= factor }
        }
    }
}
