import Testing

// Task-KV's decisions (Sources/KVSieveMethods/README.md), each on a case worked by hand.
@testable import KVSieveCore
@testable import KVSieveMethods

@Suite struct DecisionsTaskKV {
    private let plain: [String: Double] = [
        "pool_kernel": 1, "sinks": 2, "recent": 4, "semantic": 1, "beta": 0, "top": 0,
    ]

    private func handmade(
        _ weights: [[[Double]]], window: Int = 2, values: [[[Double]]]? = nil, _ changes: [String: Double]
    ) throws -> HandmadeCache {
        try HandmadeCache("taskkv", weights, window: window, values: values, plain.merging(changes) { $1 })
    }

    /// One head that sees `peak` and whose value there is `value`: its semantic vector is nearly (value, 0).
    private func seen(_ values: [Double]) -> (weights: [[[Double]]], values: [[[Double]]]) {
        let w = values.map { _ in weights(20, [9: 1e4], floor: 1e-3) }
        return ([w], [values.map { value in (0..<20).map { $0 == 9 ? value : 0 } }])
    }

    /// Which heads of one layer keep all 20 tokens.
    private func whole(_ values: [Double], full: Double) throws -> [Int] {
        let (w, v) = seen(values)
        let kept = try handmade(
            w, values: v, ["ratio": 0.9, "beta": full / Double(values.count), "top": full]
        ).kept()
        return kept[0].indices.filter { kept[0][$0].count == 20 }
    }

    /// The two query heads of a group look at 8 (0.9) and 11 (0.6), 13 (0.4): their mean ranks 8, 11, 13.
    @Test func T1_theGroupsMeanDecides() throws {
        let test = try HandmadeCache(
            "taskkv", one: weights(20, [8: 0.9], floor: 1e-6), two: weights(20, [11: 0.6, 13: 0.4], floor: 1e-6),
            window: 2, plain.merging(["ratio": 0.4]) { $1 })
        #expect(try test.kept() == [[[0, 1, 8, 11, 16, 17, 18, 19]]])
    }

    /// Vectors 0, 10, 11, 12, 40: centre 14.6; distances 14.6, 4.6, 3.6, 2.6, 25.4. f = 0 none; 1 the farthest; 2 the
    /// farthest and the nearest; 3 the two farthest and the nearest.
    @Test func T2_theNearestCountsInsideF() throws {
        let values: [Double] = [0, 10, 11, 12, 40]
        #expect(try whole(values, full: 0) == [])
        #expect(try whole(values, full: 1) == [4])
        #expect(try whole(values, full: 2) == [3, 4])
        #expect(try whole(values, full: 3) == [0, 3, 4])
        #expect(try whole(values, full: 4) == [0, 1, 3, 4])
    }

