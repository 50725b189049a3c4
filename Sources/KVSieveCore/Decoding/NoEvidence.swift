// No evidence: the oldest token is evicted.

final class NoEvidence: Evidence {
    var readsRows: Bool { false }
    func clear() {}
    func begin(_ prompt: PromptEvidence) {}
    func prepare(_ tokens: Int) {}
    func beginStep(_ tokens: Int) {}
    func add(
        _ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, weights: UnsafePointer<Float>?,
        into totals: UnsafeMutablePointer<Float>
    ) {}
    func total(choice: Int, token: Int, slot: Int, _ totals: UnsafePointer<Float>) -> Double { 0 }
    func keep(_ row: UnsafePointer<Float>, choice: Int, token: Int, living: Int, slot: Int) {}
    func endStep(_ tokens: Int) {}
    func undo(_ count: Int, of tokens: Int) {}
    func prefetch(choice: Int) {}
}
