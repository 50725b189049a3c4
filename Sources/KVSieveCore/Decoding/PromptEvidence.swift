// The prompt's numbers of the kept tokens, with which a decoding layer begins.

struct PromptEvidence {
    let layer: Layer
    let selection: Selection
    let rule: DecodeRule

    /// Slots of a head and the positions that they hold, in order.
    func forEachSlot(_ head: Int, _ body: (_ slot: Int, _ position: Int) -> Void) {
        let first = Int(selection.offsets[head])
        for index in first..<Int(selection.offsets[head + 1]) { body(index - first, Int(selection.positions[index])) }
    }

    /// Slots of a head that hold protected tokens after the sinks, in order: 0, 1, ..., as many as the rule has.
    func forEachProtectedSlot(_ head: Int, _ body: (_ number: Int, _ slot: Int) -> Void) {
        let protected = selection.frame.length.protected
        var (number, range) = (0, 0)
        forEachSlot(head) { slot, position in
            while range < protected.count, protected.positions(range).upperBound <= position { range += 1 }
            guard range < protected.count, number < rule.protected, position >= rule.sinks else { return }
            guard position >= protected.positions(range).lowerBound else { return }
            body(number, slot)
            number += 1
        }
    }

    /// Column sums over all rows of the prompt, (H, T), mean over the group: those of the layer's score where it made them.
    func allRowSums() throws(KVSieveError) -> HeadTable {
        let work = layer.work
        if work.holdsAllRowSums {
            return HeadTable(work.allRowSums, work, .rows(layer.length), rows: layer.shape.heads)
        }
        let table = try layer.table(work.allRowSums)
        try layer.sum(into: work.allRowSums) { _ in 1 }
        return table.divided(by: layer.summedHeads)
    }

    /// Adds each row of the window, over the kept slots, to the row of its choice; returns how many rows there are.
    func addRows(to choices: [RowBlocks]) throws(KVSieveError) -> Int {
        let work = layer.work
        if let given = try GivenSums(layer.view, work, gain: rule.gain) {
            if !work.holdsSoftmaxRows { try given.writeSums(to: emptyTable(), work) }
            try each(choices, GivenRows(given, selection, choices, work))
            return given.rows
        }
        let attention = try WindowAttention(layer.view, work, gain: rule.gain)
        // The softmax of the whole rows is there if the layer was scored by it. A short prompt was not scored.
        if !work.holdsSoftmaxRows { try attention.addSums(to: emptyTable(), work) }
        try each(choices, PromptRows(attention, selection, choices, work))
        return attention.rows
    }

    /// Where sums go that nobody reads.
    private func emptyTable() throws(KVSieveError) -> TableMemory {
        let unused = try layer.table(layer.work.allRowSums).memory
        unused.clear()
        return unused
    }

    private func each(_ choices: [RowBlocks], _ rows: some ParallelWork) throws(KVSieveError) {
        if choices.count == selection.heads { return try layer.work.forEach(selection.heads, rows) }
        // Several heads add to one row.
        for head in 0..<selection.heads { try rows.work(on: head, with: layer.work.caller) }
    }
}
