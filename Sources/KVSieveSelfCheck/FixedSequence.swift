// A sequence that is the same everywhere, made by the rule of Tests/Golden/seeded.py from a seed, and what a plan keeps of it as one
// number. The answers are the references' (Tests/Golden/self_check.py): seeds are chosen so that no two scores at the edge of a
// choice are near each other.
//
// L 2 layers, Hq 4, H 2, D 16, T 160 tokens; all have queries, which are multiplied by 2 in layer 0 and by 4 in layer 1; keys and
// values of some tokens are doubled.
import CSupport
import KVSieveCore
import KVSieveMethods

struct FixedSequence {
    private static let (layers, queryHeads, heads, dim, tokens) = (2, 4, 2, 16, 160)
    /// Of the tokens, whatever the method's default is.
    private static let ratio = 0.5
    /// Recent and semantic tokens.
    private static let few = 16.0
    let seed: UInt64

    /// A hash of all counts and positions.
    func choice(_ type: any Method.Type) throws(KVSieveError) -> UInt64 {
        let (layers, queryHeads, heads) = (Self.layers, Self.queryHeads, Self.heads)
        let shape = try ModelShape(layers: layers, queryHeads: queryHeads, heads: heads, headDim: Self.dim)
        let plan = try Plan(type, shape, Shared.plan)
        try plan.set(Shared.ratio.id, Self.ratio)
        // Else Task-KV would keep all tokens.
        for parameter in type.row.parameters where ["recent", "semantic"].contains(parameter.name.description) {
            try plan.set(parameter.id, Self.few)
        }
        let size = Self.tokens * Self.dim
        let room = try Room(bytes: (queryHeads + 2 * heads) * size * 4 + 3 * 64)
        defer { room.free() }
        let rows = type.row.parameters.first { $0.name.description == "window" }.map { Int($0.initial) } ?? Self.tokens
        var stream = NumberStream(seed)
        for layer in 0..<layers {
            var taken = room.all()
            let queries = try taken.floats(queryHeads * rows * Self.dim, &stream)
            for index in 0..<queryHeads * rows * Self.dim { queries[index] *= layer == 0 ? 2 : 4 }
            let keys = try taken.floats(heads * size, &stream)
            let values = try taken.floats(heads * size, &stream)
            for head in 0..<heads {
                for token in 0..<Self.tokens where (token + 5 * head + 3 * layer) % 61 == 7 {
                    for index in (head * Self.tokens + token) * Self.dim..<(head * Self.tokens + token + 1) * Self.dim {
                        keys[index] *= 2
                        values[index] *= 2
                    }
                }
            }
            try plan.observe(layer: layer) { (needs) throws(KVSieveError) in
                try LayerTensors(
                    queries: needs.contains(.queries) ? view("queries", queries, queryHeads, rows) : nil,
                    keys: needs.contains(.keys) ? view("keys", keys, heads, Self.tokens) : nil,
                    values: needs.contains(.values) ? view("values", values, heads, Self.tokens) : nil,
                    shape: needs.contains(.length)
                        ? TensorShape("keys", heads: heads, tokens: Self.tokens) : nil)
            }
        }
        try plan.finish()
        return try hash(plan)
    }

    private func view(
        _ name: StaticString, _ floats: UnsafeMutablePointer<Float>, _ heads: Int, _ tokens: Int
    ) throws(KVSieveError) -> TensorView {
        try TensorView(
            name, base: UnsafeMutableRawPointer(floats), heads: heads, tokens: tokens, dim: Self.dim,
            headStride: tokens * Self.dim * 4, tokenStride: Self.dim * 4, type: .float32)
    }

    /// FNV-1a over 32-bit words: for each layer and head the count, then the positions.
    private func hash(_ plan: Plan) throws(KVSieveError) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func take(_ word: Int) { hash = (hash ^ UInt64(truncatingIfNeeded: word)) &* 0x100_0000_01b3 }
        for layer in 0..<Self.layers {
            let kept = try plan.kept(layer: layer)
            for head in 0..<Self.heads {
                let (begin, end) = (Int(kept.offsets[head]), Int(kept.offsets[head + 1]))
                take(end - begin)
                for index in begin..<end { take(Int(kept.positions[index])) }
            }
        }
        return hash
    }
}
