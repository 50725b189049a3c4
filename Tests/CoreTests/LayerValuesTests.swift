// Tables made of a layer's values: pooled squared norms, and sums weighted by another table; against naive double.
import TestSupport
import Testing

@testable import KVSieveCore

/// A layer of values alone: (heads, longest, dim), and its naive doubles. Past a shorter head's rows they are NaN.
private final class Values {
    let lengths: [Int]
    let floats: [Float]
    let tensor: Tensor
    let view: LayerView
    let longest: Int, dim: Int

    init(_ lengths: [Int], dim: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor, seed: UInt64) throws
    {
        var random = SplitMix(seed)
        let longest = lengths.max() ?? 0
        (self.lengths, self.longest, self.dim) = (lengths, longest, dim)
        floats = random.eighths(lengths.count * longest * dim)
        tensor = Tensor(floats, heads: lengths.count, tokens: longest, dim: dim, type, layout)
        for (head, rows) in lengths.enumerated() {
            for token in rows..<longest { for d in 0..<dim { tensor.set(head, token, d, .nan) } }
        }
        view = try LayerView(
            ModelShape(layers: 8, queryHeads: lengths.count, heads: lengths.count, headDim: 4), layer: 5,
            length: cacheLength(lengths), reads: .nothing.andValues, LayerTensors(values: tensor.view("values")))
    }

    func layer(_ work: Workspace, sinks: Int = 2, recent: Int = 4) -> Layer {
        Layer(
            view, Frame(view.length, sinks: sinks, recent: recent), work, scores: TableMemory(work.account))
    }

    func row(_ head: Int, _ token: Int) -> [Double] {
        let start = (head * longest + token) * dim
        return floats[start..<start + dim].map(Double.init)
    }

    /// Every value of a head the same.
    func set(_ head: Int, _ value: (_ token: Int) -> Float) {
        for token in 0..<lengths[head] { for d in 0..<dim { tensor.set(head, token, d, value(token)) } }
    }
}

@Suite struct WeightedValuesTests {
    private func check(_ values: Values, best: Int, seed: UInt64) throws {
        var random = SplitMix(seed)
        let work = Workspace(threads: 1)
        let weights = values.lengths.map { RowKind.random.make($0, &random) }
        let table = try makeTable(weights, work, columns: .rows(values.view.length))
        let vectors = try values.layer(work).values(weightedBy: table, best: best)
        for (head, weights) in weights.enumerated() {
            let chosen = stableOrder(weights).prefix(best)
            let exact = (0..<values.dim).map { d in
                chosen.reduce(0.0) { $0 + Double(weights[$1]) * values.row(head, $1)[d] }
            }
            for (found, exact) in zip(vectors.copy(head), exact) { #expect(abs(Double(found) - exact) <= 1e-4) }
            #expect(vectors.copy(head).count == values.dim)
            #expect(table.copy(head) == weights, "the weights are only read")
        }
    }

    @Test(arguments: elementTypes, Layout.allCases) func sumsAreOfTheBestColumns(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for (seed, (lengths, dim, best)) in [
            ([60, 60, 60, 60], 16, 10), ([60, 60], 33, 1), ([100, 40, 7, 100], 128, 50), ([20, 20, 20], 7, 500),
            ([2000, 500], 64, 256), ([1], 8, 1),
        ].enumerated() {
            try check(
                Values(lengths, dim: dim, type, layout, seed: UInt64(seed)), best: best, seed: UInt64(seed) + 100)
        }
    }

    /// Equal weights: the earlier tokens' values count.
    @Test func tiesGoToTheEarlierToken() throws {
        let values = try Values([30, 30], dim: 8, seed: 4)
        let work = Workspace(threads: 1)
        let weights = try makeTable(
            [[Float](repeating: 0.5, count: 30), [Float](repeating: 0.25, count: 30)], work,
            columns: .rows(values.view.length))
        let vectors = try values.layer(work).values(weightedBy: weights, best: 7)
        for (head, weight) in [0.5, 0.25].enumerated() {
            let exact = (0..<8).map { d in (0..<7).reduce(0.0) { $0 + weight * values.row(head, $1)[d] } }
            #expect(furthest(vectors.copy(head), exact) <= 1e-6)
        }
    }

    @Test(arguments: elementTypes) func onlyTheBestRowsAreReadAndTheseMustBeFinite(_ type: ElementType) throws {
        let work = Workspace(threads: 1)
        let falling = [[Float]](repeating: (0..<30).map { Float(30 - $0) }, count: 2)
        for bad in [Float.nan, .infinity, -.infinity] {
            let values = try Values([30, 30], dim: 5, type, seed: 5)
            values.tensor.set(1, 10, 4, bad)
            let weights = try makeTable(falling, work, columns: .rows(values.view.length))
            let vectors = try values.layer(work).values(weightedBy: weights, best: 10)
            #expect(vectors.copy(1).allSatisfy { $0.isFinite }, "row 10 is not among the best ten")
            expectRefusal(
                .nonfinite, "values of layer 5, kv head 1 have NaN or infinity in a row that is read"
            ) { _ = try values.layer(work).values(weightedBy: weights, best: 11) }
        }
    }

    @Test func withoutValuesThereAreNone() throws {
        let input = try Attention(tokens: 20).make()
        let work = Workspace(threads: 1)
        let message = "values are NULL, but layer 5 reads them"
        let weights = try makeTable([[Float](repeating: 1, count: 20)], work)
        expectRefusal(.null, message) { _ = try input.layer(work).values(weightedBy: weights, best: 4) }
        expectRefusal(.null, message) { _ = try input.layer(work).squaredValueNorms(pooled: 1) }
        let keyless = try Values([20], dim: 3, seed: 1).layer(work)
        expectRefusal(.null, "keys are NULL, but layer 5 reads them") { _ = try keyless.keyNorms() }
        expectRefusal(.null, "keys are NULL, but layer 5 reads them") { _ = try keyless.keyCosinesToMean() }
    }
}

@Suite struct SquaredValueNormsTests {
    @Test(arguments: elementTypes, [1, 4]) func normsArePooledOverAllRowsOfTheHead(
        _ type: ElementType, _ threads: Int
    ) throws {
        for (seed, (lengths, dim, kernel)) in [
            ([80, 80, 80, 80, 80], 16, 7), ([80, 80], 33, 1), ([200, 200], 128, 63), ([50, 12, 31], 3, 5),
            ([9, 9, 2], 8, 63),
        ].enumerated() {
            for layout in Layout.allCases {
                let values = try Values(lengths, dim: dim, type, layout, seed: UInt64(seed))
                let table = try values.layer(Workspace(threads: threads)).squaredValueNorms(pooled: kernel)
                for (head, rows) in lengths.enumerated() {
                    // Squares of eighths are exact.
                    let norms = (0..<rows).map { Float(values.row(head, $0).reduce(0) { $0 + $1 * $1 }) }
                    let exact = naivePool(norms, .mean, kernel)
                    #expect(furthest(table.copy(head), exact) <= 1e-5, "D \(dim) \(layout) seed \(seed)")
                }
            }
        }
    }

