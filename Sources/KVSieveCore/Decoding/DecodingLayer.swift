// One layer while its sequence is decoded: its heads, which all have the same number of slots, and a journal of the last call.
//
// Memory a head: C positions, `recent` slots; by the last r rows (r + 1) C floats and r slots, by all rows C doubles; with
// value norms C + kernel floats. For each token of the longest call so far a spare row, C floats or C doubles.

import CSupport

final class DecodingLayer: @unchecked Sendable {
    private(set) var rule: DecodeRule
    let heads: Int
    /// Slots that hold a token, the same in every head.
    private(set) var living = 0
    /// Tokens of the last call that can be taken back.
    private(set) var undoable = 0
    private var place = RollingScores.Place()
    /// Of each token of the last call: living slots and place before it came.
    private var before: [(living: Int, place: RollingScores.Place)] = []
    private let integers: Buffer<Int32>
    private let floats: Buffer<Float>
    private let entries: Buffer<DecodingHead.Entry>
    private let rows: JournaledRows<Float>?
    private let sums: JournaledRows<Double>?
    private var all: [DecodingHead] = []

    private var width: Int { rule.budget }
    /// Positions, `recent` slots, slots of the ring's rows.
    private var integersOfHead: Int { width + rule.recent + rule.rows }

    init(_ rule: DecodeRule, heads: Int, _ account: MemoryAccount) throws(KVSieveError) {
        self.rule = rule
        self.heads = heads
        integers = Buffer(account)
        floats = Buffer(account)
        entries = Buffer(account)
        let byRows = rule.rows > 0
        rows = byRows ? try JournaledRows(heads: heads, rows: rule.rows, width: rule.budget, account) : nil
        // A total more: that of the token that comes.
        sums = byRows ? nil : try JournaledRows(heads: heads, rows: 1, width: rule.budget + 1, account)
        try clear(rule)
    }

    /// The prefix, gamma and norms.
    private var floatsOfHead: Int { (rule.rows > 0 ? width : 0) + (rule.valueKernel.map { width + $0 } ?? 0) }

    /// Does a sequence by this rule need exactly this memory?
    func suits(_ other: DecodeRule) -> Bool {
        other.budget == rule.budget && other.recent == rule.recent && other.rows == rule.rows
            && other.valueKernel == rule.valueKernel
    }

    /// As new, for a rule that suits.
    func clear(_ rule: DecodeRule) throws(KVSieveError) {
        self.rule = rule
        let (width, floatsOfHead, integersOfHead) = (width, floatsOfHead, integersOfHead)
        let integers = try integers.reserve(heads * integersOfHead)
        let floats = try floats.reserve(max(1, heads * floatsOfHead))
        try rows?.clear()
        try sums?.clear()
        integers.update(repeating: 0, count: heads * integersOfHead)
        floats.update(repeating: 0, count: heads * floatsOfHead)
        all.removeAll(keepingCapacity: true)
        for head in 0..<heads {
            let numbers = integers + head * integersOfHead
            let prefix = floats + head * floatsOfHead
            let gamma = rule.rows > 0 ? prefix + width : prefix
            let taken = numbers + width + rule.recent
            taken.update(repeating: -1, count: rule.rows)
            let rolling = rows.map {
                RollingScores(rows: rule.rows, width: width, ring: $0.of(head), prefix: prefix, taken: taken)
            }
            all.append(
                DecodingHead(
                    rule: rule, positions: numbers, recentSlots: numbers + width, gamma: gamma, norms: gamma + width,
                    rolling: rolling, running: sums.map { RunningScores(place: $0.of(head)) }))
        }
        living = 0
        undoable = 0
        place = RollingScores.Place()
        before.removeAll(keepingCapacity: true)
    }

    func head(_ index: Int) -> DecodingHead { all[index] }

    /// The position in each slot of a head.
    func positions(_ head: Int) -> UnsafeBufferPointer<Int32> {
        UnsafeBufferPointer(start: all[head].positions, count: living)
    }

    /// After the prefill's evidence was written into the heads.
    func begin(living: Int, rows: Int) {
        self.living = living
        place = RollingScores.Place(index: rows)
        for head in all { head.rolling?.restorePrefix(place) }
        undoable = 0
    }

    /// The tokens first ..< first + m arrive. On failure nothing has changed.
    /// - Parameter evict: (H, m): the slot a token moves to, -1 when it stays.
    func step(
        _ input: StepInput, first: Int, _ work: Workspace, evict: UnsafeMutablePointer<Int32>
    ) throws(KVSieveError) {
        let tokens = input.tokens
        try input.reserve(work)
        prefetch(input)
        let findings = try Findings(heads, input, work)
        try work.forEach(heads, CheckHeads(layer: self, input: input, workspace: work, findings: findings))
        // What the last call wrote stays until nothing can fail: it may still be taken back.
        try entries.grow(heads * tokens)
        try rows?.prepare(tokens)
        try sums?.prepare(tokens)
        for worker in work.workers {
            try worker.row.reserve(scratchOfHead(input))
            try worker.ranks.reserve(width + 1)
        }
        // From here on nothing fails.
        var places = place
        for head in all { if let rolling = head.rolling { places = rolling.settle(place) } }
        place = places
        before.removeAll(keepingCapacity: true)
        for _ in 0..<tokens {
            before.append((min(living + before.count, width), places))
            if let rolling = all.first?.rolling { places = rolling.following(places) }
        }
        try work.forEach(
            heads,
            StepHeads(
                layer: self, input: input, workspace: work, findings: findings, first: first, evict: evict))
        place = places
        living = min(living + tokens, width)
        undoable = tokens
    }

