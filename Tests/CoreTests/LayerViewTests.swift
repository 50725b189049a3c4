// What a layer must bring, and the model's shape.
import TestSupport
import Testing

@testable import KVSieveCore

private func model(_ layers: Int = 2, _ queryHeads: Int = 4, _ heads: Int = 2, _ dim: Int = 8, _ scale: Float = 0)
    throws(KVSieveError) -> ModelShape
{
    try ModelShape(layers: layers, queryHeads: queryHeads, heads: heads, headDim: dim, scale: scale)
}

private let everything = Reads.queries(.last(6)).andValues

/// A layer of the model above with 20 tokens and W = 6; what is not given is as it should be.
private func layer(
    reads: Reads? = everything, tokens: Int? = 20, length: CacheLength? = nil,
    queries: (heads: Int, rows: Int, dim: Int)? = (4, 6, 8), keys: (heads: Int, tokens: Int, dim: Int)? = (2, 20, 8),
    values: (heads: Int, tokens: Int, dim: Int)? = (2, 20, 5), shape: (heads: Int, tokens: Int)? = nil
) throws -> LayerView {
    func tensor(_ name: StaticString, _ size: (heads: Int, tokens: Int, dim: Int)?) throws -> TensorView? {
        guard let size else { return nil }
        return try Tensor(heads: size.heads, tokens: size.tokens, dim: size.dim).view(name)
    }
    let sizes = queries.map { (heads: $0.heads, tokens: $0.rows, dim: $0.dim) }
    return try LayerView(
        model(), layer: 1, length: length ?? tokens.map { CacheLength(prompt: $0) }, reads: reads,
        LayerTensors(
            queries: tensor("queries", sizes), keys: tensor("keys", keys), values: tensor("values", values),
            shape: shape.map { try TensorShape("keys", heads: $0.heads, tokens: $0.tokens) }))
}

@Suite struct LayerViewTests {
    @Test func aLayerThatFitsIsTaken() throws {
        let view = try layer()
        #expect((view.layer, view.length.longest) == (1, 20))
        #expect(view.queries != nil && view.keys != nil && view.values != nil)
    }

    @Test func tokensAreThoseOfTheFirstLayersKeysOrValues() throws {
        #expect(try layer(tokens: nil).length.longest == 20)
        #expect(try layer(reads: .nothing.andValues, tokens: nil).length.longest == 20)
    }

    @Test func whatIsNotNeededIsNotLookedAt() throws {
        let view = try layer(reads: .keys, queries: (3, 1, 1), values: (1, 1, 1))
        #expect(view.queries == nil && view.values == nil && view.keys != nil)
        #expect(try layer(reads: nil, queries: nil, keys: nil, values: nil).length.longest == 20)
    }

    @Test func aLayerThatReadsNothingCannotBeTheFirst() {
        expectRefusal(.state, "layer 1 takes over the choice of a layer that was not observed") {
            _ = try layer(reads: nil, tokens: nil)
        }
    }

    @Test func aNeededTensorThatIsMissingIsRefused() {
        expectRefusal(.null, "queries is NULL, but layer 1 reads it (kvsieve_plan_needs)") {
            _ = try layer(queries: nil)
        }
        expectRefusal(.null, "keys is NULL, but layer 1 reads it (kvsieve_plan_needs)") { _ = try layer(keys: nil) }
        expectRefusal(.null, "values is NULL, but layer 1 reads it (kvsieve_plan_needs)") { _ = try layer(values: nil) }
    }

    @Test func headsMustBeTheModels() {
        expectRefusal(.shape, "keys.heads is 3; expected 2, the model's kv_heads") { _ = try layer(keys: (3, 20, 8)) }
        expectRefusal(.shape, "values.heads is 1; expected 2, the model's kv_heads") {
            _ = try layer(values: (1, 20, 8))
        }
        expectRefusal(.shape, "queries.heads is 2; expected 4, the model's query_heads") {
            _ = try layer(queries: (2, 6, 8))
        }
    }

