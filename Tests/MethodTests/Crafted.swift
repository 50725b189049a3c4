import KVSieveMethods

// Sequences whose attention is chosen by hand: key j of a head has weight w_j for every query row, so that
// P[i, j] = w_j / (sum of the weights that row i sees). Keys are (ln w_j, 0), queries (1, 0), scale 1.
@testable import KVSieveCore

struct Crafted {
    var sequence: Sequence
    let row: MethodRow
    let parameters: [String: Double]

    /// - Parameters:
    ///   - weights: [layer][head][token].
    ///   - group: query heads a KV head; all see the same.
    ///   - values: [layer][head][token], the first element of a value row; 1 where nil.
    init(
        _ name: String, _ weights: [[[Double]]], window: Int, group: Int = 1, values: [[[Double]]]? = nil,
        _ parameters: [String: Double]
    ) throws {
        row = try method(name)
        let heads = weights[0].count
        let tokens = weights[0][0].count
        let shape = try ModelShape(
            layers: weights.count, queryHeads: heads * group, heads: heads, headDim: 2, scale: 1)
        sequence = Sequence(shape, tokens: tokens, rows: min(window, tokens))
        for (layer, heads) in weights.enumerated() {
            sequence.queries.append((0..<shape.queryHeads * sequence.rows).flatMap { _ in [1, 0] as [Float] })
            sequence.keys.append(heads.flatMap { $0.flatMap { [Float(naturalLogarithm($0)), 0] } })
            sequence.values.append(
                (0..<heads.count).flatMap { head in
                    (0..<tokens).flatMap { [Float(values?[layer][head][$0] ?? 1), 0] as [Float] }
                })
        }
        var all = parameters
        all["window"] = Double(window)
        self.parameters = all
    }

    func kept() throws -> [[[Int]]] { try sequence.kept(row, parameters) }

    /// How many tokens each layer's first head keeps after each observe: [observed][layer].
    func countsWhileObserving() throws -> [[Int]] {
        let plan = try makePlan(row, sequence.shape, parameters)
        var counts: [[Int]] = []
        try sequence.observe(plan) { plan, layer in
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
