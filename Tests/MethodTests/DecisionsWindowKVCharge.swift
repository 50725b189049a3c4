// WindowKV with charge 1 (decision W4): a pyramid over L (C - W) tokens, which no layer exceeds.
import TestSupport
import Testing

@testable import KVSieveCore
@testable import KVSieveMethods

extension DecisionsWindowKV {
    private func charged(
        _ weights: [[[Double]]], window: Int = 2, _ changes: [String: Double]
    ) throws -> HandmadeCache {
        let plain: [String: Double] = ["size": 4, "shared": 1, "pyramid": 2, "charge": 1]
        return try HandmadeCache("windowkv", weights, window: window, plain.merging(changes) { $1 })
    }

    /// C 8, W 2, windows of 4, one layer of 18 tokens: n = 16. Uncharged, ceil(8 / 4) = 2 of 4 windows are dropped, and W is
    /// kept beside 8 tokens. Charged, B = 6 holds one window.
    @Test func W4_theWindowIsChargedOnlyOnRequest() throws {
        let w = weights(18, [1: 9, 9: 5])
        #expect(try charged([[w]], ["budget": 8, "charge": 0]).kept()[0][0].count == 10)
        #expect(try charged([[w]], ["budget": 8]).kept()[0][0].count == 6)
        #expect(try charged([[w]], ["budget": 1]).error()?.kind == .budget)
        #expect(try charged([[w]], ["budget": 1, "charge": 0]).error() == nil)
    }

    /// L 4, W 2, C 10: A = 32. Weights (2 * 2 - 1) * 3 - 2 g = 9, 7, 5, 3 of 24: B = 12, floor(9.33) = 9, floor(6.67) = 6, 4.
    /// Five windows of 4: 3, 2, 1 and 1 of them fit.
    @Test func W4_budgetsAreThePyramidsExactly() throws {
        let budgets = (0..<4).map {
            WindowKV.charged($0, tokens: 8, shared: 1, pyramid: DecimalShare(2), layers: 4)
        }
        #expect(budgets == [12, 9, 6, 4])
        let kept = try charged(Array(repeating: [weights(22, [1: 9])], count: 4), ["budget": 10]).kept()
        #expect(kept.map { $0[0].count - 2 } == [12, 8, 4, 4])
        // One group: all have C - W. lambda 2.5, g 2, five layers, a short last group: N = 3, weights
        // (5 - 2) * 2 - 2 i * 0.5 = 6, 5, 4, sum 6 + 6 + 5 + 5 + 4 = 26: floor(40 * 6 / 26) = 9, floor(7.7) = 7, floor(6.2) = 6.
        #expect(WindowKV.charged(0, tokens: 8, shared: 8, pyramid: DecimalShare(14), layers: 5) == 8)
        let short = (0..<3).map {
            WindowKV.charged($0, tokens: 8, shared: 2, pyramid: DecimalShare(2.5), layers: 5)
        }
        #expect(short == [9, 7, 6])
    }

    /// As above with 20 tokens: n = 18, the fifth window is short, tokens 16 and 17. Where it is the best: of B = 12 it leaves
    /// room for two full ones, a third would make 14; of 9 for one (two would make 10); of 6 it is the one that fits by number,
    /// and as it is short another one does too, 6 in all; of 4 it alone (another would make 6).
    @Test func W4_aShortWindowMakesRoomForAnotherWhereThatFits() throws {
        func counts(_ named: [Int: Double]) throws -> [Int] {
            try charged(Array(repeating: [weights(20, named)], count: 4), ["budget": 10]).kept().map { $0[0].count - 2 }
        }
        #expect(try counts([16: 9, 17: 9, 0: 5, 1: 5, 2: 5, 3: 5]) == [10, 6, 6, 2])
        // Where it is the worst.
        #expect(try counts([16: 1e-4, 17: 1e-4]) == [12, 8, 4, 4])
        // Where it is the second best: of 6 it is what fits beside the best. Of 4 only the best does.
        #expect(try counts([0: 9, 1: 9, 2: 9, 3: 9, 16: 7, 17: 7]) == [10, 6, 6, 4])
        // Where it is the third best: of 12 it is the third; of 9 two full ones and it would make 10, so the best two; of 6 the best.
        #expect(try counts([0: 9, 1: 9, 2: 9, 3: 9, 4: 8, 5: 8, 6: 8, 7: 8, 16: 7, 17: 7]) == [10, 8, 4, 4])
    }

