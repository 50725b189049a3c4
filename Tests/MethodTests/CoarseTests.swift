// The parameter coarse: keys in Q8_0 multiplied as bytes choose nearly the same rows, and nothing else changes.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private let methods = AnyMethod.all.filter { $0.parameter("coarse") != nil }

/// Random queries and values, and keys of a type, for two layers of four query heads.
private struct Cache {
    let shape: ModelShape
    let tokens: Int
    private let layers: [(q: Tensor, k: Tensor, v: Tensor)]

    init(_ type: ElementType, tokens: Int = 300, dim: Int = 64, seed: UInt64) throws {
        shape = try ModelShape(layers: 2, queryHeads: 4, heads: 2, headDim: dim)
        self.tokens = tokens
        layers = (0..<2).map { layer in
            var random = SplitMix(seed + UInt64(layer))
            func floats(_ heads: Int) -> Tensor {
                Tensor(random.floats(heads * tokens * dim), heads: heads, tokens: tokens, dim: dim)
            }
            let keys =
                narrowTypes.contains(type)
                ? Tensor.narrow(heads: 2, tokens: tokens, dim: dim, type, seed: seed + 50 + UInt64(layer)).narrow
                : Tensor(random.eighths(2 * tokens * dim), heads: 2, tokens: tokens, dim: dim, type)
            return (floats(4), keys, floats(2))
        }
    }

    func finished(_ method: AnyMethod, _ wishes: [String: Double]) throws -> Plan {
        let plan = try method.plan(shape, method.tight(tokens: tokens, wishes))
        for (layer, tensors) in layers.enumerated() {
            try plan.observe(layer: layer, tensors.q, tensors.k, tensors.v)
        }
        try plan.finish()
        return plan
    }

    func kept(_ method: AnyMethod, _ wishes: [String: Double]) throws -> [[[Int]]] {
        try positions(finished(method, wishes))
    }
}

/// How many of the rows that `plain` keeps `other` keeps, too, and how many there are.
private func common(_ plain: [[[Int]]], _ other: [[[Int]]]) -> (both: Int, all: Int) {
    let heads = zip(plain.joined(), other.joined())
    return heads.reduce((0, 0)) { ($0.0 + Set($1.0).intersection($1.1).count, $0.1 + $1.0.count) }
}

@Suite struct CoarseTests {
    /// Rows at random would be 20 to 40 % the same. Equal scores are none here: all that differ are near-ties.
    @Test(arguments: methods) func nearlyTheSameRowsAreKept(_ method: AnyMethod) throws {
        var (both, all) = (0, 0)
        for seed in stride(from: UInt64(160), to: 200, by: 4) {
            let cache = try Cache(.q8, seed: seed)
            let (plain, coarse) = (try cache.kept(method, [:]), try cache.kept(method, ["coarse": 1]))
            let counts = common(plain, coarse)
            (both, all) = (both + counts.both, all + counts.all)
        }
        print("\(method.name): \(both) of \(all) rows are the same, seeds 160 to 197")
        #expect(all > 2000 && Double(both) >= 0.98 * Double(all), "\(both) of \(all), seeds 160 to 197")
    }

    @Test(arguments: methods, [ElementType.float32, .float16, .bfloat16, .float8e4m3, .float8e5m2, .q4])
    func keysThatAreNotQ8KeepTheSame(_ method: AnyMethod, _ type: ElementType) throws {
        let cache = try Cache(type, seed: 201)
        #expect(try cache.kept(method, ["coarse": 1]) == cache.kept(method, [:]), "seed 201")
    }

    @Test(arguments: methods) func theNumberOfThreadsChangesNothing(_ method: AnyMethod) throws {
        let cache = try Cache(.q8, tokens: 900, dim: 32, seed: 211)
        let one = try cache.kept(method, ["coarse": 1])
        for threads in [2.0, 3] {
            #expect(try cache.kept(method, ["coarse": 1, "threads": threads]) == one, "seed 211")
        }
    }

    /// Steps read keys as floats: after the same prompt the same slots are freed, whatever type the rows have.
    @Test(arguments: methods.filter(\.row.decodes)) func stepsAreTheSame(_ method: AnyMethod) throws {
        let cache = try Cache(.float32, tokens: 90, seed: 221)
        let plans = try [0, 1].map { try cache.finished(method, ["decoding": 1, "coarse": $0]) }
        for (token, layer) in (0..<6).flatMap({ token in (0..<2).map { (token, $0) } }) {
            let rows = try plans[0].slots(layer: layer, head: 0).positions.count + 1
            func some(_ heads: Int, _ tokens: Int, _ salt: Int) -> Tensor {
                let seed = UInt64(230 + 10 * token + 3 * layer + salt)
                return Tensor.narrow(heads: heads, tokens: tokens, dim: 64, .q8, seed: seed).narrow
            }
            let (q, k, v) = (some(4, 1, 0), some(2, rows, 1), some(2, rows, 2))
            var (floats, bytes) = ([-7, -7] as [Int32], [-7, -7] as [Int32])
            try plans[0].step(layer: layer, slot: &floats, q, k, v)
            try plans[1].step(layer: layer, slot: &bytes, q, k, v)
            #expect(floats == bytes, "seeds from 230, token \(token)")
        }
    }

    @Test(arguments: methods) func aBadNumberIsRefused(_ method: AnyMethod) throws {
        let shape = try ModelShape(layers: 1, queryHeads: 2, heads: 1, headDim: 32)
        let tokens = 200
        let good = Tensor.narrow(heads: 1, tokens: tokens, dim: 32, .q8, seed: 241)
        var random = SplitMix(242)
        let numbers = random.floats(2 * tokens * 32)
        func observe(_ queries: [Float], _ keys: Tensor) throws {
            let plan = try method.plan(shape, method.tight(tokens: tokens, ["coarse": 1]))
            try plan.observe(
                layer: 0, Tensor(queries, heads: 2, tokens: tokens, dim: 32), keys, good.floats)
        }
        try observe(numbers, good.narrow)
        for bad in [Float.nan, .infinity] {
            var queries = numbers
            queries[2 * tokens * 32 - 3] = bad
            #expect(errorKind { try observe(queries, good.narrow) } == .nonfinite, "\(bad)")
        }
        var row = good.narrow.row(0, 17)
        (row[0], row[1]) = (0, 0x7c)
        good.narrow.set(0, 17, row: row)
        #expect(errorKind { try observe(numbers, good.narrow) } == .nonfinite)
    }

    @Test func methodsThatReadNoQueriesDoNotHaveIt() throws {
        #expect(methods.allSatisfy { $0.parameter("report") != nil })
        for method in AnyMethod.all where method.parameter("coarse") == nil {
            #expect(method.parameter("report") == nil)
            let plan = try method.plan(ModelShape(layers: 1, queryHeads: 2, heads: 1, headDim: 32))
            let error = thrown { try plan.set(Shared.coarse.id, 1) }
            #expect(error?.message.contains("coarse (113), as it reads no queries") == true)
        }
    }
}
