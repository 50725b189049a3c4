// What is computed from values: semantic vectors and value norms, against naive double.
import TestSupport
import Testing

@testable import KVSieveCore

/// A layer of values alone: (heads, tokens, dim), and its naive doubles.
private final class Values {
    let floats: [Float]
    let tensor: Tensor
    let layer: LayerView
    let tokens: Int, dim: Int

    init(heads: Int, tokens: Int, dim: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor, seed: UInt64)
        throws
    {
        var random = SplitMix(seed)
        (self.tokens, self.dim) = (tokens, dim)
        floats = random.eighths(heads * tokens * dim)
        tensor = Tensor(floats, heads: heads, tokens: tokens, dim: dim, type, layout)
        layer = try LayerView(
            ModelShape(layers: 8, queryHeads: heads, heads: heads, headDim: 4), layer: 5, length: nil, window: 4,
            needs: .values, queries: nil, keys: nil, values: tensor.view("values"))
    }

    func row(_ head: Int, _ token: Int) -> [Double] {
        let start = (head * tokens + token) * dim
        return floats[start..<start + dim].map(Double.init)
    }
}

@Suite struct SemanticVectorsTests {
    /// Marks by the library, and in double.
    private func marks(_ values: Values, _ columns: [[Float]], best: Int, _ work: Workspace) throws -> (
        [Float], [Double]
    ) {
        let vectors = try SemanticVectors(values.layer, best: best, work)
        for head in columns.indices {
            var sums = columns[head]
            try sums.withUnsafeMutableBufferPointer { buffer throws(KVSieveError) in
                guard let start = buffer.baseAddress else { return }
                try vectors.add(HeadColumns(layer: values.layer, head: head, sums: start, sumRows: 1))
            }
            #expect(sums == columns[head], "the columns are only read")
        }
        let scores = LayerScores(work.account)
        try vectors.mark(scores)
        let exact = columns.indices.map { head in
            stableOrder(columns[head]).prefix(best).reduce([Double](repeating: 0, count: values.dim)) { sum, token in
                zip(sum, values.row(head, token)).map { $0 + Double(columns[head][token]) * $1 }
            }
        }
        let centre = (0..<values.dim).map { d in exact.reduce(0) { $0 + $1[d] } / Double(exact.count) }
        let distances = exact.map { vector in
            zip(vector, centre).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        }
        return (Array(scores.marks), distances)
    }

    @Test(arguments: elementTypes, Layout.allCases) func marksAreDistancesFromTheCentre(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for (seed, (heads, tokens, dim, best)) in [
            (4, 60, 16, 10), (2, 60, 33, 1), (8, 100, 128, 100), (3, 20, 7, 500), (5, 2000, 64, 256),
        ].enumerated() {
            var random = SplitMix(UInt64(seed) + 100)
            let values = try Values(heads: heads, tokens: tokens, dim: dim, type, layout, seed: UInt64(seed))
            let columns = (0..<heads).map { _ in RowKind.random.make(tokens, &random) }
            let (found, exact) = try marks(values, columns, best: best, Workspace(threads: 1))
            #expect(furthest(found, exact) <= 1e-5, "H \(heads) T \(tokens) D \(dim) t \(best), seed \(seed)")
        }
    }

    @Test func oneHeadIsItsOwnCentre() throws {
        let values = try Values(heads: 1, tokens: 30, dim: 8, seed: 3)
        let (found, _) = try marks(values, [[Float](repeating: 0.5, count: 30)], best: 7, Workspace(threads: 1))
        #expect(found == [0])
    }

    /// Equal columns: the earlier tokens' values count.
    @Test func tiesGoToTheEarlierToken() throws {
        let values = try Values(heads: 2, tokens: 30, dim: 8, seed: 4)
        let columns = [[Float](repeating: 0.5, count: 30), [Float](repeating: 0.25, count: 30)]
        let (found, exact) = try marks(values, columns, best: 7, Workspace(threads: 1))
        #expect(furthest(found, exact) <= 1e-5)
    }

    @Test(arguments: elementTypes) func onlyTheBestRowsAreReadAndTheseMustBeFinite(_ type: ElementType) throws {
        let work = Workspace(threads: 1)
        let columns = [[Float]](repeating: (0..<30).map { Float(30 - $0) }, count: 2)
        for bad in [Float.nan, .infinity, -.infinity] {
            let values = try Values(heads: 2, tokens: 30, dim: 5, type, seed: 5)
            values.tensor.set(1, 10, 4, bad)
            let (found, exact) = try marks(values, columns, best: 10, work)
            #expect(furthest(found, exact) <= 1e-5, "row 10 is not among the best ten")
            expectRefusal(
                .nonfinite, "values of layer 5, kv head 1 have NaN or infinity in a row that is read"
            ) { _ = try marks(values, columns, best: 11, work) }
        }
    }

    @Test func withoutValuesThereAreNoVectors() throws {
        let view = try Attention(tokens: 20).make().view
        expectRefusal(.null, "values are NULL, but layer 5 reads them") {
            _ = try SemanticVectors(view, best: 4, Workspace(threads: 1))
        }
    }
}

@Suite struct ValueNormsTests {
    private func exactPrior(_ values: Values, _ head: Int, _ frame: Frame, _ kernel: Int) -> [Double] {
        let norms = (0..<values.tokens).map { values.row(head, $0).reduce(0) { $0 + $1 * $1 } }
        let gamma = norms.indices.map { j in
            norms[max(0, j - kernel / 2)..<min(norms.count, j + kernel / 2 + 1)].reduce(0, +) / Double(kernel)
        }
        let highest = gamma[frame.candidates].max() ?? 0
        return gamma[frame.candidates].map { highest > 0 ? $0 / highest : 0 }
    }

