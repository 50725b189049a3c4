// The methods' common ground in naive double precision, from the formulas: attention of the window, column sums, pooling,
// the best of a ranking. Nothing here is fast, shared with the library, or clever.

import Foundation

/// One sequence: queries [layer][Hq][rows][D], keys [layer][H][T][D], values [layer][H][T][D], as plain numbers.
public struct ReferenceCache: Sendable {
    public var layers: Int, queryHeads: Int, heads: Int, dim: Int, tokens: Int, rows: Int
    public var scale: Double
    public var queries: [[Double]] = []
    public var keys: [[Double]] = []
    public var values: [[Double]] = []

    public init(
        layers: Int, queryHeads: Int, heads: Int, dim: Int, tokens: Int, rows: Int, scale: Double,
        queries: [[Float]], keys: [[Float]], values: [[Float]]
    ) {
        (self.layers, self.queryHeads, self.heads, self.dim) = (layers, queryHeads, heads, dim)
        (self.tokens, self.rows) = (tokens, rows)
        self.scale = scale == 0 ? 1 / Double(dim).squareRoot() : scale
        self.queries = queries.map { $0.map(Double.init) }
        self.keys = keys.map { $0.map(Double.init) }
        self.values = values.map { $0.map(Double.init) }
    }

    var group: Int { queryHeads / heads }

    func key(_ layer: Int, _ head: Int, _ token: Int) -> ArraySlice<Double> {
        let first = (head * tokens + token) * dim
        return keys[layer][first..<first + dim]
    }

    func value(_ layer: Int, _ head: Int, _ token: Int) -> [Double] {
        let first = (head * tokens + token) * dim
        return Array(values[layer][first..<first + dim])
    }

    /// P[row][token] of one query head: softmax over all T keys of gain * scale * q . k, causal in the last W columns.
    func attention(_ layer: Int, queryHead: Int, gains: [Double]? = nil) -> [[Double]] {
        (0..<rows).map { row in
            let first = (queryHead * rows + row) * dim
            let query = queries[layer][first..<first + dim]
            let last = tokens - rows + row
            var logits: [Double] = []
            for token in 0...last {
                let dot = zip(query, key(layer, queryHead / group, token)).reduce(0) { $0 + $1.0 * $1.1 }
                logits.append(dot * scale * (gains?[row] ?? 1))
            }
            let most = logits.max() ?? 0
            let powers = logits.map { exp($0 - most) }
            let sum = powers.reduce(0, +)
            return powers.map { $0 / sum } + Array(repeating: 0, count: tokens - 1 - last)
        }
    }

    /// Column sums of one query head.
    func columnSums(_ layer: Int, queryHead: Int, gains: [Double]? = nil) -> [Double] {
        attention(layer, queryHead: queryHead, gains: gains).reduce(Array(repeating: 0, count: tokens)) { sum, row in
            zip(sum, row).map { $0 + $1 }
        }
    }

    /// Column sums of a key/value head: mean over its query heads.
    func groupSums(_ layer: Int, head: Int, gains: [Double]? = nil) -> [Double] {
        let all = (0..<group).map { columnSums(layer, queryHead: head * group + $0, gains: gains) }
        return (0..<tokens).map { token in all.reduce(0) { $0 + $1[token] } / Double(group) }
    }
}

/// What a method keeps and by which scores: positions[layer][head], and the numbers each ranking used.
public struct ReferenceResult: Sendable {
    public var positions: [[[Int]]] = []
    /// [layer][head][unit]; empty where nothing was ranked, one row where heads share.
    public var scores: [[[Double]]] = []
}

func pooled(_ values: [Double], kernel: Int, max useMax: Bool) -> [Double] {
    values.indices.map { center in
        let inside = (center - kernel / 2...center + kernel / 2).filter(values.indices.contains).map { values[$0] }
        return useMax ? inside.max() ?? 0 : inside.reduce(0, +) / Double(kernel)
    }
}

/// Indices of the best `count`, ascending; of equals the lower index.
func best(_ values: [Double], _ count: Int) -> [Int] {
    let order = values.indices.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }
    return order.prefix(max(0, count)).sorted()
}