    @Test func normsOfNothingAreZero() throws {
        let values = try Values([20, 20], dim: 4, seed: 6)
        for head in 0..<2 { values.set(head) { _ in 0 } }
        let layer = values.layer(Workspace(threads: 1))
        #expect(try layer.squaredValueNorms(pooled: 3).copy(0) == [Float](repeating: 0, count: 20))
        #expect(
            try layer.squaredValueNorms(pooled: 3).candidates(layer.frame).overMaximum().copy(1)
                == [Float](repeating: 0, count: 14))
    }

    /// All values are read, those of protected rows too, and must be finite.
    @Test(arguments: elementTypes, [1, 3]) func aBadValueAnywhereIsRefusedWithItsPlace(
        _ type: ElementType, _ threads: Int
    ) throws {
        let work = Workspace(threads: threads)
        for token in 0..<20 {
            for bad in [Float.nan, .infinity] {
                let values = try Values([20, 20, 20], dim: 6, type, seed: 7)
                values.tensor.set(2, 19 - token, 0, bad)
                values.tensor.set(1, token, 5, bad)
                expectRefusal(
                    .nonfinite,
                    "values of layer 5, kv head 1, token \(token) have NaN or infinity, or a squared norm that overflows"
                ) { _ = try values.layer(work).squaredValueNorms(pooled: 3) }
            }
        }
    }

    @Test func aSquaredNormThatOverflowsIsRefused() throws {
        let values = try Values([20], dim: 6, seed: 8)
        values.tensor.set(0, 3, 2, 2e19)
        #expect(
            refusal { _ = try values.layer(Workspace(threads: 1)).squaredValueNorms(pooled: 3) }?.kind == .nonfinite)
    }

    /// Squared norms that fit, whose pooled sum does not: an error too, or numbers that are finite.
    @Test func normsThatOverflowOnlyTogetherDoNotMakeNumbersThatAreNone() throws {
        let values = try Values([20], dim: 1, seed: 9)
        values.set(0) { _ in 1.5e19 }
        let layer = values.layer(Workspace(threads: 1))
        var prior: [Float] = []
        let error = refusal {
            prior = try layer.squaredValueNorms(pooled: 7).candidates(layer.frame).overMaximum().copy(0)
        }
        #expect(error?.kind == .nonfinite || error == nil && prior.count == 14 && prior.allSatisfy { $0.isFinite })
    }

    /// Tiny values: norms may be subnormal, divided by their maximum they are still between 0 and 1.
    @Test func normsThatUnderflowDoNotMakeNumbersThatAreNone() throws {
        for size in [1e-19, 1e-20, 1e-21, 3e-22, 1e-22, 3e-23, 1e-30] as [Float] {
            let values = try Values([20], dim: 1, seed: 10)
            values.set(0) { size * Float(1 + $0 % 3) }
            let layer = values.layer(Workspace(threads: 1))
            let prior = try layer.squaredValueNorms(pooled: 7).candidates(layer.frame).overMaximum()
            #expect(prior.copy(0).allSatisfy { $0 >= 0 && $0 <= 1.0001 }, "values of \(size)")
        }
    }
}
