import Foundation
import KVSieveMethods
import Testing

// The library against numpy: Tests/Golden/make_golden.py computed these selections from the formulas, without the library.
// Its head says how the seeded caches are made.
@testable import KVSieveCore

struct GoldenFile: Decodable { let cases: [GoldenCase] }

struct GoldenCase: Decodable, Sendable, CustomStringConvertible {
    let seed: UInt64
    let name: String
    let layers: Int, query_heads: Int, kv_heads: Int, head_dim: Int, tokens: Int
    let scale: Float
    let parameters: [String: Double]
    /// [layer][head] runs of (start, count).
    let kept: [[[[Int]]]]
    var description: String { "\(name) (seed \(seed))" }

    var positions: [[[Int]]] { kept.map { $0.map { $0.flatMap { Array($0[0]..<$0[0] + $0[1]) } } } }

    func sequence() throws -> Sequence {
        let shape = try ModelShape(
            layers: layers, queryHeads: query_heads, heads: kv_heads, headDim: head_dim, scale: scale)
        var sequence = Sequence(shape, tokens: tokens, rows: min(Int(parameters["window"] ?? 0), tokens))
        var noise = Noise(state: seed)
        func numbers(_ count: Int, times factor: Float) -> [Float] {
            (0..<count).map { _ in
                let whole = (0..<4).reduce(0) { sum, _ in sum + Int(noise.next() >> 44) - (1 << 19) }
                return factor * Float(whole) / Float(1 << 19)
            }
        }
        for _ in 0..<layers {
            sequence.queries.append(numbers(query_heads * sequence.rows * head_dim, times: 4))
            sequence.keys.append(numbers(kv_heads * tokens * head_dim, times: 1))
            sequence.values.append(numbers(kv_heads * tokens * head_dim, times: 1))
        }
        return sequence
    }
}

/// Cases of a method; none when there is no file.
func golden(_ method: String) throws -> [GoldenCase] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Golden/\(method).json")
    guard let data = try? Data(contentsOf: file) else { return [] }
    return try JSONDecoder().decode(GoldenFile.self, from: data).cases
}

@Suite struct GoldenTests {
    @Test(arguments: Registry.rows.map { "\($0.name)" }) func keepsWhatNumpyKeeps(_ name: String) throws {
        let cases = try golden(name)
        #expect(!cases.isEmpty, "no golden for \(name): add it to Tests/Golden/make_golden.py")
        for test in cases {
            let kept = try test.sequence().kept(method(name), test.parameters)
            #expect(kept == test.positions, "\(test)")
        }
    }
}
