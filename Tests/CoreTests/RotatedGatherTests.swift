// Kept keys turned to positions 0, 1, 2, ...: hand-worked quarter turns, and a plain double loop. What a target may be and what is
// refused of it is Gather's: GatherTests.
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

/// Frequencies of all ropes: a rope points to its own as long as a test runs.
private final class Frequencies: @unchecked Sendable {
    static let all = Frequencies()
    private let lock = NSLock()
    private var kept: [UnsafeMutablePointer<Float>] = []

    func keep(_ numbers: [Float]) -> UnsafePointer<Float> {
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: numbers.count)
        memory.initialize(from: numbers, count: numbers.count)
        lock.withLock { kept.append(memory) }
        return UnsafePointer(memory)
    }
}

/// A rope of rows of 8 numbers, all rotated by a frequency of 1 unless said otherwise.
private func rope(
    _ pairing: Rope.Pairing = .halves, _ positions: Rope.Positions = .absolute, first: Int = 0, dims: Int = 8,
    of dim: Int = 8,
    frequencies: [Float] = [1, 1, 1, 1]
) throws -> Rope {
    try Rope(
        pairing: pairing, positions: positions, first: first, dims: dims, of: dim,
        frequencies: Frequencies.all.keep(frequencies))
}

/// Heads of 12 tokens that keep these rows.
private func selection(_ heads: [[Int]], _ work: Workspace) throws -> Selection {
    let scores = heads.map { kept in (0..<12).map { Float(kept.contains($0) ? 1 : 0) } }
    return try Selection(
        Frame(CacheLength(prompt: 12), sinks: 0, recent: 0), makeScores(work.account, scores),
        units: heads.map(\.count), work)
}

private func floats(_ tensor: Tensor, _ head: Int, _ token: Int) -> [Double] {
    (0..<tensor.dim).map { d in
        let place = tensor.memory + tensor.place(head, token) + d * 4
        return Double(place.load(as: Float.self))
    }
}

@Suite struct RotatedGatherTests {
    /// Frequencies of a quarter turn a position: a row that moves by -1 is turned by -90 degrees, (x, y) becomes (y, -x).
    @Test func quarterTurnsByHand() throws {
        let work = Workspace(threads: 1)
        let quarter = Float.pi / 2
        let keys = Tensor((0..<96).map(Float.init), heads: 1, tokens: 12, dim: 8)
        let kept = try selection([[0, 2, 4, 7]], work)
        let cases: [(Rope.Pairing, [[Double]])] = [
            // Moves by 0, -1, -2, -4.
            (
                .halves,
                [
                    [0, 1, 2, 3, 4, 5, 6, 7], [20, 21, 22, 23, -16, -17, -18, -19],
                    [-32, -33, -34, -35, -36, -37, -38, -39], [56, 57, 58, 59, 60, 61, 62, 63],
                ]
            ),
            (
                .neighbours,
                [
                    [0, 1, 2, 3, 4, 5, 6, 7], [17, -16, 19, -18, 21, -20, 23, -22],
                    [-32, -33, -34, -35, -36, -37, -38, -39], [56, 57, 58, 59, 60, 61, 62, 63],
                ]
            ),
        ]
        for (pairing, expected) in cases {
            let target = Tensor(heads: 1, tokens: 4, dim: 8)
            let turns = try rope(pairing, frequencies: [quarter, quarter, quarter, quarter])
            try RotatedGather.rows(of: keys.view(), by: kept, to: target.view("target"), turns, work)
            for row in 0..<4 {
                for (found, wanted) in zip(floats(target, 0, row), expected[row]) {
                    #expect(abs(found - wanted) < 1e-4, "\(pairing), row \(row): \(found), not \(wanted)")
                }
            }
        }
    }

