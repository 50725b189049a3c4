import KVSieveMethods
import TestSupport
import Testing

// The library against the naive double reference: the same positions wherever the reference's scores are further apart than
// float32 can blur. With max pooling, whose plateaus are exact ties, the kept scores must be the same numbers.
@testable import KVSieveCore

struct ReferenceCase: Sendable, CustomStringConvertible {
    let method: String
    let shape: (layers: Int, queryHeads: Int, heads: Int, dim: Int)
    let tokens: Int
    let changes: [String: Double]
    let type: ElementType
    let layout: Layout
    let seed: UInt64
    var description: String { "\(method) \(shape) T\(tokens) \(changes) \(type.name) \(layout) seed \(seed)" }
}

/// Shapes, dtypes, layouts and parameters drawn from a seed.
let drawn: [ReferenceCase] = ["ahakv", "taskkv", "windowkv", "dynamickv", "h2o"].flatMap { name in
    (0..<24).map { index in
        var noise = SplitMix(UInt64(index) &* 7919 &+ UInt64(name.count))
        func pick<T>(_ choices: [T]) -> T { choices[Int(noise.next() % UInt64(choices.count))] }
        let (queryHeads, heads) = pick([(1, 1), (4, 2), (4, 4), (16, 1), (6, 3), (8, 2)])
        var changes: [String: Double] = ["window": pick([4, 8, 13])]
        switch name {
        case "ahakv":
            changes.merge(["gain_floor": pick([0, 0.5, 1]), "sinks": pick([0, 3]), "budget": pick([20, 50, 90])]) { $1 }
        case "taskkv":
            changes.merge(["ratio": pick([0.25, 0.4, 0.8]), "beta": pick([0, 0.3, 0.7]), "top": pick([0, 1, 2])]) { $1 }
        case "windowkv":
            changes.merge([
                "task": pick([0, 1]), "charge": pick([0, 1]), "shared": pick([1, 2, 3]), "size": pick([1, 5, 8]),
            ]) { $1 }
        case "h2o": changes = ["budget": pick([20, 50, 90]), "recent_ratio": pick([0, 0.25, 0.5, 1])]
        default: changes.merge(["pool": pick([0, 1]), "cap": pick([1, 2.5, 10]), "every": pick([1, 2, 4])]) { $1 }
        }
        if name != "windowkv", name != "h2o" { changes["pool_kernel"] = pick([1, 5, 7]) }
        return ReferenceCase(
            method: name, shape: (pick([1, 2, 4, 5]), queryHeads, heads, pick([8, 33, 64])),
            tokens: pick([90, 131, 260]),
            changes: changes, type: pick([.float32, .float16, .bfloat16]), layout: pick(Layout.allCases),
            seed: noise.next())
    }
}

@Suite struct ReferenceTests {
    @Test(arguments: drawn) func keepsWhatTheFormulasSay(_ test: ReferenceCase) throws {
        let row = try method(test.method)
        let shape = try ModelShape(
            layers: test.shape.layers, queryHeads: test.shape.queryHeads, heads: test.shape.heads,
            headDim: test.shape.dim)
        var parameters = tight(row, tokens: test.tokens)
        parameters.merge(test.changes) { $1 }
        for parameter in row.parameters where parameters["\(parameter.name)"] == nil {
            parameters["\(parameter.name)"] = parameter.initial
        }
        var sequence = Sequence(
            shape, tokens: test.tokens, window: Int(parameters["window"] ?? Double(test.tokens)), seed: test.seed)
        // Short numbers are exact in every dtype; four times as large, queries make peaks.
        for layer in 0..<shape.layers {
            for path in [\Sequence.queries, \Sequence.keys, \Sequence.values] {
                sequence[keyPath: path][layer] = sequence[keyPath: path][layer].map { ($0 * 4).rounded() / 4 }
            }
            sequence.queries[layer] = sequence.queries[layer].map { $0 * 4 }
        }
        let cache = ReferenceCache(
            layers: shape.layers, queryHeads: shape.queryHeads, heads: shape.heads, dim: shape.headDim,
            tokens: test.tokens,
            rows: sequence.rows, scale: 0, queries: sequence.queries, keys: sequence.keys, values: sequence.values)
        let expected = Reference.run(test.method, cache, parameters)
        let kept = try sequence.kept(row, parameters, test.type, test.layout)
        for layer in 0..<shape.layers {
            for head in 0..<shape.heads {
                let (got, want) = (kept[layer][head], expected.positions[layer][head])
                #expect(got.count == want.count, "layer \(layer) head \(head)")
                if got != want { try compareScores(test, row, parameters, expected, layer, head, got, want) }
            }
        }
    }

    /// Positions that differ must have scores that float32 cannot tell apart.
    private func compareScores(
        _ test: ReferenceCase, _ row: MethodRow, _ parameters: [String: Double], _ expected: ReferenceResult,
        _ layer: Int,
        _ head: Int, _ got: [Int], _ want: [Int]
    ) throws {
        let rows = expected.scores[layer]
        let scores = rows.count == 1 ? rows[0] : rows[head]
        let unit = test.method == "windowkv" ? Int(parameters["size"] ?? 1) : 1
        let first = test.method == "taskkv" || test.method == "ahakv" ? Int(parameters["sinks"] ?? 0) : 0
        func sorted(_ positions: Set<Int>) -> [Double] {
            Set(positions.map { ($0 - first) / unit }).map { scores[$0] }.sorted()
        }
        let (mine, theirs) = (sorted(Set(got).subtracting(want)), sorted(Set(want).subtracting(got)))
        #expect(mine.count == theirs.count)
        for (a, b) in zip(mine, theirs) {
            #expect(abs(a - b) <= 1e-5 * max(abs(a), abs(b)), "layer \(layer) head \(head): \(a) kept, \(b) dropped")
        }
    }
}
