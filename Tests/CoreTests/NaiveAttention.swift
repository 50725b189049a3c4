// One layer of attention with its naive double: from the formula, one query row and one key at a time.
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

struct Attention: Sendable, CustomTestStringConvertible {
    /// `tokens` are the rows of the longest head.
    var heads = 1, group = 1, window = 8, tokens = 100, dim = 16
    /// Rows of each head's cache of a sequence that goes on; [] for a prompt.
    var lengths: [Int] = []
    /// New tokens of such a sequence.
    var new = 0
    /// Are the queries of all (new) tokens read, or the last W?
    var readsAll = false
    /// 0: 1/sqrt(dim).
    var scale: Float = 0
    var gain: (@Sendable (_ seen: Int) -> Double)?
    var type = ElementType.float32
    var layout = Layout.headMajor
    var seed: UInt64 = 1
    /// What the eighths are multiplied with.
    var size: Float = 1

    var length: CacheLength {
        lengths.isEmpty
            ? CacheLength(prompt: tokens) : CacheLength(seen: tokens + 31, new: new, heads: lengths, ofModel: 0)
    }
    /// 1 where none is set.
    private var gainOfRow: @Sendable (_ seen: Int) -> Double { gain ?? { _ in 1 } }
    var reads: Reads { .queries(readsAll ? .all : .last(window)) }
    /// Rows of queries that are read.
    var rows: Int { reads.rows(new: length.new) }

    var testDescription: String {
        let sizes = "H\(heads) G\(group) \(readsAll ? "all rows" : "W\(window)") T\(tokens) D\(dim)"
        let more = [
            lengths.isEmpty ? "" : "ragged \(lengths) new \(new)", scale == 0 ? "" : "scale \(scale)",
            gain == nil ? "" : "gains", "\(type.name) \(layout) seed \(seed)",
        ]
        return ([sizes] + more.filter { !$0.isEmpty }).joined(separator: " ")
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
            // Nothing past a shorter head's rows is read.
            for (head, rows) in a.lengths.enumerated() {
                for token in rows..<a.tokens { for d in 0..<a.dim { keys.set(head, token, d, .nan) } }
            }
            view = try LayerView(
                shape, layer: 5, length: a.lengths.isEmpty ? nil : a.length, reads: a.reads,
                LayerTensors(queries: queries.view("queries"), keys: keys.view("keys")))
        }

        func layer(_ work: Workspace) -> Layer {
            Layer(view, .whole(view.length), work, scores: TableMemory(work.account))
        }

        /// Column sums of each key/value head, mean over its query heads.
        func means(_ work: Workspace) throws -> [[Float]] {
            let table = try layer(work).attention(gain: attention.gainOfRow)
            return (0..<table.rows).map { table.copy($0) }
        }

        /// Column sums of each query head by itself.
        func ofQueryHeads(_ work: Workspace) throws -> [[Float]] {
            var all: [[Float]] = []
            try WindowAttention(view, work, gain: attention.gainOfRow).forEachGroup(work) {
                (head, sums) throws(KVSieveError) in
                #expect(head * attention.group == all.count && sums.rows == attention.group)
                all += (0..<sums.rows).map { sums.copy($0) }
            }
            return all
        }

        func columns(_ work: Workspace, perQueryHead: Bool = false) throws -> [[Float]] {
            try perQueryHead ? ofQueryHeads(work) : means(work)
        }

        /// The same in double.
        func exact(perQueryHead: Bool = false) -> [[Double]] {
            let each = (0..<attention.heads * attention.group).map { exact(queryHead: $0) }
            if perQueryHead { return each }
            return (0..<attention.heads).map { head in
                let own = each[head * attention.group..<(head + 1) * attention.group]
                return own[own.startIndex].indices.map { j in
                    own.reduce(0) { $0 + $1[j] } / Double(attention.group)
                }
            }
        }

        private func exact(queryHead: Int) -> [Double] {
            let a = attention
            let head = queryHead / a.group
            let tokens = a.length.rows(head)
            let scale = a.scale == 0 ? 1 / Double(a.dim).squareRoot() : Double(a.scale)
            var sums = [Double](repeating: 0, count: tokens)
            var logits = [Double](repeating: 0, count: tokens)
            for row in 0..<a.rows {
                let query = (queryHead * a.rows + row) * a.dim
                let visible = tokens - a.rows + row + 1
                let factor = scale * a.gainOfRow(a.length.seen - a.rows + row + 1)
                for j in 0..<visible {
                    let key = (head * a.tokens + j) * a.dim
                    var dot = 0.0
                    for d in 0..<a.dim { dot += Double(queryFloats[query + d]) * Double(keyFloats[key + d]) }
                    logits[j] = dot * factor
                }
                let highest = logits[..<visible].max() ?? 0
                var sum = 0.0
                for j in 0..<visible {
                    logits[j] = exp(logits[j] - highest)
                    sum += logits[j]
                }
                for j in 0..<visible { sums[j] += logits[j] / sum }
            }
            return sums
        }
    }
}
