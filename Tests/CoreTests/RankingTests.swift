// Rankings against a stable sort: the best n, ties to the lower index.
import TestSupport
import Testing

@testable import KVSieveCore

enum RowKind: CaseIterable, Sendable {
    case random, constant, ascending, descending, fewValues, negative, zeros, nearEqual, everyExponent, fewAboveZero,
        infinite

    func make(_ count: Int, _ random: inout SplitMix) -> [Float] {
        (0..<count).map { index in
            switch self {
            case .random: return Float.random(in: 0..<1, using: &random)
            case .constant: return 0.25
            case .ascending: return Float(index)
            case .descending: return -Float(index)
            case .fewValues: return Float(random.below(4))
            case .negative: return Float.random(in: -3..<1, using: &random)
            case .zeros: return random.below(2) == 0 ? 0 : -0.0
            // Differ in the lowest bits of the key only.
            case .nearEqual: return Float(bitPattern: 0x3f80_0000 + UInt32(random.below(5)))
            case .everyExponent:
                let bits = UInt32(truncatingIfNeeded: random.next())
                return bits & 0x7f80_0000 == 0x7f80_0000 ? 1 : Float(bitPattern: bits)
            case .fewAboveZero: return random.below(300) == 0 ? Float.random(in: 0..<1, using: &random) : 0
            case .infinite: return random.below(3) == 0 ? .infinity : Float(random.below(3))
            }
        }
    }
}

private let counts = [1, 2, 3, 17, 100, 2049, 5000]

@Suite struct RankingTests {
    @Test func keysAreInTheOrderOfTheFloats() {
        let floats: [Float] = [
            -.infinity, -.greatestFiniteMagnitude, -1, -.leastNormalMagnitude, -.leastNonzeroMagnitude, 0,
            .leastNonzeroMagnitude, .leastNormalMagnitude, 1, .greatestFiniteMagnitude, .infinity,
        ]
        let keys = floats.map(RankKey.of)
        #expect(zip(keys, keys.dropFirst()).allSatisfy { $0 < $1 })
        #expect(RankKey.of(-0.0) == RankKey.of(0))
    }

    @Test(arguments: RowKind.allCases, counts) func thresholdIsTheNthOfASort(_ kind: RowKind, _ count: Int) {
        var random = SplitMix(UInt64(count))
        let values = kind.make(count, &random)
        let sorted = values.sorted(by: >)
        var histogram = [Int](repeating: -1, count: RankThreshold.histogramSize)
        for places in count <= 100 ? Array(1...count) : [1, 2, count / 2, count - 1, count] {
            let found = values.withUnsafeBufferPointer {
                RankThreshold($0, places: places, histogram: &histogram)
            }
            #expect(found.key == RankKey.of(sorted[places - 1]), "place \(places), seed \(count)")
            #expect(found.above == sorted.count { $0 > sorted[places - 1] }, "place \(places), seed \(count)")
        }
    }