    @Test(arguments: elementTypes, [1, 4]) func scoresAreMultipliedWithThePrior(_ type: ElementType, _ threads: Int)
        throws
    {
        for (seed, (tokens, dim, sinks, recent, kernel)) in [
            (80, 16, 0, 8, 7), (80, 33, 4, 8, 1), (200, 128, 0, 0, 63), (50, 3, 20, 29, 5), (9, 8, 1, 1, 63),
        ].enumerated() {
            for layout in Layout.allCases {
                let values = try Values(heads: 5, tokens: tokens, dim: dim, type, layout, seed: UInt64(seed))
                let frame = Frame(CacheLength(prompt: tokens), sinks: sinks, recent: recent)
                let work = Workspace(threads: threads)
                var random = SplitMix(UInt64(seed) + 50)
                let before = (0..<5).map { _ in RowKind.random.make(frame.units, &random) }
                let scores = try makeScores(work.account, before)
                try ValueNorms.multiply(values.layer, frame, kernel: kernel, work, into: scores)
                for head in 0..<5 {
                    let exact = zip(exactPrior(values, head, frame, kernel), before[head]).map { $0 * Double($1) }
                    #expect(furthest(scores.copy(head), exact) <= 1e-5, "T \(tokens) D \(dim) \(layout) seed \(seed)")
                }
            }
        }
    }

    @Test func aPriorOfNothingIsZero() throws {
        let work = Workspace(threads: 1)
        let values = try Values(heads: 2, tokens: 20, dim: 4, seed: 6)
        values.tensor.memory.initializeMemory(as: UInt8.self, repeating: 0, count: values.tensor.bytes)
        let scores = try makeScores(work.account, [[Float]](repeating: [Float](repeating: 1, count: 14), count: 2))
        try ValueNorms.multiply(
            values.layer, Frame(CacheLength(prompt: 20), sinks: 2, recent: 4), kernel: 3, work, into: scores)
        #expect(scores.copy(0) == [Float](repeating: 0, count: 14))
    }

    /// The last W values are pooled into the candidates' gamma, so they are read and must be finite too.
    @Test(arguments: elementTypes, [1, 3]) func aBadValueAnywhereIsRefusedWithItsPlace(
        _ type: ElementType, _ threads: Int
    ) throws {
        let work = Workspace(threads: threads)
        let frame = Frame(CacheLength(prompt: 20), sinks: 2, recent: 4)
        for token in 0..<20 {
            for bad in [Float.nan, .infinity] {
                let values = try Values(heads: 3, tokens: 20, dim: 6, type, seed: 7)
                values.tensor.set(2, 19 - token, 0, bad)
                values.tensor.set(1, token, 5, bad)
                let scores = try makeScores(
                    work.account, [[Float]](repeating: [Float](repeating: 1, count: 14), count: 3))
                expectRefusal(
                    .nonfinite,
                    "values of layer 5, kv head 1, token \(token) have NaN or infinity, or a squared norm that overflows"
                ) { try ValueNorms.multiply(values.layer, frame, kernel: 3, work, into: scores) }
            }
        }
    }

    @Test func aSquaredNormThatOverflowsIsRefused() throws {
        let work = Workspace(threads: 1)
        let values = try Values(heads: 1, tokens: 20, dim: 6, seed: 8)
        values.tensor.set(0, 3, 2, 2e19)
        let scores = try makeScores(work.account, [[Float](repeating: 1, count: 14)])
        let error = refusal {
            try ValueNorms.multiply(
                values.layer, Frame(CacheLength(prompt: 20), sinks: 2, recent: 4), kernel: 3, work, into: scores)
        }
        #expect(error?.kind == .nonfinite)
    }

    /// Squared norms that fit, whose pooled sum does not: an error too, or finite scores.
    @Test func normsThatOverflowOnlyTogetherDoNotMakeScoresThatAreNoNumbers() throws {
        let work = Workspace(threads: 1)
        let values = try Values(heads: 1, tokens: 20, dim: 1, seed: 9)
        for token in 0..<20 { values.tensor.set(0, token, 0, 1.5e19) }
        let scores = try makeScores(work.account, [[Float](repeating: 1, count: 14)])
        let error = refusal {
            try ValueNorms.multiply(
                values.layer, Frame(CacheLength(prompt: 20), sinks: 2, recent: 4), kernel: 7, work, into: scores)
        }
        #expect(error != nil || scores.copy(0).allSatisfy { $0.isFinite })
    }

    /// Tiny values: norms may be subnormal, the prior is still between 0 and 1.
    @Test func normsThatUnderflowDoNotMakeScoresThatAreNoNumbers() throws {
        let work = Workspace(threads: 1)
        for size in [1e-19, 1e-20, 1e-21, 3e-22, 1e-22, 3e-23, 1e-30] as [Float] {
            let values = try Values(heads: 1, tokens: 20, dim: 1, seed: 10)
            for token in 0..<20 { values.tensor.set(0, token, 0, size * Float(1 + token % 3)) }
            let scores = try makeScores(work.account, [[Float](repeating: 1, count: 14)])
            try ValueNorms.multiply(
                values.layer, Frame(CacheLength(prompt: 20), sinks: 2, recent: 4), kernel: 7, work, into: scores)
            #expect(scores.copy(0).allSatisfy { $0 >= 0 && $0 <= 1.0001 }, "values of \(size)")
        }
    }
}
