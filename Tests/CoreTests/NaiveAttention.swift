// One layer of attention with its naive double: from the formula, one query row and one key at a time.
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

struct Attention: Sendable, CustomTestStringConvertible {
    var heads = 1, group = 1, window = 8, tokens = 100, dim = 16
    /// 0: 1/sqrt(dim).
    var scale: Float = 0
    var gains: [Float] = []
    var type = ElementType.float32
    var layout = Layout.headMajor
    var seed: UInt64 = 1
    /// What the eighths are multiplied with.
    var size: Float = 1

    var rows: Int { min(window, tokens) }
    var testDescription: String {
        "H \(heads) G \(group) W \(window) T \(tokens) D \(dim) scale \(scale)\(gains.isEmpty ? "" : " gains") \(type.name) \(layout) seed \(seed)"
    }

    func make() throws -> Input { try Input(self) }

    final class Input: @unchecked Sendable {
        let attention: Attention
        let shape: ModelShape
        let queryFloats: [Float]
        let keyFloats: [Float]
        let queries: Tensor
        let keys: Tensor
        let view: LayerView

        init(_ a: Attention) throws {
            var random = SplitMix(a.seed)
            attention = a
            shape = try ModelShape(
                layers: 8, queryHeads: a.heads * a.group, heads: a.heads, headDim: a.dim, scale: a.scale)
            queryFloats = random.eighths(a.heads * a.group * a.rows * a.dim).map { $0 * a.size }
            keyFloats = random.eighths(a.heads * a.tokens * a.dim)
            queries = Tensor(queryFloats, heads: a.heads * a.group, tokens: a.rows, dim: a.dim, a.type, a.layout)
            keys = Tensor(keyFloats, heads: a.heads, tokens: a.tokens, dim: a.dim, a.type, a.layout)
            view = try LayerView(
                shape, layer: 5, length: nil, window: a.window, needs: [.queries, .keys],
                queries: queries.view("queries"),
                keys: keys.view("keys"), values: nil)
        }

        /// Column sums of each key/value head, (sum rows, T) one after another.
        func columns(_ work: Workspace, perQueryHead: Bool = false) throws -> [[Float]] {
            var all: [[Float]] = []
            let gains = attention.gains
            let window =
                try gains.isEmpty ? WindowAttention(view) : WindowAttention(view, work) { Double(gains[$0]) }
            try window.forEachHead(work, perQueryHead: perQueryHead) {
                (columns: HeadColumns) throws(KVSieveError) in
                #expect(columns.head == all.count)
                all.append(Array(UnsafeBufferPointer(start: columns.sums, count: columns.sumRows * attention.tokens)))
            }
            return all
        }

        /// The same in double.
        func exact(perQueryHead: Bool = false) -> [[Double]] {
            let a = attention
            let (q, k) = (queryFloats.map(Double.init), keyFloats.map(Double.init))
            let scale = a.scale == 0 ? 1 / Double(a.dim).squareRoot() : Double(a.scale)
            return (0..<a.heads).map { head in
                var sums = [Double](repeating: 0, count: (perQueryHead ? a.group : 1) * a.tokens)
                var logits = [Double](repeating: 0, count: a.tokens)
                for g in 0..<a.group {
                    let target = perQueryHead ? g * a.tokens : 0
                    for row in 0..<a.rows {
                        let query = ((head * a.group + g) * a.rows + row) * a.dim
                        let seen = a.tokens - a.rows + row + 1
                        let factor = scale * (a.gains.isEmpty ? 1 : Double(a.gains[row]))
                        for j in 0..<seen {
                            let key = (head * a.tokens + j) * a.dim
                            var dot = 0.0
                            for d in 0..<a.dim { dot += q[query + d] * k[key + d] }
                            logits[j] = dot * factor
                        }
                        let highest = logits[..<seen].max() ?? 0
                        var sum = 0.0
                        for j in 0..<seen {
                            logits[j] = exp(logits[j] - highest)
                            sum += logits[j]
                        }
                        for j in 0..<seen { sums[target + j] += logits[j] / sum }
                    }
                }
                return sums
            }
        }
    }
}
