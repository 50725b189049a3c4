// Evidence: sums of the last r score rows over a choice's slots (AhaKV, TOVA). RowBlocks adds them up without drift.

import CSupport

final class LastRowsSum: Evidence, @unchecked Sendable {
    private let rows: UndoableRows<Float>
    private let choices: Int
    /// r.
    private let count: Int
    private let width: Int
    /// A prefix a choice.
    private let prefixes: Buffer<Float>
    /// (choices, r): see RowBlocks.taken.
    private let slots: Buffer<Int32>
    /// (tokens, choices): what `taken` said of the rows that the last step replaced.
    private let replaced: Buffer<Int32>
    private var replacedSlots: UnsafeMutablePointer<Int32>
    private var blocks: [RowBlocks] = []
    private var place = RowBlocks.Place()
    /// The place before each token of the last step, and the one after the last of them.
    private var places: [RowBlocks.Place] = []

    init(choices: Int, rows count: Int, width: Int, _ account: MemoryAccount) throws(KVSieveError) {
        self.choices = choices
        self.count = count
        self.width = width
        rows = try UndoableRows(choices: choices, rows: count, width: width, account)
        prefixes = Buffer(account)
        slots = Buffer(account)
        replaced = Buffer(account)
        replacedSlots = try replaced.reserve(choices)
        let prefix = try prefixes.reserve(choices * width)
        let taken = try slots.reserve(choices * count)
        blocks = (0..<choices).map {
            RowBlocks(
                rows: count, width: width, ring: rows.of($0), prefix: prefix + $0 * width, taken: taken + $0 * count)
        }
        try clear()
    }

    var readsRows: Bool { true }

    func clear() throws(KVSieveError) {
        try rows.clear()
        try prefixes.reserve(choices * width).update(repeating: 0, count: choices * width)
        try slots.reserve(choices * count).update(repeating: -1, count: choices * count)
        place = RowBlocks.Place()
        places.removeAll(keepingCapacity: true)
    }

    /// The rows of the prompt's window.
    func begin(_ prompt: PromptEvidence) throws(KVSieveError) {
        let rows = try prompt.addRows(to: blocks)
        place = RowBlocks.Place(index: rows)
        for choice in blocks { choice.restorePrefix(place) }
    }

    func prepare(_ tokens: Int) throws(KVSieveError) {
        try rows.prepare(tokens)
        replacedSlots = try replaced.grow(tokens * choices)
    }

    func beginStep(_ tokens: Int) {
        var settled = place
        for choice in blocks { settled = choice.settle(place) }
        places.removeAll(keepingCapacity: true)
        places.append(settled)
        guard let first = blocks.first else { return }
        for token in 0..<tokens { places.append(first.following(places[token])) }
    }

    func add(
        _ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, weights: UnsafePointer<Float>?,
        into totals: UnsafeMutablePointer<Float>
    ) {
        blocks[choice].join(
            row, living: living, places[token], spare: rows.spare(choice, token).pointee, weights: weights, into: totals
        )
        totals[living] = row[living]
    }

    func total(choice: Int, token: Int, slot: Int, _ totals: UnsafePointer<Float>) -> Double { Double(totals[slot]) }

    func keep(_ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, slot: Int) {
        let place = blocks[choice].placed(places[token])
        rows.exchange(choice, row: place.index, token: token)
        replacedSlots[token * choices + choice] = blocks[choice].pushed(
            own: row[living], living: living, slot: slot, place)
    }

    func endStep(_ tokens: Int) { place = places[tokens] }

    func undo(_ count: Int, of tokens: Int) {
        for choice in 0..<choices {
            let block = blocks[choice]
            for back in 0..<count {
                let token = tokens - 1 - back
                let place = block.placed(places[token])
                rows.exchange(choice, row: place.index, token: token)
                block.taken[place.index] = replacedSlots[token * choices + choice]
            }
            block.restorePrefix(places[tokens - count])
        }
        place = places[tokens - count]
    }

    func prefetch(choice: Int) {
        blocks[choice].prefetch(place)
        support_prefetch(blocks[choice].taken)
        support_prefetch(rows.spare(choice, 0))
    }
}
