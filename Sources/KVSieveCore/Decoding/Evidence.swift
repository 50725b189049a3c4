// What is known of the worth of a layer's slots while its sequence is decoded. A kind of evidence is a file: it owns its
// memory, what it begins with from the prompt, and how a token's part is taken back.
//
// A step of m tokens asks, after prepare(m) and begin(m): for each choice (a head, or the layer where its heads go together)
// and each token in order add(), and then keep(). The choices of a step run on any threads, each on one.

protocol Evidence: AnyObject, Sendable {
    /// Are score rows read at all?
    var readsRows: Bool { get }

    /// As new.
    func clear() throws(KVSieveError)

    /// What the prompt says of the slots that are kept.
    func begin(_ prompt: PromptEvidence) throws(KVSieveError)

    /// Memory for steps of up to `tokens` tokens; what the last step left stays, as it may still be taken back.
    func prepare(_ tokens: Int) throws(KVSieveError)

    /// A step of `tokens` tokens begins: nothing before it can be taken back any more, and nothing fails from here on.
    func beginStep(_ tokens: Int)

    /// The row of the step's token `token` joins: totals[s] of each living slot, and of the token itself behind them, as
    /// floats.
    /// - Parameter weights: what totals will be multiplied with.
    func add(
        _ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, weights: UnsafePointer<Float>?,
        into totals: UnsafeMutablePointer<Float>)

    /// A slot's total after add(), exactly.
    func total(choice: Int, token: Int, slot: Int, _ totals: UnsafePointer<Float>) -> Double

    /// The token whose row was added goes to `slot`, which is the one behind the living or one that it takes over.
    func keep(_ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, slot: Int)

    /// All choices have taken the step's tokens.
    func endStep(_ tokens: Int)

    /// Of the last step, of which `tokens` tokens are still there, the newest `count` never came.
    func undo(_ count: Int, of tokens: Int)

    /// Asks for the short pieces of memory that a step reads.
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
