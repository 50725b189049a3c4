// Verbs on tables against naive double loops: heads of one length and of several, any number of threads.
import TestSupport
import Testing

@testable import KVSieveCore

/// Rows of each head's cache, and which of them are protected.
private struct Shape: Sendable, CustomTestStringConvertible {
    let heads: [Int]
    let sinks: Int, recent: Int
    var unit = 1

    var length: CacheLength { cacheLength(heads) }
    var frame: Frame { Frame(length, sinks: sinks, recent: recent, unit: unit) }
    var testDescription: String { "heads \(heads) sinks \(sinks) recent \(recent) unit \(unit)" }

    /// Numbers in 0 ..< 1 for every row that a head has; `rowsOfHead` rows each.
    func numbers(seed: UInt64, rowsOfHead: Int = 1) -> [[Float]] {
        var random = SplitMix(seed)
        return heads.flatMap { rows in
            (0..<rowsOfHead).map { _ in (0..<rows).map { _ in Float.random(in: 0..<1, using: &random) } }
        }
    }

    static let all: [Shape] = [
        Shape(heads: [50, 50], sinks: 0, recent: 0), Shape(heads: [50, 50, 50], sinks: 4, recent: 9),
        Shape(heads: [50, 37, 44], sinks: 4, recent: 9), Shape(heads: [20, 50, 1], sinks: 0, recent: 0),
        Shape(heads: [50], sinks: 49, recent: 0), Shape(heads: [30, 60], sinks: 20, recent: 10),
        Shape(heads: [300, 129, 257, 1], sinks: 1, recent: 0),
    ]
}

@Suite struct TableVerbsTests {
    private func table(_ shape: Shape, _ numbers: [[Float]], threads: Int = 1, rowsOfHead: Int = 1) throws -> HeadTable
    {
        try makeTable(numbers, Workspace(threads: threads), columns: .rows(shape.length), rowsOfHead: rowsOfHead)
    }

    @Test(arguments: Shape.all, [1, 3]) fileprivate func candidatesAreTheColumnsBetweenTheProtected(
        _ shape: Shape, _ rowsOfHead: Int
    ) throws {
        let numbers = shape.numbers(seed: 1, rowsOfHead: rowsOfHead)
        let table = try table(shape, numbers, rowsOfHead: rowsOfHead)
        for (row, floats) in numbers.enumerated() { #expect(table.copy(row) == floats) }
        let cut = table.candidates(shape.frame)
        for (row, floats) in numbers.enumerated() {
            #expect(cut.copy(row) == Array(floats[shape.frame.of(row / rowsOfHead).candidates]))
        }
        #expect(cut.longest == shape.frame.candidates.count)
    }

    @Test(arguments: Shape.all, [1, 3, 7, 63]) fileprivate func meansRunOverWhatIsThere(
        _ shape: Shape, _ kernel: Int
    ) throws {
        try checkPooling(shape, .mean, kernel)
    }

    @Test(arguments: Shape.all, [1, 3, 7, 63]) fileprivate func maximaRunOverWhatIsThere(
        _ shape: Shape, _ kernel: Int
    ) throws {
        try checkPooling(shape, .max, kernel)
    }

    /// Nothing leaks in from sinks or recent rows: they are infinite here, and do not change.
    private func checkPooling(_ shape: Shape, _ pool: Pool, _ kernel: Int) throws {
        var numbers = shape.numbers(seed: 2)
        for head in shape.heads.indices {
            let candidates = shape.frame.of(head).candidates
            for j in numbers[head].indices where !candidates.contains(j) { numbers[head][j] = .infinity }
        }
        for threads in [1, 4] {
            let table = try table(shape, numbers, threads: threads)
            let pooled = try table.candidates(shape.frame).pooled(pool, kernel: kernel)
            for (head, floats) in numbers.enumerated() {
                let candidates = shape.frame.of(head).candidates
                let exact = naivePool(Array(floats[candidates]), pool, kernel)
                #expect(furthest(pooled.copy(head), exact) <= 4e-6, "\(threads) threads, seed 2")
                #expect(
                    table.copy(head).indices.allSatisfy { candidates.contains($0) || table.copy(head)[$0] == .infinity }
                )
            }
        }
    }