    /// Sequences are many and layers too: by its next token a layer's numbers are back in memory. Rows are read so that the
    /// processor foresees them; the short pieces of all heads are asked for here, together.
    private func prefetch(_ input: StepInput) {
        for index in 0..<all.count {
            input.prefetch(index, 0)
            all[index].prefetch(place)
            if let rows { support_prefetch(rows.spare(index, 0)) }
            if let sums { support_prefetch(sums.spare(index, 0)) }
        }
    }

    /// Logits of a head, all finite where they are looked at; squared norms of the new values.
    func check(
        _ input: StepInput, _ head: Int, _ work: Workspace, _ worker: WorkerBuffers, _ findings: Findings.OfHead
    ) throws(KVSieveError) {
        let logits = try input.logits(head, work)
        for row in 0..<(input.shape.group * input.tokens) {
            let visible = living + row % input.tokens + 1
            findings.maxima[row] = kernels.row_maximum(logits[row], Int64(visible))
            guard findings.maxima[row].isFinite else {
                throw KVSieveError(
                    .nonfinite,
                    "logits of layer \(input.layer), kv head \(head), new token \(row % input.tokens) have NaN or infinity"
                )
            }
        }
        guard let kernel = rule.valueKernel else { return }
        for i in 0..<input.tokens {
            findings.norms[i] = try input.norm(head, i, worker)
            guard (findings.norms[i] * Float(kernel)).isFinite else {
                throw KVSieveError(
                    .nonfinite,
                    "values of layer \(input.layer), kv head \(head), new token \(i) have NaN or infinity, or a squared norm"
                        + " that overflows")
            }
        }
    }

    /// Exponentials of a group's rows, the newest row, totals, and the rows' weights.
    private func scratchOfHead(_ input: StepInput) -> Int {
        (input.shape.group + 2) * (input.rows + 1) + input.shape.group
    }

    /// One head's tokens, one after another.
    func step(
        _ index: Int, _ input: StepInput, _ logits: LogitRows, _ first: Int, _ worker: WorkerBuffers,
        _ findings: Findings.OfHead, _ evict: UnsafeMutablePointer<Int32>
    ) throws(KVSieveError) {
        let head = all[index]
        let (tokens, group) = (input.tokens, input.shape.group)
        let length = input.rows + 1
        let scratch = try worker.row.reserve(scratchOfHead(input))
        // Where a slot's row is while the caller has not moved any.
        let standing = try worker.ranks.reserve(width + 1)
        let entries = try entries.reserve(heads * tokens) + index * tokens
        let (exponentials, newest, totals) = (scratch, scratch + group * length, scratch + (group + 1) * length)
        let weights = scratch + (group + 2) * length
        if tokens > 1 { for slot in 0..<living { standing[slot] = Int32(truncatingIfNeeded: slot) } }
        for i in 0..<tokens {
            let (count, place) = before[i]
            let position = first + i
            let gain = Float(rule.gain(position + 1))
            standing[count] = Int32(truncatingIfNeeded: living + i)
            for g in 0..<group {
                let row = exponentials + g * length
                var z = logits[g * tokens + i]
                var maximum = findings.maxima[g]
                if tokens > 1 {
                    for slot in 0...count { row[slot] = z[Int(standing[slot])] }
                    z = UnsafePointer(row)
                    maximum = kernels.row_maximum(z, Int64(count + 1))
                }
                let sum = kernels.row_exponentials(z, Int64(count + 1), maximum, gain, row)
                weights[g] = 1 / (sum * Float(group))
            }
            kernels.weighted_rows(exponentials, Int64(group), Int64(length), weights, Int64(count + 1), newest)
            var entry = DecodingHead.Entry()
            entry.oldNorm = head.norm(at: position)
            if rule.valueKernel != nil { head.addNorm(findings.norms[i], position: position) }
            var slot = count
            if let rolling = head.rolling, let rows {
                let spare = rows.spare(index, i)
                let at = rolling.join(
                    newest, living: count, place, spare: spare.pointee, weights: head.weights, into: totals)
                if count == width {
                    slot = head.worst(
                        UnsafePointer(totals), rounded: totals, count, newest: position, minima: exponentials)
                }
                entry.oldTaken = rolling.push(own: newest[count], living: count, slot: slot, at, spare)
            } else if let running = head.running, let sums {
                let spare = sums.spare(index, i)
                running.total(newest, living: count, into: spare.pointee, rounded: totals)
                if count == width {
                    slot = head.worst(
                        UnsafePointer(spare.pointee), rounded: totals, count, newest: position, minima: exponentials)
                }
                running.push(living: count, slot: slot, spare)
            }
            head.place(position, slot, &entry)
            standing[slot] = Int32(truncatingIfNeeded: living + i)
            entry.moves = slot != living + i
            entries[i] = entry
            evict[i] = entry.moves ? entry.slot : -1
        }
    }

    /// The newest `count` tokens, of positions ... last, never came.
    func undo(_ count: Int, last: Int) throws(KVSieveError) {
        let tokens = before.count
        let entries = try entries.reserve(heads * tokens)
        let remaining = undoable - count
        let (livingBefore, placeBefore) = before[remaining]
        for (index, head) in all.enumerated() {
            for back in 0..<count {
                let i = undoable - 1 - back
                let entry = entries[index * tokens + i]
                if let rolling = head.rolling, let rows {
                    rolling.pop(rolling.placed(before[i].place), rows.spare(index, i), taken: entry.oldTaken)
                }
                if let sums { head.running?.pop(sums.spare(index, i)) }
                head.takeBack(last - back, entry)
            }
            head.rolling?.restorePrefix(placeBefore)
        }
        living = livingBefore
        place = placeBefore
        undoable = remaining
    }
}