    /// Blocks of 16, W 7, 35 tokens: 7 and the 12 before them in the same block are recent. Of C 23 four are left a layer, eight
    /// in all: the first layer's seven are no window. As for C 50, blocks of 32, W 16, 111 tokens: 16 + 31 recent, 3 left.
    @Test(arguments: [(2, 16, 7, 23, 35), (4, 32, 16, 50, 111)])
    func W4_recentRowsArePaidBeforeTheRestIsDivided(
        _ numbers: (layers: Int, block: Int, window: Int, budget: Int, tokens: Int)
    ) throws {
        let size = Double(numbers.block)
        let kept = try charged(
            Array(repeating: [weights(numbers.tokens, [1: 9])], count: numbers.layers), window: numbers.window,
            ["size": size, "block": size, "pyramid": 14, "budget": Double(numbers.budget)]
        ).kept()
        let newest = (numbers.tokens - numbers.window) / numbers.block * numbers.block
        #expect(kept.joined().allSatisfy { $0 == Array(newest..<numbers.tokens) }, "\(kept)")
    }

    /// 30 layers, windows of 8, W 16: the mean of what layers keep is no more than C, and less by no more than a window.
    @Test(arguments: [33, 65], [200, 203]) func W4_theMeanIsTheBudget(_ budget: Int, _ tokens: Int) throws {
        let shape = try ModelShape(layers: 30, queryHeads: 2, heads: 1, headDim: 4)
        let kept = try Sequence(shape, tokens: tokens, seed: UInt64(tokens)).kept(
            .named("windowkv"), ["budget": Double(budget), "shared": 1, "pyramid": 2, "charge": 1])
        let rows = kept.reduce(0) { $0 + $1[0].count }
        #expect(rows <= 30 * budget && rows > 30 * (budget - 8), "\(rows) rows")
    }

    /// B of each group in whole numbers: lambda in tenths.
    private func budgets(_ total: Int, shared: Int, tenths: Int, layers: Int) -> [Int] {
        let groups = (layers + shared - 1) / shared
        if groups == 1 { return [total / layers] }
        let weights = (0..<groups).map {
            (2 * tenths - 10 * shared) * (groups - 1) - 2 * $0 * (tenths - 10 * shared)
        }
        let sum = (0..<layers).reduce(0) { $0 + weights[$1 / shared] }
        return weights.map { total * $0 / sum }
    }

    @Test func W4_noLayerExceedsItsBudgetWhateverTheParameters() throws {
        let seed: UInt64 = 4
        var random = SplitMix(seed)
        for draw in 0..<150 {
            let (layers, shared) = (1 + random.below(24), 1 + random.below(6))
            let (size, window) = (1 + random.below(9), 1 + random.below(12))
            let tenths = shared * 10 + random.below(60)
            let budget = window + random.below(50)
            let allowed = budgets(layers * (budget - window), shared: shared, tenths: tenths, layers: layers)
            let tokens = window + (allowed.max() ?? 0) + 1 + random.below(40)
            let shape = try ModelShape(layers: layers, queryHeads: 1, heads: 1, headDim: 2)
            let kept = try Sequence(shape, tokens: tokens, seed: seed + UInt64(draw)).kept(
                .named("windowkv"),
                [
                    "budget": Double(budget), "window": Double(window), "size": Double(size),
                    "shared": Double(shared), "pyramid": Double(tenths) / 10, "charge": 1,
                ])
            let said: Comment = "seed \(seed), draw \(draw)"
            var rows = 0
            for (layer, heads) in kept.enumerated() {
                let review = heads[0].count - window
                #expect(review <= allowed[layer / shared] && review > allowed[layer / shared] - size, said)
                rows += heads[0].count
            }
            #expect(rows <= layers * budget && rows > layers * (budget - size), said)
        }
    }

    /// Followers keep what their leader chose, whole windows and all.
    @Test func W4_followersTakeTheirLeadersChoice() throws {
        let kept = try charged(
            [[weights(20, [1: 9])], [weights(20, [9: 9])], [weights(20, [9: 9])], [weights(20, [1: 9])]],
            ["budget": 10, "shared": 2, "pyramid": 4]
        ).kept()
        #expect(kept[0] == kept[1] && kept[2] == kept[3])
        #expect(kept[0][0].contains(1) && kept[2][0].contains(9))
    }
}
