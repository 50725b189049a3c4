// The golden files: what make_golden.py (numpy, from the formulas) says each method keeps of a seeded cache. The file format
// is described in its head; this file only reads it.

import Foundation

/// One case of Tests/Golden/<method>.json.
public struct GoldenCase: Sendable, Decodable, CustomStringConvertible {
    public struct Model: Sendable, Decodable {
        public let layers: Int, queryHeads: Int, heads: Int, dim: Int
        /// 0: 1/sqrt(dim).
        public let scale: Float

        enum CodingKeys: String, CodingKey {
            case layers, scale
            case queryHeads = "query_heads"
            case heads = "kv_heads"
            case dim = "head_dim"
        }
    }

    /// The file that has it.
    public private(set) var method = ""
    public let name: String
    public let seed: UInt64
    public let model: Model
    public let tokens: Int
    /// Rows of queries: min(W, T).
    public let rows: Int
    public let type: SeededType
    public let zero: String
    /// Every parameter of the method but `threads`.
    public let parameters: [String: Double]
    /// The least relative gap at the edge of a ranking; nil where nothing was ranked, or only equal scores.
    public let margin: Double?
    /// [layer][head], ascending positions.
    public let kept: [[[Int]]]

    public var description: String { "\(method): \(name) (seed \(seed))" }

    public var cache: SeededCache {
        SeededCache(
            seed: seed, layers: model.layers, queryHeads: model.queryHeads, heads: model.heads, dim: model.dim,
            tokens: tokens, rows: rows, scale: model.scale, type: type, zero: zero)
    }

    enum CodingKeys: String, CodingKey {
        case name, seed, model, tokens, zero, parameters, margin, kept
        case rows = "window"
        case type = "dtype"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        name = try fields.decode(String.self, forKey: .name)
        seed = try fields.decode(UInt64.self, forKey: .seed)
        model = try fields.decode(Model.self, forKey: .model)
        tokens = try fields.decode(Int.self, forKey: .tokens)
        rows = try fields.decode(Int.self, forKey: .rows)
        type = try fields.decode(SeededType.self, forKey: .type)
        zero = try fields.decode(String.self, forKey: .zero)
        parameters = try fields.decode([String: Double].self, forKey: .parameters)
        margin = try fields.decodeIfPresent(Double.self, forKey: .margin)
        var previous: [Int] = []
        kept = try fields.decode([[HeadRuns]].self, forKey: .kept).map { layer in
            layer.map { head in
                previous = head.positions ?? previous
                return previous
            }
        }
    }

    /// The cases of a method, in the file's order. Throws where there is no such file.
    public static func load(_ method: String) throws -> [GoldenCase] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Golden/\(method).json"))
        var cases = try JSONDecoder().decode([GoldenCase].self, from: data)
        for index in cases.indices { cases[index].method = method }
        return cases
    }
}

/// [gap, count, gap, count ...], or 0: the same as the list before.
private struct HeadRuns: Decodable {
    let positions: [Int]?

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        guard let runs = try? value.decode([Int].self) else {
            guard try value.decode(Int.self) == 0 else {
                throw DecodingError.dataCorruptedError(in: value, debugDescription: "neither runs nor 0")
            }
            positions = nil
            return
        }
        var (all, end): ([Int], Int) = ([], 0)
        for index in stride(from: 0, to: runs.count - 1, by: 2) {
            all += end + runs[index]..<end + runs[index] + runs[index + 1]
            end += runs[index] + runs[index + 1]
        }
        positions = all
    }
}
