// What a layer is ranked by: the table where it lies, or a copy; counted once for each score.
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct LayerScoresTests {
    private static let lengths: [[Int]] = [[12, 12, 12], [12, 9, 11]]
    private let work = Workspace(threads: 1)

    private func numbers(_ lengths: [Int]) -> [[Float]] {
        lengths.enumerated().map { head, rows in (0..<rows).map { Float(100 * head + $0) } }
    }

    /// A table in the scores' own memory is taken as it lies; one in other memory is copied, and may change afterwards.
    @Test(arguments: lengths, [true, false]) func aTableIsTakenOrCopied(_ lengths: [Int], _ own: Bool) throws {
        let frame = Frame(cacheLength(lengths), sinks: 2, recent: 3)
        let numbers = numbers(lengths)
        let scores = LayerScores(work.account)
        let memory = own ? scores.memory : TableMemory(work.account)
        let table = try fill(memory, numbers, work, columns: .rows(frame.length)).candidates(frame)
        try scores.take(table)
        if !own { memory.clear() }
        #expect(scores.rows == 3 && scores.units == 7)
        #expect(scores.entries == (0..<3).reduce(0) { $0 + frame.of($1).units })
        for head in 0..<3 { #expect(scores.copy(head) == Array(numbers[head][frame.of(head).candidates])) }
        var seen: [[Float]] = []
        scores.forEachRow { seen.append(Array($0)) }
        #expect(seen == (0..<3).map { scores.copy($0) })
    }

    @Test(arguments: [true, false]) func oneRowIsEveryHeads(_ own: Bool) throws {
        let frame = Frame(CacheLength(prompt: 8), sinks: 1, recent: 2)
        let scores = LayerScores(work.account)
        let memory = own ? scores.memory : TableMemory(work.account)
        let table = try fill(memory, numbers([8, 8]), work, columns: .rows(frame.length)).meanOfRows().candidates(frame)
        try scores.take(table)
        #expect(scores.rows == 1 && scores.entries == 5)
        for head in [0, 1, 7] { #expect(scores.copy(head) == [51, 52, 53, 54, 55]) }
    }

    /// Memory that is used again is counted again.
    @Test func theHistogramIsOfTheNumbersThatWereTaken() throws {
        let scores = LayerScores(work.account)
        var asked = 0
        func counts() throws -> [Int] {
            let counts = try scores.histogram(4) { (value) in
                asked += 1
                return Int(value)
            }
            return (0..<4).map { counts[$0] }
        }
        try scores.take(fill(scores.memory, [[0, 1, 1], [3, 3, 3]], work))
        #expect(try counts() == [1, 2, 0, 3])
        #expect(try counts() == [1, 2, 0, 3] && asked == 6, "counted once")
        try scores.take(fill(scores.memory, [[2, 2]], work))
        #expect(try counts() == [0, 0, 2, 0])
    }

    @Test func beforeAScoreThereIsNothing() {
        let scores = LayerScores(work.account)
        #expect((scores.rows, scores.units, scores.entries) == (0, 0, 0))
        #expect(scores.copy(0).isEmpty && scores.marks.isEmpty)
    }

    @Test func aCopyThatIsRefusedIsAnError() throws {
        let account = MemoryAccount(limit: 0)
        let table = try makeTable([[1, 2, 3]], work)
        #expect(refusal { try LayerScores(account).take(table) }?.kind == .memory)
        #expect(account.held == 0)
    }
}
