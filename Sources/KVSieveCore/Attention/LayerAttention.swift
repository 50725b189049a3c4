// The attention that the queries which a method reads pay to the cache's rows, as tables of column sums.

extension Layer {
    /// (H, n): each column's sum of the softmax over the rows that the method reads, mean over the query heads of a group.
    public func attention() throws(KVSieveError) -> HeadTable {
        let sums = try columnSums { _ in 1 }
        guard let remembered, let source = scores.start else { return sums }
        remembered.start?.update(from: source, count: shape.heads * length.longest)
        return sums
    }

    /// attention() with sharper or flatter rows.
    /// - Parameter gain: of a row whose query has seen so many tokens, its own included: its logits are multiplied with it.
    public func attention(gain: (_ seen: Int) -> Double) throws(KVSieveError) -> HeadTable {
        // What is remembered has no gain, and is computed first: decoding begins with the rows of the last softmax.
        if let remembered { try sum(into: remembered) { _ in 1 } }
        return try columnSums(gain)
    }

    private func columnSums(_ gain: (_ seen: Int) -> Double) throws(KVSieveError) -> HeadTable {
        let table = try table(scores)
        try sum(into: scores, gain)
        let sums = table.divided(by: summedHeads)
        if decodes && !work.holdsSoftmaxRows { try keepSums() }
        return sums
    }

    /// Decoding by the sums of all rows begins with these, whatever the method makes of its table.
    private func keepSums() throws(KVSieveError) {
        try work.allRowSums.reserve(rows: shape.heads, width: length.longest)
        guard let source = scores.start, let copy = work.allRowSums.start else { return }
        copy.update(from: source, count: shape.heads * length.longest)
        work.holdsAllRowSums = true
    }

    /// (Hq, columns of `each`): the column sums of each query head by itself. `each` reduces one group at a time, so that the sums
    /// of all heads are never held at once.
    /// - Parameter each: from (G, n), one key/value head's; called for the heads in order.
    public func attentionOfQueryHeads(
        _ each: (_ sums: HeadTable) throws(KVSieveError) -> HeadTable
    ) throws(KVSieveError) -> HeadTable {
        let group = shape.group
        var columns = HeadTable.Columns.rows(length)
        try forEachGroup { (head, sums) throws(KVSieveError) in
            remember(sums, of: head)
            let made = try each(sums)
            if head == 0 {
                columns = made.columns
                try scores.reserve(rows: shape.queryHeads, width: made.longest)
            }
            for row in 0..<group {
                guard let source = made.start(row), let out = scores.row(head * group + row) else { continue }
                out.update(from: source, count: made.width(row))
            }
        }
        work.holdsSoftmaxRows = true
        // Rows begin where the memory begins, whatever was cut off.
        if case .candidates(let frame) = columns { columns = .units(frame) }
        return HeadTable(scores, work, columns, rows: shape.queryHeads, rowsOfHead: group)
    }

    /// A key/value head's attention is that of its query heads.
    private func remember(_ sums: HeadTable, of head: Int) {
        guard let out = remembered?.row(head) else { return }
        out.update(repeating: 0, count: length.rows(head))
        for row in 0..<sums.rows {
            guard let numbers = sums.start(row) else { continue }
            for j in 0..<length.rows(head) { out[j] += numbers[j] }
        }
    }

    private func forEachGroup(
        _ body: (_ head: Int, _ sums: HeadTable) throws(KVSieveError) -> Void
    ) throws(KVSieveError) {
        if let given = try GivenSums(view, work) { return try given.forEachGroup(work, body) }
        try WindowAttention(view, work).forEachGroup(work, body)
    }

    /// Column sums, (H, n), not divided by the group.
    func sum(into memory: TableMemory, _ gain: (_ seen: Int) -> Double) throws(KVSieveError) {
        if let given = try GivenSums(view, work, gain: gain) {
            try given.writeSums(to: memory, work)
            work.holdsSoftmaxRows = view.windowRows < length.new
            return
        }
        guard view.queries?.tokens == length.new, length.new > Self.block else {
            memory.clear()
            try WindowAttention(view, work, gain: gain).addSums(to: memory, work)
            work.holdsSoftmaxRows = true
            return
        }
        try sumInBlocks(into: memory, gain)
    }

    /// Query rows that go together: with the group's heads some vectors of rows, few tokens beyond the diagonal.
    private static var block: Int { 64 }

    /// The rows of all tokens in blocks: a block is the last window of a sequence that ends with the block.
    /// Cost: T^2/2 logits a query head.
    private func sumInBlocks(
        into memory: TableMemory, _ gain: (_ seen: Int) -> Double
    ) throws(KVSieveError) {
        guard let queries = view.queries, let keys = view.keys else { throw missing("queries or keys") }
        memory.clear()
        // The longest first: buffers are reserved once, and threads that share its heads share those of all.
        var sideBySide = true
        var end = length.new
        while end > 0 {
            let first = max(0, end - Self.block)
            let later = length.new - end
            let part = LayerView(
                view, before: later, queries: queries.tokens(first..<end),
                keys: keys.tokens(0..<(length.longest - later)))
            sideBySide = try WindowAttention(part, work, gain: gain)
                .addSums(to: memory, work, sideBySide: sideBySide)
            end = first
        }
    }
}