    /// f(l) = floor((8 - (8 - 4) l / 31)) for H 32, beta 0.25, m 4: 8 at l = 0, 7 from l = 1 (7.87) to 7 (7.10), 6 at l = 8
    /// (6.97), 5 at 16 (5.94), 4 at 24 (4.90) and 31 (4). H 8, beta 0.25, m 1: 2 at l = 0, then 1.97 ... 1: 1.
    @Test func T3_fIsFloored() {
        func f(_ layer: Int, _ heads: Int, _ beta: Double, _ top: Int) -> Int {
            TaskKV.fullHeads(layer: layer, layers: 32, heads: heads, beta: DecimalShare(beta), top: top)
        }
        #expect([0, 1, 7, 8, 16, 24, 31].map { f($0, 32, 0.25, 4) } == [8, 7, 7, 6, 5, 4, 4])
        #expect([0, 1, 16, 30, 31].map { f($0, 8, 0.25, 1) } == [2, 1, 1, 1, 1])
        // beta is a decimal: H 32, beta 0.35, m 0, L 64, layer 18 have 32 * 0.35 * 45 / 63 = 504 / 63 = 8, where doubles have
        // 7.999999999999999.
        #expect(
            TaskKV.fullHeads(layer: 18, layers: 64, heads: 32, beta: DecimalShare(0.35), top: 0) == 8)
        // Exactly m at the last layer, though (3 - 3 / 10 * 10) is not exact in every order; H beta when there is one layer.
        #expect(TaskKV.fullHeads(layer: 10, layers: 11, heads: 10, beta: DecimalShare(0.3), top: 1) == 1)
        #expect(TaskKV.fullHeads(layer: 0, layers: 1, heads: 8, beta: DecimalShare(0.3), top: 8) == 2)
        // Within 0 ... H.
        #expect(TaskKV.fullHeads(layer: 3, layers: 4, heads: 2, beta: DecimalShare(0.5), top: 9) == 2)
    }

    /// N 1000, H 8, s 272, ratio 0.5: B = 4000. f 2: k = floor(2000 / 6) - 272 = 61. f 1: floor(3000 / 7) - 272 = 156.
    @Test func T3_thenK() {
        func share(_ slots: Int, _ full: Int) -> [Int] {
            let share = TaskKV.share(
                slots: slots, tokens: 1000, heads: 8, protected: 272, least: 272, full: full)
            return [share.full, share.middle]
        }
        #expect(share(4000, 2) == [2, 61])
        #expect(share(4000, 1) == [1, 156])
        // T4, B = 3000: f 2 leaves floor(1000 / 6) = 166 < 272. f = floor((3000 - 2176) / 728) = 1: floor(2000 / 7) - 272 = 13.
        #expect(share(3000, 2) == [1, 13])
        // B = 2800: floor(624 / 728) = 0: 350 - 272 = 78.
        #expect(share(2800, 2) == [0, 78])
        // All heads, and the budget for it or one slot less: floor((7999 - 2176) / 728) = 7, floor(999 / 1) - 272 = 727.
        #expect(share(8000, 8) == [8, 0])
        #expect(share(7999, 8) == [7, 727])
    }

    @Test func T4_fIsLoweredThenTheBudgetIsRefusedWithTheSmallestRatio() throws {
        let (w, v) = seen([0, 1, 5, 9])
        let lowered = try handmade(w, values: v, ["ratio": 0.45, "beta": 1, "top": 4]).kept()
        // B = 36; f = floor((36 - 24) / 14) = 0: every head 9.
        #expect(lowered[0].map(\.count) == [9, 9, 9, 9])
        let error = try handmade(w, values: v, ["ratio": 0.2]).error()
        #expect(error?.kind == .budget)
        let smallest = try #require(error?.message.split(separator: " ").last.flatMap { Double($0) })
        #expect(smallest == 0.3)
        #expect(try handmade(w, values: v, ["ratio": smallest]).kept()[0].map(\.count) == [6, 6, 6, 6])
        #expect(try handmade(w, values: v, ["ratio": smallest - 1e-6]).error()?.kind == .budget)
    }

    /// 3 protected of 625 tokens are a share of 0.0048, 7 of 3,125 one of 0.00224: in doubles both products are a little less.
    @Test(arguments: [1, 2]) func T4_theSmallestRatioIsAccepted(_ heads: Int) throws {
        for (tokens, sinks, recent, smallest) in [(625, 1.0, 2.0, 0.0048), (3125, 2.0, 5.0, 0.00224)] {
            func made(_ ratio: Double) throws -> HandmadeCache {
                try handmade(
                    [Array(repeating: weights(tokens), count: heads)], window: 1,
                    ["sinks": sinks, "recent": recent, "ratio": ratio])
            }
            let error = try made(0.001).error()
            #expect(error?.kind == .budget && error?.message.hasSuffix("the smallest ratio is \(smallest)") == true)
            #expect(try made(smallest).kept()[0].map(\.count) == Array(repeating: Int(sinks + recent), count: heads))
            #expect(try made(smallest - 1e-6).error()?.kind == .budget)
        }
    }

    /// Nothing is protected, two tokens, four heads: a ratio of 0.125 is one slot of 8, and every head must keep a token, which
    /// takes four, a ratio of 0.5.
    @Test func T4_withoutProtectedTokensEveryHeadKeepsOne() throws {
        let two = Array(repeating: [1.0, 3], count: 4)
        func made(_ ratio: Double) throws -> HandmadeCache {
            try handmade([two], window: 1, ["sinks": 0, "recent": 0, "ratio": ratio])
        }
        let error = try made(0.125).error()
        #expect(error?.kind == .budget && error?.message.hasSuffix("the smallest ratio is 0.5") == true)
        #expect(try made(0.5).kept() == [[[1], [1], [1], [1]]])
        #expect(try made(0.499999).error()?.kind == .budget)
    }

    /// Three vectors around the centre (0, 0), chosen so that L2 differs from the largest element, then from L1.
    @Test func T5_distanceIsEuclidean() throws {
        // (5, 0): L2 5; (-3.6, 3.6): L2 5.09, though its largest element is 3.6.
        var test = try handmade(seen([0, 0, 0]).weights, ["ratio": 0.9, "beta": 0.34, "top": 1])
        var values = [Float](repeating: 0, count: 3 * 20 * 2)
        for (head, vector) in [(5, 0), (-3.6, 3.6), (-1.4, -3.6)].enumerated() {
            values[(head * 20 + 9) * 2] = Float(vector.0)
            values[(head * 20 + 9) * 2 + 1] = Float(vector.1)
        }
        test.sequence.values = [values]
        #expect(try test.kept()[0].map { $0.count == 20 } == [false, true, false])
        // (5, 0): L2 5; (-3.3, 3.3): L2 4.67, though its L1 is 6.6.
        values = [Float](repeating: 0, count: 3 * 20 * 2)
        for (head, vector) in [(5, 0), (-3.3, 3.3), (-1.7, -3.3)].enumerated() {
            values[(head * 20 + 9) * 2] = Float(vector.0)
            values[(head * 20 + 9) * 2 + 1] = Float(vector.1)
        }
        test.sequence.values = [values]
        #expect(try test.kept()[0].map { $0.count == 20 } == [true, false, false])
    }

    /// Two layers, f 2 and 0 of 4 heads: both have B = floor(0.85 * 80) = 68 slots and are short of them by less than H - f.
    @Test func T6_everyLayerHasTheSameSlots() throws {
        let (w, v) = seen([0, 1, 5, 9])
        let kept = try handmade(w + w, values: v + v, ["ratio": 0.85, "beta": 0.5, "top": 0]).kept()
        for (layer, full) in [(0, 2), (1, 0)] {
            let total = kept[layer].reduce(0) { $0 + $1.count }
            #expect(total <= 68 && total > 68 - (4 - full))
        }
        #expect(kept[0].filter { $0.count == 20 }.count == 2 && kept[1].allSatisfy { $0.count == 17 })
    }

    /// Sinks 2, recent 4: a token at 2, the first candidate, has the neighbours (sink) 1 and 3. Sink 1 is heavy; pooled with
    /// kernel 3 over all tokens it would lift 2 above the pair 9, 10. Cut first, 9 and 10 (and 8, 11 beside them) win.
    @Test func T7_scoresAreCutBeforeTheyArePooled() throws {
        let w = weights(20, [1: 1000, 9: 5, 10: 5], floor: 1e-3)
        let kept = try handmade([[w]], ["ratio": 0.4, "pool_kernel": 3]).kept()
        #expect(kept == [[[0, 1, 9, 10, 16, 17, 18, 19]]])
    }

    /// Equal distances: the lower head counts as farther, and as nearer. Two heads are always equally far from their mean.
    @Test func T8_equalDistancesGoToTheLowerHead() throws {
        func chosen(_ distances: [Float], _ full: Int) -> [Int] {
            distances.indices.filter(ChosenHeads(distances, full).contains)
        }
        #expect(chosen([1, 1, 1, 1], 0) == [])
        #expect(chosen([1, 1, 1, 1], 1) == [0])
        #expect(chosen([1, 1, 1, 1], 2) == [0, 1])
        #expect(chosen([2, 3, 3, 1, 1], 3) == [1, 2, 3])
        #expect(chosen([2, 3, 3, 1, 1], 5) == [0, 1, 2, 3, 4])
        #expect(try whole([3, 8], full: 1) == [0])
        #expect(try whole([0.1, 0.7], full: 1) == [0])
    }

    @Test func T9_decodingAppends() throws {
        #expect(try AnyMethod.named("taskkv").row.decodes == false)
    }
}