    @Test(arguments: Layout.allCases, [Rope.Pairing.halves, .neighbours]) func aDoubleLoopHasTheSameNumbers(
        _ layout: Layout, _ pairing: Rope.Pairing
    ) throws {
        var random = SplitMix(7)
        let frequencies: [Float] = [1, 0.3, 0.02]
        let kept = [[1, 2, 3, 8, 11], [0, 1, 5], [3, 4, 6, 7, 10]]
        for threads in 1...3 {
            for first in 0...3 {
                let work = Workspace(threads: threads)
                let values = (0..<(3 * 12 * 9)).map { _ in Float(random.below(2000)) / 1000 - 1 }
                let keys = Tensor(values, heads: 3, tokens: 12, dim: 9, .float32, layout)
                let target = Tensor(heads: 3, tokens: 5, dim: 9, .float32, layout)
                let turns = try rope(pairing, first: first, dims: 6, of: 9, frequencies: frequencies)
                try RotatedGather.rows(
                    of: keys.view(), by: selection(kept, work), to: target.view("target"), turns, work)
                for (head, positions) in kept.enumerated() {
                    for (row, position) in positions.enumerated() {
                        var expected = floats(keys, head, position)
                        for pair in 0..<3 {
                            let a = first + (pairing == .halves ? pair : 2 * pair)
                            let b = first + (pairing == .halves ? pair + 3 : 2 * pair + 1)
                            let angle = Double(row - position) * Double(frequencies[pair])
                            let (x, y) = (expected[a], expected[b])
                            expected[a] = x * cosine(angle) - y * sine(angle)
                            expected[b] = x * sine(angle) + y * cosine(angle)
                        }
                        #expect(
                            floats(target, head, row) == expected.map { Double(Float($0)) },
                            "\(threads) threads, first \(first), head \(head), row \(row)")
                    }
                }
            }
        }
    }

    @Test(arguments: narrowTypes + [.bytes]) func rowsThatAreNoFloatsAreRefused(_ type: ElementType) throws {
        let work = Workspace(threads: 1)
        let (keys, target) = (
            Tensor(heads: 1, tokens: 12, dim: 32, type), Tensor(heads: 1, tokens: 3, dim: 32, type)
        )
        let before = target.contents
        let kept = try selection([[1, 5, 9]], work)
        expectRefusal(
            .dtype, "source.dtype is \(type.name), whose rows are not rotated; expected F32, F16 or BF16"
        ) {
            try RotatedGather.rows(
                of: keys.view("source"), by: kept, to: target.view("target"), rope(of: 32), work)
        }
        #expect(target.contents == before)
    }

    @Test func whatARopeRefuses() throws {
        let sizes: [(Int, String)] = [
            (0, "0"), (-2, "-2"), (3, "3"), (10, "10"), (Int(Int32.max) - 1, "2147483646"),
            (Int(Int32.min), "-2147483648"),
        ]
        for (dims, name) in sizes {
            expectRefusal(.shape, "rope.dims is \(name); expected an even number, 2 ... 8, the dim of source") {
                _ = try rope(dims: dims)
            }
        }
        for first in [-1, 3, Int(Int32.max), Int(Int32.min)] {
            expectRefusal(.shape, "rope.first is \(first); expected 0 ... 2, so that 6 of 8 dims follow") {
                _ = try rope(first: first, dims: 6, frequencies: [1, 1, 1])
            }
        }
        expectRefusal(.shape, "rope.dims is 2; expected an even number, 2 ... 1, the dim of source") {
            _ = try rope(dims: 2, of: 1, frequencies: [1])
        }
        for (index, wrong) in [Float.nan, .infinity, -.infinity].enumerated() {
            var frequencies: [Float] = [0, -1, 1e38, 1]
            frequencies[index] = wrong
            expectRefusal(.nonfinite, "rope.frequencies[\(index)] is \(wrong); expected a finite number") {
                _ = try rope(frequencies: frequencies)
            }
        }
    }

    @Test func withoutMemoryNothingIsWrittenAndWithItThereAreNoFurtherAllocations() throws {
        for threads in [1, 3] {
            let account = MemoryAccount()
            let work = Workspace(threads: threads, account: account)
            let keys = Tensor((0..<96).map(Float.init), heads: 1, tokens: 12, dim: 8)
            let target = Tensor(heads: 1, tokens: 3, dim: 8)
            let before = target.contents
            let kept = try selection([[1, 5, 9]], work)
            func gather() throws {
                try RotatedGather.rows(of: keys.view(), by: kept, to: target.view("t"), rope(), work)
            }
            account.limit = account.held
            #expect(refusal(gather)?.kind == .memory)
            #expect(target.contents == before)
            account.limit = .max
            try gather()
            #expect(target.contents != before)
            let allocations = account.allocations
            try gather()
            #expect(account.allocations == allocations)
        }
    }
}
