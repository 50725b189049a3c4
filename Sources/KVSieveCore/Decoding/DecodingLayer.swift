// One layer while its sequence is decoded: its choices (a head each, or one for all heads), which all have the same number of
// slots, the evidence for them, and what is needed to take the last step back.
//
// Memory a choice: C positions, `recent` slots, a slot a protected token; C + 1 slots in order where scores are pooled; with
// value norms C + kernel floats; and the evidence's. For each token of the longest step so far an entry a choice.

import CSupport

final class DecodingLayer: @unchecked Sendable {
    private(set) var rule: DecodeRule
    let heads: Int
    let choices: Int
    /// Slots that hold a token, the same in every head.
    private(set) var living = 0
    /// Tokens of the last step that can be taken back, and the slots in use before each of them.
    private var undoable = 0
    private var livingBefore: [Int] = []
    private let integers: Buffer<Int32>
    private let floats: Buffer<Float>
    private let entries: Buffer<HeadSlots.Entry>
    private let evidence: any Evidence
    private var all: [HeadSlots] = []

    private var width: Int { rule.budget }
    /// Positions, `recent` slots, protected ones, slots in order.
    private var integersOfChoice: Int {
        width + rule.recent + rule.protected + (rule.pooled == nil ? 0 : width + 1)
    }
    /// gamma and norms.
    private var floatsOfChoice: Int { rule.valueKernel.map { width + $0 } ?? 0 }

    init(_ rule: DecodeRule, heads: Int, _ account: MemoryAccount) throws(KVSieveError) {
        self.rule = rule
        self.heads = heads
        choices = rule.together ? 1 : heads
        integers = Buffer(account)
        floats = Buffer(account)
        entries = Buffer(account)
        evidence = try rule.makeEvidence(choices: choices, account)
        try clear(rule)
    }

    /// As new, for a rule that needs the same memory.
    func clear(_ rule: DecodeRule) throws(KVSieveError) {
        self.rule = rule
        let integers = try integers.reserve(choices * integersOfChoice)
        let floats = try floats.reserve(max(1, choices * floatsOfChoice))
        try evidence.clear()
        integers.update(repeating: 0, count: choices * integersOfChoice)
        floats.update(repeating: 0, count: choices * floatsOfChoice)
        all.removeAll(keepingCapacity: true)
        for choice in 0..<choices {
            let positions = integers + choice * integersOfChoice
            let gamma = floats + choice * floatsOfChoice
            all.append(
                HeadSlots(
                    rule: rule, positions: positions, recentSlots: positions + width,
                    protectedSlots: positions + width + rule.recent,
                    order: rule.pooled.map { _ in
                        SlotOrder(slots: positions + width + rule.recent + rule.protected, positions: positions)
                    }, gamma: gamma, norms: gamma + width))
        }
        living = 0
        undoable = 0
        livingBefore.removeAll(keepingCapacity: true)
    }

    private func choice(of head: Int) -> Int { choices == heads ? head : 0 }

    /// The position in each slot of a head.
    func positions(_ head: Int) -> UnsafeBufferPointer<Int32> {
        UnsafeBufferPointer(start: all[choice(of: head)].positions, count: living)
    }

    /// Begins with what the prompt says of the kept tokens.
    func begin(_ prompt: PromptEvidence) throws(KVSieveError) {
        guard prompt.selection.longest <= width else {
            throw KVSieveError(
                .budget,
                "layer \(prompt.layer.index) keeps \(prompt.selection.longest) tokens a head, and decoding has \(width) slots"
            )
        }
        try evidence.begin(prompt)
        let seen = prompt.layer.length.seen
        for choice in 0..<choices {
            let slots = all[choice]
            prompt.forEachProtectedSlot(choice) { number, slot in
                slots.protectedSlots[number] = Int32(truncatingIfNeeded: slot)
            }
            prompt.forEachSlot(choice) { slot, position in
                slots.positions[slot] = Int32(truncatingIfNeeded: position)
                slots.order?.slots[slot] = Int32(truncatingIfNeeded: slot)
                if position >= seen - rule.recent {
                    slots.recentSlots[position % rule.recent] = Int32(truncatingIfNeeded: slot)
                }
            }
        }
        if let kernel = rule.valueKernel {
            try prompt.layer.work.forEach(heads, PromptNorms(prompt, all, kernel))
        }
        living = prompt.selection.longest
        undoable = 0
    }

    /// Takes the tokens first ..< first + m. On failure nothing has changed.
    /// - Parameter slot: (H, m): the slot that a token moves to, -1 if it does not move.
    func step(
        _ input: StepInput, first: Int, _ work: Workspace, slot: UnsafeMutablePointer<Int32>
    ) throws(KVSieveError) {
        let tokens = input.new
        try input.reserve(work)
        prefetch(input)
        let checked = try CheckedLogits(input, work)
        if evidence.readsRows {
            try work.forEach(
                heads, CheckHeads(rule: rule, living: living, input: input, workspace: work, checked: checked))
        }
        // Nothing of the last step is overwritten while this one can fail: it may still be taken back.
        try entries.grow(choices * tokens)
        try evidence.prepare(tokens)
        for worker in work.workers {
            try worker.stepRows.reserve(scratchOfChoice(input))
            try worker.standing.reserve(width + 1)
        }
        // From here on nothing fails.
        evidence.beginStep(tokens)
        livingBefore.removeAll(keepingCapacity: true)
        for token in 0..<tokens { livingBefore.append(min(living + token, width)) }
        try work.forEach(
            choices,
            StepChoices(
                layer: self, input: input, workspace: work, checked: checked, first: first, slot: slot))
        for head in 1..<max(heads, 1) where choices == 1 {
            (slot + head * tokens).update(from: slot, count: tokens)
        }
        evidence.endStep(tokens)
        living = min(living + tokens, width)
        undoable = tokens
    }

