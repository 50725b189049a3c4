// What a decoding layer begins with: the prompt's evidence for the tokens that it keeps.
//
// By the last r rows: row i of the window over the kept slots, P[i, j] as the prefill's softmax over all T tokens has it,
// mean over the group. The softmax's maxima and sums are there from the prefill; the products with the kept keys, a small
// part of all, are made again. By all rows: the column sums. Value norms: pooled over the true sequence around each kept
// token, and those of the last tokens for the neighbours still to come.

/// What a workspace still holds of the attention made last.
enum Statistics { case rows, columns }

extension DecodingLayer {
    func seed(_ layer: LayerView, _ selection: Selection, _ work: Workspace) throws(KVSieveError) {
        var rows = 0
        if case .lastRows = rule.evidence {
            guard let queries = layer.queries, let keys = layer.keys else {
                throw KVSieveError(.null, "queries or keys are NULL, but layer \(layer.layer) reads them")
            }
            rows = queries.tokens
            let attention = try WindowAttention(layer, work) { rule.gain(layer.length.seen - rows + $0 + 1) }
            if work.statistics != .rows { try attention.forEachHead(work) { _ in } }
            try seedRows(layer, queries, keys, attention, selection, work)
        } else {
            let sums = work.statistics == .columns ? work.intermediate : try AllQueryAttention(layer).sums(work)
            for head in 0..<heads {
                let row = sums.row(head)
                forEachSlot(selection, head) { slot, position in
                    self.head(head).running?.sums[slot] = Double(row[position])
                }
            }
        }
        for head in 0..<heads {
            forEachSlot(selection, head) { slot, position in
                self.head(head).positions[slot] = Int32(truncatingIfNeeded: position)
                if position >= layer.length.seen - self.rule.recent {
                    self.head(head).recentSlots[position % self.rule.recent] = Int32(truncatingIfNeeded: slot)
                }
            }
        }
        if let kernel = rule.valueKernel { try seedNorms(layer, selection, kernel, work) }
        begin(living: selection.longest, rows: rows)
    }

    private func forEachSlot(_ selection: Selection, _ head: Int, _ body: (_ slot: Int, _ position: Int) -> Void) {
        let first = Int(selection.offsets[head])
        for index in first..<Int(selection.offsets[head + 1]) { body(index - first, Int(selection.positions[index])) }
    }

    private func seedRows(
        _ layer: LayerView, _ queries: TensorView, _ keys: TensorView, _ attention: WindowAttention,
        _ selection: Selection, _ work: Workspace
    ) throws(KVSieveError) {
        let (group, rows, dim, tile) = (layer.shape.group, queries.tokens, layer.shape.headDim, StepInput.tile)
        for worker in work.workers {
            try worker.row.reserve(group * rows * dim)
            try worker.keyTile.reserve(tile * dim)
            try worker.logitTile.reserve(group * rows * tile)
        }
        let statistics = PointerBox(try work.rowStatistics.reserve(2 * layer.shape.queryHeads * rows))
        try work.forEach(heads) { (index: Int, worker: WorkerBuffers) throws(KVSieveError) in
            guard let rolling = self.head(index).rolling else { return }
            let packed = try worker.row.reserve(group * rows * dim)
            for row in 0..<(group * rows) {
                queries.type.widen(queries.row(index * group + row / rows, row % rows), packed + row * dim, dim)
                let factor = layer.shape.scale * attention.gain(row % rows)
                for d in 0..<dim { packed[row * dim + d] *= factor }
            }
            let floats = try worker.keyTile.reserve(tile * dim)
            let logits = try worker.logitTile.reserve(group * rows * tile)
            let kept = selection.positions + Int(selection.offsets[index])
            let count = Int(selection.offsets[index + 1] - selection.offsets[index])
            var first = 0
            while first < count {
                let columns = min(tile, count - first)
                for j in 0..<columns {
                    keys.type.widen(keys.row(index, Int(kept[first + j])), floats + j * dim, dim)
                }
                kernels.row_dots(
                    packed, Int64(group * rows), floats, Int64(dim), Int64(columns), Int64(dim), logits, Int64(tile))
                for row in 0..<(group * rows) {
                    // Kept positions ascend: those after the row's own are at the end.
                    var visible = columns
                    let own = layer.length.seen - rows + row % rows
                    while visible > 0, kept[first + visible - 1] > own { visible -= 1 }
                    let softmax = statistics.pointer + 2 * (index * group * rows + row)
                    let z = logits + row * tile
                    _ = kernels.row_exponentials(z, Int64(visible), softmax[0], 1, z)
                    kernels.add_scaled(
                        z, softmax[1] / Float(group), Int64(visible),
                        rolling.row(row % rows) + first)
                }
                first += columns
            }
        }
    }

    private func seedNorms(
        _ layer: LayerView, _ selection: Selection, _ kernel: Int, _ work: Workspace
    ) throws(KVSieveError) {
        guard let values = layer.values else {
            throw KVSieveError(.null, "values are NULL, but layer \(layer.layer) reads them")
        }
        for worker in work.workers { try worker.keyTile.reserve(values.dim) }
        try work.forEach(heads) { (index: Int, worker: WorkerBuffers) throws(KVSieveError) in
            let row = try worker.keyTile.reserve(values.dim)
            let head = self.head(index)
            func norm(_ position: Int) throws(KVSieveError) -> Float {
                values.type.widen(values.row(index, position), row, values.dim)
                let norm = kernels.squared_norm(row, Int64(values.dim))
                guard (norm * Float(kernel)).isFinite else {
                    throw KVSieveError(
                        .nonfinite,
                        "values of layer \(layer.layer), kv head \(index), token \(position) have NaN or infinity, or a"
                            + " squared norm that overflows")
                }
                return norm
            }
            let first = Int(selection.offsets[index])
            for index in first..<Int(selection.offsets[index + 1]) {
                let position = Int(selection.positions[index])
                var sum: Float = 0
                for near in max(0, position - kernel / 2)...min(layer.length.seen - 1, position + kernel / 2) {
                    sum += try norm(near)
                }
                head.gamma[index - first] = sum / Float(kernel)
            }
            for position in max(0, layer.length.seen - kernel)..<layer.length.seen {
                head.norms[position % kernel] = try norm(position)
            }
        }
    }
}
