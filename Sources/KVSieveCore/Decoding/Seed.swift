// What a decoding layer begins with: the prompt's evidence for the tokens that it keeps.
//
// By the last r rows: the window's own (SeedRows). By all rows: the column sums. Value norms: SeedNorms.

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
            try work.forEach(heads, SeedRows(self, attention, queries, keys, selection, work))
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
        if let kernel = rule.valueKernel {
            try work.forEach(heads, SeedNorms(self, layer, selection, kernel, work))
        }
        begin(living: selection.longest, rows: rows)
    }

    private func forEachSlot(_ selection: Selection, _ head: Int, _ body: (_ slot: Int, _ position: Int) -> Void) {
        let first = Int(selection.offsets[head])
        for index in first..<Int(selection.offsets[head + 1]) { body(index - first, Int(selection.positions[index])) }
    }
}