    /// Between two tokens of a layer its numbers fall out of the caches. The processor foresees the reading of rows; the short
    /// pieces of all heads are prefetched here, together.
    private func prefetch(_ input: StepInput) {
        for choice in 0..<choices {
            input.prefetch(choice, 0)
            all[choice].prefetch()
            evidence.prefetch(choice: choice)
        }
    }

    /// Exponentials of a choice's rows, the newest row, totals, the rows' weights, and four rows where totals are pooled.
    private func scratchOfChoice(_ input: StepInput) -> Int {
        let rows = input.shape.queryHeads / choices
        return (rows + 2 + (rule.pooled == nil ? 0 : 4)) * (input.rows + 1) + rows
    }

    /// One choice's tokens, one after another.
    func step(_ index: Int, _ step: StepChoices, _ worker: WorkerBuffers) throws(KVSieveError) {
        let (slots, input) = (all[index], step.input)
        let (tokens, rows) = (input.new, input.shape.queryHeads / choices)
        let length = input.rows + 1
        // None where no row is read: nothing is reserved for them.
        let logits = evidence.readsRows ? try input.logits(fromQueryHead: index * rows, step.workspace) : nil
        let maxima = step.checked.maxima(fromQueryHead: index * rows)
        let exponentials = try worker.stepRows.reserve(scratchOfChoice(input))
        let (newest, totals) = (exponentials + rows * length, exponentials + (rows + 1) * length)
        let weights = totals + length
        // Where a slot's row is while the caller has not moved any.
        let standing = try worker.standing.reserve(width + 1)
        let entries = try entries.reserve(choices * tokens) + index * tokens
        if tokens > 1 { for slot in 0..<living { standing[slot] = Int32(truncatingIfNeeded: slot) } }
        for i in 0..<tokens {
            let (count, position) = (livingBefore[i], step.first + i)
            standing[count] = Int32(truncatingIfNeeded: living + i)
            var entry = HeadSlots.Entry()
            entry.oldNorm = slots.norm(at: position)
            var slot = count
            if let logits {
                let gain = Float(rule.gain(position + 1))
                for g in 0..<rows {
                    let row = exponentials + g * length
                    var z = logits[g * tokens + i]
                    var maximum = maxima[g]
                    if tokens > 1 {
                        for slot in 0...count { row[slot] = z[Int(standing[slot])] }
                        z = UnsafePointer(row)
                        maximum = kernels.row_maximum(z, Int64(count + 1))
                    }
                    let sum = kernels.row_exponentials(z, Int64(count + 1), maximum, gain, row)
                    weights[g] = 1 / (sum * Float(rows))
                }
                kernels.weighted_rows(exponentials, Int64(rows), Int64(length), weights, Int64(count + 1), newest)
                if rule.valueKernel != nil { slots.addNorm(step.checked.norms(index)[i], position: position) }
                evidence.add(
                    newest, choice: index, token: i, living: count, weights: slots.weights, into: totals)
                if count == width {
                    slot = worst(index, i, totals, pooled: weights + rows, newest: position, minima: exponentials)
                }
                evidence.keep(newest, choice: index, token: i, living: count, slot: slot)
            } else if count == width {
                slot = slots.oldest(count)
            }
            slots.place(position, slot, count, &entry)
            standing[slot] = Int32(truncatingIfNeeded: living + i)
            entries[i] = entry
            step.slot[index * tokens + i] = slot != living + i ? entry.slot : -1
        }
    }

    /// The slot to free in a full cache.
    /// - Parameter pooled: where totals are pooled, four rows.
    private func worst(
        _ index: Int, _ token: Int, _ totals: UnsafeMutablePointer<Float>, pooled: UnsafeMutablePointer<Float>,
        newest: Int, minima: UnsafeMutablePointer<Float>
    ) -> Int {
        let slots = all[index]
        guard let pooling = rule.pooled, let order = slots.order else {
            return slots.worst(totals, width, newest: newest, minima: minima) {
                evidence.total(choice: index, token: token, slot: $0, totals)
            }
        }
        order.pool(
            totals, width, newest: newest, pooling.pool, kernel: pooling.kernel, into: pooled,
            scratch: pooled + width + 1)
        return slots.worst(pooled, width, newest: newest, minima: minima) { Double(pooled[$0]) }
    }

    /// Takes the newest `count` tokens back; `last` is the position of the newest.
    func undo(_ count: Int, last: Int) throws(KVSieveError) {
        let tokens = livingBefore.count
        let entries = try entries.reserve(choices * tokens)
        for (index, slots) in all.enumerated() {
            for back in 0..<count {
                let i = undoable - 1 - back
                slots.takeBack(last - back, entries[index * tokens + i], living: livingBefore[i])
            }
        }
        evidence.undo(count, of: undoable)
        undoable -= count
        living = livingBefore[undoable]
    }
}