    /// Rows of different lengths, none among them, are one ranking.
    @Test(arguments: RowKind.allCases) func thresholdOfManyRowsIsThatOfOne(_ kind: RowKind) {
        var random = SplitMix(7)
        let rows = [5, 0, 33, 1, 0, 70].map { kind.make($0, &random) }
        let all = rows.flatMap { $0 }
        var histogram = [Int](repeating: 0, count: RankThreshold.histogramSize)
        for places in 1...all.count {
            let one = all.withUnsafeBufferPointer { RankThreshold($0, places: places, histogram: &histogram) }
            let pointers = rows.map { row in
                let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: row.count)
                _ = copy.initialize(from: row)
                return UnsafeBufferPointer(copy)
            }
            defer { pointers.forEach { $0.deallocate() } }
            let many = RankThreshold(places: places, of: all.count, histogram: &histogram) { body in
                pointers.forEach(body)
            }
            #expect((many.key, many.above) == (one.key, one.above), "place \(places), seed 7")
        }
    }

    @Test(arguments: RowKind.allCases, counts) func nthBestIsThatOfASort(_ kind: RowKind, _ count: Int) {
        var random = SplitMix(UInt64(count) + 3)
        for lowest in [Float?.none, -Float.infinity] {
            var row = kind.make(count, &random)
            // Protected units have this score.
            if let lowest { for index in 0..<count / 3 { row[index * 3] = lowest } }
            let sorted = row.sorted(by: >)
            for places in count <= 100 ? Array(1...count) : [1, 2, count / 2, count - 1, count] {
                #expect(nthBest(row, places) == sorted[places - 1], "place \(places), seed \(count + 3)")
            }
        }
    }

    private func nthBest(_ row: [Float], _ places: Int) -> Float {
        var values = [Float](repeating: -7, count: NthBest.scratch + 1)
        var indices = [Int32](repeating: -7, count: NthBest.scratch + 1)
        let found = NthBest.of(row, row.count, places: places, values: &values, indices: &indices)
        #expect(values[NthBest.scratch] == -7 && indices[NthBest.scratch] == -7)
        return found
    }

    @Test(arguments: RowKind.allCases, [0] + counts) func bestUnitsAreTheTopOfAStableSort(_ kind: RowKind, _ count: Int)
    {
        var random = SplitMix(UInt64(count) + 5)
        let values = kind.make(count, &random)
        let order = stableOrder(values)
        for take in Set([0, 1, 2, count / 3, count / 2, count - 1, count]) where take >= 0 && take <= count {
            expectBest(take, of: values, order)
        }
    }

    private func expectBest(_ take: Int, of values: [Float], _ order: [Int]) {
        var scratch = [Int](repeating: -1, count: BestUnits.scratch)
        var out = [Int32](repeating: -7, count: values.count + 1)
        values.withUnsafeBufferPointer { BestUnits.select($0, count: take, scratch: &scratch, out: &out) }
        #expect(out.prefix(take).map(Int.init) == order.prefix(take).sorted(), "\(take) best of \(values.count)")
        #expect(out[take...].allSatisfy { $0 == -7 }, "written past the \(take) best")
    }

    /// Few of a long row, which are collected first, up to as many as no longer are.
    @Test(arguments: RowKind.allCases, [4096, 4097, 8191, 8192, 30_001]) func fewOfManyAreTheTopOfAStableSort(
        _ kind: RowKind, _ count: Int
    ) {
        var random = SplitMix(UInt64(count) + 9)
        let values = kind.make(count, &random)
        let order = stableOrder(values)
        for take in [1, 2, 31, 257, 1024, 3000, 6000, 8000] where take <= count { expectBest(take, of: values, order) }
    }

    /// A host may have subnormal floats count as 0: those after 0 are no bound then.
    @Test(arguments: [RowKind.zeros, .fewAboveZero, .fewValues, .negative], [100, 5000, 30_001])
    func whereSubnormalsCountAsZero(_ kind: RowKind, _ count: Int) {
        var random = SplitMix(UInt64(count) + 11)
        let values = kind.make(count, &random)
        let order = stableOrder(values)
        withSubnormalsFlushed {
            for take in [1, 31, 1024, 3000] where take <= count { expectBest(take, of: values, order) }
        }
    }

    @Test func theFloatAfterOneIsTheNextAbove() {
        #expect(RankKey.after(1) == Float(1).nextUp && RankKey.after(-1) == Float(-1).nextUp)
        #expect(RankKey.after(0) == .leastNonzeroMagnitude && RankKey.after(-0.0) == .leastNonzeroMagnitude)
        #expect(RankKey.after(.greatestFiniteMagnitude) == .infinity && RankKey.after(.infinity).isNaN)
        #expect(RankKey.after(-.infinity) == -.greatestFiniteMagnitude)
        withSubnormalsFlushed { #expect(RankKey.after(0).bitPattern == Float.leastNormalMagnitude.bitPattern) }
    }

    /// The floats that the sample sees are the lowest of all, or the highest.
    @Test(arguments: [8192, 30_001, 65_536], [Float(-1), 2]) func aSampleMayMislead(_ count: Int, _ seen: Float) {
        var random = SplitMix(UInt64(count))
        let values = (0..<count).map { index in
            index % (count / 1024) == 0 ? seen : Float.random(in: 0..<1, using: &random)
        }
        let order = stableOrder(values)
        for take in [1, 31, 1024, 1100, 3000] { expectBest(take, of: values, order) }
    }
}
