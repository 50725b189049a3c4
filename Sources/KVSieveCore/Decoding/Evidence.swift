// The numbers by which a layer's slots are ranked while its sequence is decoded. Each kind of evidence is a file, which has its
// memory, how it begins after the prompt, and how a token's part is taken back.
//
// A step of m tokens asks, after prepare(m) and begin(m): for each choice (a head, or the layer where its heads go together)
// and each token in order add(), and then keep(). The choices of a step run on any threads, each on one.

protocol Evidence: AnyObject, Sendable {
    /// Are score rows read at all?
    var readsRows: Bool { get }

    /// As new.
    func clear() throws(KVSieveError)

    /// Begins with what the prompt says of the kept slots.
    func begin(_ prompt: PromptEvidence) throws(KVSieveError)

    /// Memory for steps of up to `tokens` tokens. The last step can still be taken back after it.
    func prepare(_ tokens: Int) throws(KVSieveError)

    /// A step of `tokens` tokens begins: nothing before it can be taken back any more, and nothing fails from here on.
    func beginStep(_ tokens: Int)

    /// Adds the row of the step's token `token`: totals[s] of each slot in use, then that of the token itself, as floats.
    /// - Parameter weights: what totals will be multiplied with.
    func add(
        _ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, weights: UnsafePointer<Float>?,
        into totals: UnsafeMutablePointer<Float>)

    /// A slot's total after add(), exactly.
    func total(choice: Int, token: Int, slot: Int, _ totals: UnsafePointer<Float>) -> Double

    /// Puts the token whose row was added in `slot`: the first free one, or one that it takes over.
    func keep(_ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, slot: Int)

    /// All choices have taken the step's tokens.
    func endStep(_ tokens: Int)

    /// Takes back the newest `count` of the `tokens` tokens that are left of the last step.
    func undo(_ count: Int, of tokens: Int)

    /// Prefetches the short pieces of memory that a step reads.
    func prefetch(choice: Int)
}

extension DecodeRule {
    /// - Parameter choices: heads, or 1 where they go together.
    func makeEvidence(choices: Int, _ account: MemoryAccount) throws(KVSieveError) -> any Evidence {
        switch evidence {
        case .none: return NoEvidence()
        case .lastRows(let rows): return try LastRowsSum(choices: choices, rows: rows, width: budget, account)
        case .allRows: return try AllRowsSum(choices: choices, width: budget, account)
        }
    }
}