    @Test func tokensMustBeTheSequences() {
        let expected = "expected 20, what the sequence has in other tensors and layers"
        expectRefusal(.shape, "keys.tokens is 21; " + expected) { _ = try layer(keys: (2, 21, 8)) }
        expectRefusal(.shape, "values.tokens is 19; " + expected) { _ = try layer(values: (2, 19, 8)) }
        expectRefusal(.shape, "values.tokens is 19; " + expected) { _ = try layer(tokens: nil, values: (2, 19, 8)) }
    }

    @Test func dimMustBeTheModelsButForValues() throws {
        expectRefusal(.shape, "keys.dim is 7; expected 8, the model's head_dim") { _ = try layer(keys: (2, 20, 7)) }
        expectRefusal(.shape, "queries.dim is 9; expected 8, the model's head_dim") {
            _ = try layer(queries: (4, 6, 9))
        }
        _ = try layer(values: (2, 20, 513))
    }

    @Test func queriesHaveTheWindowsRowsOrMoreUpToAllTokens() throws {
        let expected = "expected at least 6, min(window 6, tokens 20), and at most 20"
        expectRefusal(.shape, "queries.tokens is 5; " + expected) { _ = try layer(queries: (4, 5, 8)) }
        expectRefusal(.shape, "queries.tokens is 21; " + expected) { _ = try layer(queries: (4, 21, 8)) }
        for rows in [6, 7, 20] { #expect(try layer(queries: (4, rows, 8)).queries?.tokens == 6) }
        let wide = Reads.queries(.last(64))
        #expect(try layer(reads: wide, queries: (4, 20, 8)).queries?.tokens == 20)
        expectRefusal(.shape, "queries.tokens is 64; expected at least 20, min(window 64, tokens 20), and at most 20") {
            _ = try layer(reads: wide, queries: (4, 64, 8))
        }
    }

    @Test func allQueriesAreThoseOfAllTokens() throws {
        let all = Reads.queries(.all)
        #expect(try layer(reads: all, queries: (4, 20, 8)).queries?.tokens == 20)
        for rows in [1, 19, 21] {
            expectRefusal(.shape, "queries.tokens is \(rows); expected 20, all tokens") {
                _ = try layer(reads: all, queries: (4, rows, 8))
            }
        }
    }

    /// The last of the rows that were given are read, in the memory where they are.
    @Test func theLastRowsAreReadInPlace() throws {
        let queries = Tensor((0..<4 * 20 * 8).map(Float.init), heads: 4, tokens: 20, dim: 8, .float32, .padded)
        let view = try LayerView(
            model(), layer: 1, length: CacheLength(prompt: 20), reads: .queries(.last(6)),
            LayerTensors(queries: queries.view("queries"), keys: Tensor(heads: 2, tokens: 20, dim: 8).view("keys")))
        let (read, whole) = (try #require(view.queries), try queries.view())
        for head in 0..<4 {
            for row in 0..<6 { #expect(read.row(head, row) == whole.row(head, 14 + row)) }
        }
        #expect(read.extent == whole.extent - 14 * read.tokenStride)
    }

    /// Of the keys the shape alone: no memory, the first layer's length, the same checks.
    @Test func ofMethodsThatReadNothingTheShapeOfTheKeysIsEnough() throws {
        func made(tokens: Int? = nil, _ heads: Int = 2, _ rows: Int = 20) throws -> LayerView {
            try layer(reads: .nothing, tokens: tokens, queries: nil, keys: nil, values: nil, shape: (heads, rows))
        }
        let view = try made()
        #expect(view.length.longest == 20 && view.queries == nil && view.keys == nil && view.values == nil)
        expectRefusal(.shape, "keys.heads is 3; expected 2, the model's kv_heads") { _ = try made(3) }
        expectRefusal(
            .shape, "keys.tokens is 21; expected 20, what the sequence has in other tensors and layers"
        ) { _ = try made(tokens: 20, 2, 21) }
        expectRefusal(.null, "keys is NULL, but layer 1 reads it (kvsieve_plan_needs)") {
            _ = try layer(reads: .nothing, keys: nil)
        }
    }

    /// A sequence that goes on: keys have the rows of the longest head, queries are those of new tokens.
    @Test func aSequenceThatGoesOnHasItsOwnLengths() throws {
        let length = CacheLength(seen: 50, new: 4, heads: [20, 13], ofModel: 33)
        #expect(try layer(length: length, queries: (4, 4, 8)).queries?.tokens == 4)
        expectRefusal(
            .shape, "queries.tokens is 5; expected at least 4, min(window 6, new tokens 4), and at most 4"
        ) { _ = try layer(length: length, queries: (4, 5, 8)) }
        expectRefusal(.shape, "queries.tokens is 3; expected 4, all new tokens") {
            _ = try layer(reads: .queries(.all), length: length, queries: (4, 3, 8))
        }
        expectRefusal(
            .shape, "keys.tokens is 19; expected 20, the most rows that a head of layer 1 kept and 4 new ones"
        ) { _ = try layer(length: length, queries: (4, 4, 8), keys: (2, 19, 8)) }
    }
}

@Suite struct ReadsTests {
    @Test func needsAreWhatTheAPISays() {
        #expect(Reads.nothing.needs.rawValue == 16)
        #expect(Reads.keys.needs.rawValue == 2)
        #expect(Reads.nothing.andValues.needs.rawValue == 4)
        #expect(Reads.keys.andValues.needs.rawValue == 6)
        #expect(Reads.queries(.last(8)).needs.rawValue == 3)
        #expect(Reads.queries(.last(8)).andValues.needs.rawValue == 7)
        #expect(Reads.queries(.all).needs.rawValue == 11)
    }

    @Test func rowsAreThoseOfTheWindowOrAllNewOnes() {
        #expect([1, 7, 8, 100].map { Reads.queries(.last(8)).rows(new: $0) } == [1, 7, 8, 8])
        #expect([1, 100].map { Reads.queries(.all).rows(new: $0) } == [1, 100])
        #expect(Reads.keys.rows(new: 9) == 0 && Reads.nothing.rows(new: 9) == 0)
    }
}

@Suite struct ModelShapeTests {
    @Test func groupAndDefaultScale() throws {
        let shape = try model(3, 12, 4, 64)
        #expect((shape.group, shape.scale) == (3, 0.125))
        #expect(try model(1, 1, 1, 8, 2.5).scale == 2.5)
    }

    @Test(arguments: [0, -1, Int.min, Int.max]) func sizesOutOfBoundsAreRefused(_ size: Int) {
        expectRefusal(.shape, "model.layers is \(size); expected 1 ... 1024") { _ = try model(size) }
        expectRefusal(.shape, "model.query_heads is \(size); expected 1 ... 1024") { _ = try model(1, size) }
        expectRefusal(.shape, "model.kv_heads is \(size); expected 1 ... 1024") { _ = try model(1, 4, size) }
        expectRefusal(.shape, "model.head_dim is \(size); expected 1 ... 65536") { _ = try model(1, 4, 4, size) }
    }

    @Test func theBoundsThemselvesAreAccepted() throws {
        #expect(try model(1024, 1024, 1024, 65536).group == 1)
        #expect(try model(1, 1024, 1, 1).group == 1024)
    }

    @Test(arguments: [(4, 3), (2, 4), (1, 1024)]) func queryHeadsAreAMultiple(_ queryHeads: Int, _ heads: Int) {
        expectRefusal(
            .shape, "model.query_heads is \(queryHeads), which is not a multiple of model.kv_heads, \(heads)"
        ) { _ = try model(1, queryHeads, heads) }
    }

    @Test(arguments: [-1, -Float.leastNonzeroMagnitude, .nan, .infinity, -.infinity] as [Float])
    func aScaleThatIsNoPositiveNumberIsRefused(_ scale: Float) {
        expectRefusal(.parameter, "model.scale is \(scale); expected a finite number that is not negative") {
            _ = try model(1, 1, 1, 8, scale)
        }
    }
}
