// Sequences whose caches are in blocks, or in narrow types: what every method keeps, and what leaves, is what it is without.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private let paged: [Layout] = [.blocks, .headsInBlocks, .interleavedBlocks]

@Suite struct PagedTests {
    @Test(arguments: AnyMethod.all, paged) func aSequenceThatGoesOnKeepsTheSameInBlocks(
        _ method: AnyMethod, _ layout: Layout
    ) throws {
        var plain = try ExtendedSequence(method)
        var blocks = try ExtendedSequence(method)
        blocks.layout = layout
        for count in [200, 37, 1, 90] {
            let expected = try plain.go(count)
            #expect(try blocks.go(count) == expected, "after \(count) tokens")
        }
    }

    @Test(arguments: Decoder.all, paged) func theSameTokensLeaveInBlocks(_ decoder: Decoder, _ layout: Layout) throws {
        var plain = try DecodedSequence(decoder, seed: 71)
        var blocks = try DecodedSequence(decoder, seed: 71)
        blocks.layout = layout
        for tokens in [1, 3, 1, 2, 4, 1] {
            try plain.round(tokens)
            try blocks.round(tokens)
            #expect(try blocks.slots() == plain.slots(), "seed 71")
        }
    }

    /// Prompt, then steps: each narrow tensor beside a float32 one of the same numbers.
    @Test(arguments: AnyMethod.all, narrowTypes) func narrowTypesAreTheNumbersThatTheyHold(
        _ method: AnyMethod, _ type: ElementType
    ) throws {
        let shape = try ModelShape(layers: 2, queryHeads: 4, heads: 2, headDim: 32)
        for (seed, layout) in [Layout.headMajor, .padded, .blocks].enumerated() {
            let parameters = method.tight(tokens: 90, ["decoding": 1])
            let (narrow, floats) = (try method.plan(shape, parameters), try method.plan(shape, parameters))
            func both(_ heads: Int, _ tokens: Int, _ salt: Int) -> (narrow: Tensor, floats: Tensor) {
                Tensor.narrow(heads: heads, tokens: tokens, dim: 32, type, layout, seed: UInt64(100 * seed + salt))
            }
            for layer in 0..<2 {
                let (q, k, v) = (both(4, 90, 3 * layer), both(2, 90, 3 * layer + 1), both(2, 90, 3 * layer + 2))
                try narrow.observe(layer: layer, q.narrow, k.narrow, v.narrow)
                try floats.observe(layer: layer, q.floats, k.floats, v.floats)
            }
            try narrow.finish()
            try floats.finish()
            #expect(try positions(narrow) == positions(floats), "\(layout), seed \(seed)")
            guard method.row.decodes else { continue }
            for token in 0..<4 {
                for layer in 0..<2 {
                    let rows = try floats.slots(layer: layer, head: 0).positions.count + 1
                    let salt = 10 + 10 * token + layer
                    let (q, k, v) = (both(4, 1, salt), both(2, rows, salt + 2), both(2, rows, salt + 4))
                    var (mine, others) = ([Int32](repeating: -7, count: 2), [Int32](repeating: -8, count: 2))
                    try narrow.step(layer: layer, slot: &mine, q.narrow, k.narrow, v.narrow)
                    try floats.step(layer: layer, slot: &others, q.floats, k.floats, v.floats)
                    #expect(mine == others, "\(layout), seed \(seed), token \(token)")
                }
            }
        }
    }

    /// Logits in blocks, or of a narrow type, are read as they are.
    @Test(arguments: Decoder.all, [Layout.padded] + paged) func logitsMayBeInBlocks(
        _ decoder: Decoder, _ layout: Layout
    ) throws {
        let (plain, other) = (try DecodedSequence(decoder, seed: 72).plan, try DecodedSequence(decoder, seed: 72).plan)
        let m = try min(2, DecodedSequence(decoder, seed: 72).mostTokens)
        var random = SplitMix(73)
        for _ in 0..<5 {
            for layer in 0..<2 {
                let rows = try plain.slots(layer: layer, head: 0).positions.count + m
                let (logits, values) = (random.floats(4 * m * rows), random.floats(2 * rows * 8))
                var (mine, others) = ([Int32](repeating: -7, count: 2 * m), [Int32](repeating: -8, count: 2 * m))
                try plain.step(
                    layer: layer, slot: &others, logits: Tensor(logits, heads: 4, tokens: m, dim: rows),
                    Tensor(values, heads: 2, tokens: rows, dim: 8))
                try other.step(
                    layer: layer, slot: &mine,
                    logits: Tensor(logits, heads: 4, tokens: m, dim: rows, .float32, layout),
                    Tensor(values, heads: 2, tokens: rows, dim: 8, .float32, layout))
                #expect(mine == others, "seeds 72, 73")
            }
        }
    }
    /// Queries of a narrow type in chunks: the plan's copy of the last rows is what they are.
    @Test(arguments: narrowTypes, [Layout.headMajor] + paged) func chunksOfNarrowQueriesAreTheSameAtOnce(
        _ type: ElementType, _ layout: Layout
    ) throws {
        let shape = try ModelShape(layers: 1, queryHeads: 4, heads: 2, headDim: 64)
        for method in AnyMethod.all {
            let parameters = method.tight(tokens: 90)
            let (chunked, whole) = (try method.plan(shape, parameters), try method.plan(shape, parameters))
            guard try whole.needs(layer: 0).isSuperset(of: .queries), try !whole.needs(layer: 0).contains(.allQueries)
            else { continue }
            func tensor(_ heads: Int, _ tokens: Int, _ seed: UInt64) -> Tensor {
                Tensor.narrow(heads: heads, tokens: tokens, dim: 64, type, layout, seed: seed).narrow
            }
            let (queries, keys, values) = (tensor(4, 90, 81), tensor(2, 90, 82), tensor(2, 90, 83))
            for range in [0..<50, 50..<83, 83..<90] {
                let chunk = Tensor(heads: 4, tokens: range.count, dim: 64, type, layout)
                for (head, t) in (0..<4).flatMap({ head in range.map { (head, $0) } }) {
                    chunk.set(head, t - range.lowerBound, row: queries.row(head, t))
                }
                try chunked.queries(layer: 0) { () throws(KVSieveError) in try chunk.view("queries") }
            }
            try chunked.observe(layer: 0) { (_) throws(KVSieveError) in
                try LayerTensors(keys: keys.view("keys"), values: values.view("values"))
            }
            try whole.observe(layer: 0, queries, keys, values)
            try chunked.finish()
            try whole.finish()
            #expect(try positions(chunked) == positions(whole), "\(method.row.name), seeds 81 to 83")
        }
    }
}
