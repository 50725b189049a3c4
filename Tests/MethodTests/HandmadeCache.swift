// Caches whose attention is chosen by hand: key j of a head has weight w_j for every query row, so that
// P[i, j] = w_j / (sum of the weights that row i sees). Keys are (ln w_j, 0), queries (1, 0), scale 1.
import KVSieveMethods

@testable import KVSieveCore

struct HandmadeCache {
    var sequence: Sequence
    let method: AnyMethod
    let parameters: [String: Double]

    /// - Parameters:
    ///   - weights: [layer][head][token].
    ///   - window: the parameter, of methods that have it.
    ///   - values: [layer][head][token], the first element of a value row; 1 where nil.
    init(
        _ name: String, _ weights: [[[Double]]], window: Int? = nil, values: [[[Double]]]? = nil,
        _ parameters: [String: Double]
    ) throws {
        method = try .named(name)
        let heads = weights[0].count
        let tokens = weights[0][0].count
        sequence = Sequence(
            try ModelShape(layers: weights.count, queryHeads: heads, heads: heads, headDim: 2, scale: 1), tokens: tokens
        )
        for (layer, heads) in weights.enumerated() {
            sequence.queries.append((0..<heads.count * tokens).flatMap { _ in [1, 0] as [Float] })
            sequence.keys.append(heads.flatMap { $0.flatMap { [Float(naturalLogarithm($0)), 0] } })
            sequence.values.append(
                (0..<heads.count).flatMap { head in
                    (0..<tokens).flatMap { [Float(values?[layer][head][$0] ?? 1), 0] as [Float] }
                })
        }
        self.parameters = parameters.merging(window.map { ["window": Double($0)] } ?? [:]) { $1 }
    }

    /// One layer of one key/value head with two query heads: the first sees the weights `one`, the second the weights `two`.
    init(
        _ name: String, one: [Double], two: [Double], window: Int? = nil, _ parameters: [String: Double]
    ) throws {
        try self.init(name, [[one]], window: window, parameters)
        sequence.shape = try ModelShape(layers: 1, queryHeads: 2, heads: 1, headDim: 2, scale: 1)
        sequence.queries = [one.flatMap { _ in [1, 0] as [Float] } + two.flatMap { _ in [0, 1] as [Float] }]
        sequence.keys = [zip(one, two).flatMap { [Float(naturalLogarithm($0)), Float(naturalLogarithm($1))] }]
    }

    func plan() throws -> Plan { try method.plan(sequence.shape, parameters) }

    func kept() throws -> [[[Int]]] { try sequence.kept(method, parameters) }

    /// How many tokens each layer's first head keeps after each observe: [observed][layer].
    func countsWhileObserving() throws -> [[Int]] {
        var counts: [[Int]] = []
        try sequence.observe(plan()) { plan, layer in
            try counts.append((0...layer).map { try plan.kept(layer: $0).copy(0).count })
        }
        return counts
    }

    func error() -> KVSieveError? {
        do {
            _ = try kept()
            return nil
        } catch {
            return error as? KVSieveError
        }
    }
}

/// `tokens` weights of `floor`, but for those named.
func weights(_ tokens: Int, _ named: [Int: Double] = [:], floor: Double = 1e-3) -> [Double] {
    (0..<tokens).map { named[$0] ?? floor }
}