    @Test(arguments: Shape.all) fileprivate func numbersAreMultipliedDividedAndNegated(_ shape: Shape) throws {
        let (numbers, others) = (shape.numbers(seed: 3), shape.numbers(seed: 4))
        let product = try table(shape, numbers).times(table(shape, others))
        let quotient = try table(shape, numbers).divided(by: 7)
        let negative = try table(shape, numbers).negated()
        for (head, floats) in numbers.enumerated() {
            #expect(product.copy(head) == zip(floats, others[head]).map { $0 * $1 })
            #expect(furthest(quotient.copy(head), floats.map { Double($0) / 7 }) <= 2e-7)
            #expect(negative.copy(head) == floats.map { -$0 })
        }
        #expect(try table(shape, numbers).divided(by: 1).copy(0) == numbers[0])
    }

    /// Candidates are multiplied with candidates, wherever the rows of either begin.
    @Test(arguments: Shape.all) fileprivate func candidatesAreMultipliedWithTheSameCandidates(_ shape: Shape) throws {
        let (numbers, others) = (shape.numbers(seed: 5), shape.numbers(seed: 6))
        let product = try table(shape, numbers).candidates(shape.frame)
            .times(table(shape, others).candidates(shape.frame))
        for (head, floats) in numbers.enumerated() {
            let candidates = shape.frame.of(head).candidates
            #expect(product.copy(head) == candidates.map { floats[$0] * others[head][$0] })
        }
    }

