// Row i of the prompt's window over the kept slots, as PromptRows makes it, from attention that the engine gave: the kept columns
// of its rows, mean over the group.

struct GivenRows: ParallelWork, @unchecked Sendable {
    let given: GivenSums
    let selection: Selection
    /// A head each, or one for all heads.
    let choices: [RowBlocks]

    /// - Parameter given: its sums were added up.
    init(
        _ given: GivenSums, _ selection: Selection, _ choices: [RowBlocks], _ work: Workspace
    ) throws(KVSieveError) {
        self.given = given
        self.selection = selection
        self.choices = choices
        for worker in work.workers { try worker.attentionRow.reserve(max(selection.longest, given.given.tensor.dim)) }
    }

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let heads = selection.heads
        let target = choices[head * choices.count / heads]
        let share = Float(given.perHead * (heads / choices.count))
        let scratch = try worker.attentionRow.reserve(given.given.tensor.dim)
        let kept = selection.rows + Int(selection.offsets[head])
        for own in (head * given.perHead)..<((head + 1) * given.perHead) {
            for row in 0..<given.rows {
                // Kept rows ascend: those after the row's own are at the end.
                var count = selection.count(head)
                let visible = given.visible(head, row)
                while count > 0, kept[count - 1] >= visible { count -= 1 }
                let weight = given.some(own, row, kept, count, scratch)
                kernels.add_scaled(scratch, weight / share, Int64(count), target.row(row))
            }
        }
    }
}
