// Positions as ranges: tables by hand, then random sets against a list of marks.
import TestSupport
import Testing

@testable import KVSieveCore

/// What a layer with these heads hands out: for each head what it has, and what it has not.
private func ranges(_ heads: [[Int32]], seen: Int, _ account: MemoryAccount = MemoryAccount()) throws -> [[[Int32]]] {
    let flat = heads.flatMap { $0 }
    return try flat.withUnsafeBufferPointer { all in
        let made = try PositionRanges(heads: heads.count, seen: seen, SelectionMemory(account)) { head in
            let first = heads[..<head].reduce(0) { $0 + $1.count }
            return UnsafeBufferPointer(rebasing: all[first..<first + heads[head].count])
        }
        return heads.indices.map { head in [false, true].map { Array(made.of(head, missing: $0)) } }
    }
}

@Suite struct PositionRangesTests {
    @Test func byHand() throws {
        let table: [(positions: [Int32], seen: Int, kept: [Int32], dropped: [Int32])] = [
            ([0, 1, 2], 3, [0, 3], []),
            ([0], 5, [0, 1], [1, 5]),
            ([4], 5, [4, 5], [0, 4]),
            ([2], 5, [2, 3], [0, 2, 3, 5]),
            ([0, 2, 4], 5, [0, 1, 2, 3, 4, 5], [1, 2, 3, 4]),
            ([1, 3], 5, [1, 2, 3, 4], [0, 1, 2, 3, 4, 5]),
            ([0, 1, 5, 6, 7, 9], 12, [0, 2, 5, 8, 9, 10], [2, 5, 8, 9, 10, 12]),
        ]
        for row in table {
            #expect(try ranges([row.positions], seen: row.seen) == [[row.kept, row.dropped]], "\(row)")
        }
        // Heads of different lengths in one layer.
        let heads = table.filter { $0.seen == 5 }
        #expect(try ranges(heads.map(\.positions), seen: 5) == heads.map { [$0.kept, $0.dropped] })
    }

    @Test func randomSetsAgreeWithMarks() throws {
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix(seed)
            let seen = 1 + random.below(80)
            let heads = (0..<(1 + random.below(4))).map { _ in
                let density = 1 + random.below(9)
                let kept = (0..<Int32(seen)).filter { _ in random.below(10) < density }
                return kept.isEmpty ? [Int32(random.below(seen))] : kept
            }
            let expected = heads.map { positions in
                [true, false].map { wanted -> [Int32] in
                    let marks = (0..<Int32(seen)).map { positions.contains($0) == wanted }
                    var bounds: [Int32] = []
                    for (place, mark) in (marks + [false]).enumerated() where mark != (bounds.count % 2 == 1) {
                        bounds.append(Int32(place))
                    }
                    return bounds
                }
            }
            #expect(try ranges(heads, seen: seen) == expected, "seed \(seed)")
        }
    }

    @Test func withoutMemoryItIsAnError() {
        let account = MemoryAccount(limit: 8)
        #expect(refusal { _ = try ranges([[0, 2]], seen: 4, account) }?.kind == .memory)
        #expect(account.held == 0)
    }
}