    @Test(arguments: Shape.all) fileprivate func theLargestBecomesOne(_ shape: Shape) throws {
        let numbers = shape.numbers(seed: 7)
        let scaled = try table(shape, numbers).candidates(shape.frame).overMaximum()
        for (head, floats) in numbers.enumerated() {
            let own = floats[shape.frame.of(head).candidates]
            let highest = Double(own.max() ?? 1)
            #expect(furthest(scaled.copy(head), own.map { Double($0) / highest }) <= 2e-7)
            if !own.isEmpty { #expect(scaled.copy(head).max() == 1) }
        }
    }

    /// Rows of zeros do not change; numbers near the smallest float are between 0 and 1 as well.
    @Test func overMaximumOfZerosAndOfTheSmallest() throws {
        let work = Workspace(threads: 1)
        let tiny = Float.leastNonzeroMagnitude
        let table = try makeTable([[0, 0, 0], [tiny, 3 * tiny, 0], [1e38, 3e38, 2e38]], work).overMaximum()
        #expect(table.copy(0) == [0, 0, 0])
        #expect(furthest(table.copy(1), [1.0 / 3, 1, 0]) <= 2e-7)
        #expect(furthest(table.copy(2), [1.0 / 3, 1, 2.0 / 3]) <= 2e-7)
    }

    /// One row for all heads.
    @Test(arguments: [1, 2, 5]) func theMeanOfRowsIsSharedByAllHeads(_ rowsOfHead: Int) throws {
        let shape = Shape(heads: [40, 40, 40], sinks: 3, recent: 5)
        let numbers = shape.numbers(seed: 8, rowsOfHead: rowsOfHead)
        let mean = try table(shape, numbers, rowsOfHead: rowsOfHead).meanOfRows()
        let exact = (0..<40).map { j in
            numbers.reduce(0.0) { $0 + Double($1[j]) } / Double(numbers.count)
        }
        #expect(mean.rows == 1 && furthest(mean.copy(0), exact) <= 1e-6)
        let cut = mean.candidates(shape.frame)
        for head in 0..<3 { #expect(Array(cut.row(ofHead: head)) == Array(mean.copy(0)[3..<35])) }
    }

    @Test func theMeanOfOneRowIsTheRow() throws {
        let table = try makeTable([[3, 1, 2]], Workspace(threads: 1)).meanOfRows()
        #expect(table.copy(0) == [3, 1, 2] && Array(table.row(ofHead: 4)) == [3, 1, 2])
    }

    @Test(arguments: [(1, 8), (2, 16), (3, 7), (8, 128), (5, 64)]) func distancesAreFromTheMeanOfAllRows(
        _ heads: Int, _ width: Int
    ) throws {
        var random = SplitMix(UInt64(width))
        let rows = (0..<heads).map { _ in random.floats(width) }
        let work = Workspace(threads: 1)
        let found = try Array(makeTable(rows, work).distancesFromMean())
        let mean = (0..<width).map { d in rows.reduce(0.0) { $0 + Double($1[d]) } / Double(heads) }
        let exact = rows.map { row in
            zip(row, mean).reduce(0.0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }.squareRoot()
        }
        #expect(furthest(found, exact) <= 1e-6, "seed \(width)")
        if heads == 1 { #expect(found == [0]) }
    }

    @Test func marksAreKeptBesideTheNumbers() throws {
        let work = Workspace(threads: 1)
        let table = try makeTable([[1, 2], [3, 4], [5, 9]], work)
        let marked = try table.marked(by: makeTable([[0, 0], [3, 4], [0, 0]], work).distancesFromMean())
        let scores = LayerScores(work.account)
        try scores.take(marked)
        // The mean is (1, 4/3): sqrt(1 + 16/9), sqrt(4 + 64/9), and the first again.
        #expect(furthest(Array(scores.marks), [5.0 / 3, 10.0 / 3, 5.0 / 3]) <= 1e-6)
        #expect((0..<3).map { scores.copy($0) } == [[1, 2], [3, 4], [5, 9]])
        try scores.take(table)
        #expect(scores.marks.isEmpty)
    }
}

@Suite struct TokenWindowsTests {
    private static let shapes: [Shape] = [
        Shape(heads: [60, 60], sinks: 0, recent: 0, unit: 6), Shape(heads: [61, 61, 61], sinks: 3, recent: 5, unit: 8),
        Shape(heads: [20, 20], sinks: 2, recent: 2, unit: 100), Shape(heads: [20, 20], sinks: 0, recent: 0, unit: 1),
        Shape(heads: [400], sinks: 0, recent: 10, unit: 64), Shape(heads: [61, 33, 47], sinks: 3, recent: 5, unit: 8),
        Shape(heads: [12, 40, 9], sinks: 0, recent: 8, unit: 5),
    ]

    /// The statistic of each unit of each row, in the row's own units.
    private func check(
        _ shape: Shape, _ statistic: WindowStatistic, rowsOfHead: Int, seed: UInt64, _ exact: ([Double]) -> Double
    ) throws {
        let numbers = shape.numbers(seed: seed, rowsOfHead: rowsOfHead)
        let table = try makeTable(
            numbers, Workspace(threads: 1), columns: .rows(shape.length), rowsOfHead: rowsOfHead)
        let windows = table.candidates(shape.frame).windows(statistic)
        #expect(windows.rows == numbers.count && windows.longest == shape.frame.units)
        for (row, floats) in numbers.enumerated() {
            let own = shape.frame.of(row / rowsOfHead)
            let expected = (0..<own.units).map { exact(floats[own.positions(ofUnit: $0)].map(Double.init)) }
            #expect(furthest(windows.copy(row), expected) <= 1e-6, "row \(row), seed \(seed)")
        }
    }

    @Test(arguments: shapes, [1, 2]) fileprivate func theMeanOfAWindowIsOfAllItsTokens(
        _ shape: Shape, _ rowsOfHead: Int
    ) throws {
        try check(shape, .mean, rowsOfHead: rowsOfHead, seed: 10) { $0.reduce(0, +) / Double($0.count) }
    }

    @Test(arguments: shapes, [1, 2, 5, 8, 1000]) fileprivate func theLargestOfAWindowAreAsManyAsItHas(
        _ shape: Shape, _ count: Int
    ) throws {
        try check(shape, .largest(count), rowsOfHead: 2, seed: 20) { window in
            let largest = window.sorted(by: >).prefix(count)
            return largest.reduce(0, +) / Double(largest.count)
        }
    }
}
