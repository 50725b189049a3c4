// Evidence: sums of all score rows over a choice's slots (H2O), in double: after 100,000 rows a float sum does not change by 1e-3.

import CSupport

final class AllRowsSum: Evidence, @unchecked Sendable {
    /// A row of sums for each choice, and one number more for the new token.
    private let sums: UndoableRows<Double>
    private let choices: Int

    init(choices: Int, width: Int, _ account: MemoryAccount) throws(KVSieveError) {
        self.choices = choices
        sums = try UndoableRows(choices: choices, rows: 1, width: width + 1, account)
    }

    var readsRows: Bool { true }
    func clear() throws(KVSieveError) { try sums.clear() }

    /// The column sums of the prompt.
    func begin(_ prompt: PromptEvidence) throws(KVSieveError) {
        let table = try prompt.allRowSums()
        let heads = prompt.selection.heads
        for head in 0..<heads {
            let (row, target) = (table.row(head), sums.of(head * choices / heads).pointee)
            prompt.forEachSlot(head) { slot, position in
                target[slot] += Double(row[position]) / Double(heads / choices)
            }
        }
    }

    func prepare(_ tokens: Int) throws(KVSieveError) { try sums.prepare(tokens) }
    func beginStep(_ tokens: Int) {}

    func add(
        _ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, weights: UnsafePointer<Float>?,
        into totals: UnsafeMutablePointer<Float>
    ) {
        let exact = sums.spare(choice, token).pointee
        kernels.run_row(row, sums.of(choice).pointee, Int64(living), exact, totals)
        exact[living] = Double(row[living])
        totals[living] = row[living]
    }

    func total(choice: Int, token: Int, slot: Int, _ totals: UnsafePointer<Float>) -> Double {
        sums.spare(choice, token).pointee[slot]
    }

    func keep(_ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, slot: Int) {
        sums.exchange(choice, row: 0, token: token)
        let current = sums.of(choice).pointee
        current[slot] = current[living]
    }

    func endStep(_ tokens: Int) {}

    func undo(_ count: Int, of tokens: Int) {
        for choice in 0..<choices {
            for back in 0..<count { sums.exchange(choice, row: 0, token: tokens - 1 - back) }
        }
    }

    func prefetch(choice: Int) {
        support_prefetch(sums.of(choice))
        support_prefetch(sums.spare(choice, 0))
    }
}
