// Caches made from a seed, bit for bit those of Tests/Golden/seeded.py, whose head states the rule. Also: the same numbers
// as float16 and bfloat16 patterns, and laid out as a caller's memory. Knows no method and nothing of the library.

/// Vigna's SplitMix64.
public struct SplitMix: RandomNumberGenerator, Sendable {
    public var state: UInt64

    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// A multiple of 2^-22 in [-2, 2), bell-shaped, standard deviation 0.577. Takes four outputs.
    public mutating func value() -> Float {
        var sum: UInt64 = 0
        for _ in 0..<4 { sum += next() >> 40 }
        return Float(Int(sum >> 2) - (1 << 23)) / 4_194_304
    }

    public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    public mutating func floats(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }

    /// Multiples of 1/8 below 2 in size: exact in every element type, and so are their products' sums in float.
    public mutating func eighths(_ count: Int) -> [Float] { (0..<count).map { _ in Float(below(31) - 15) / 8 } }
}

/// What a number is stored as; the raw value is its name in the golden files.
public enum SeededType: String, CaseIterable, Sendable, Codable {
    case f32, f16, bf16

    public var size: Int { self == .f32 ? 4 : 2 }

    /// The pattern of a 16-bit type, rounded to nearest, ties to even. `value` is finite; f32 has no such pattern: 0.
    public func bits(_ value: Float) -> UInt16 {
        switch self {
        case .f32: return 0
        case .f16: return Float16(value).bitPattern
        case .bf16:
            let bits = value.bitPattern
            return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
        }
    }

    /// The float that a bit pattern of this type means.
    public func widened(_ bits: UInt16) -> Float {
        self == .f16 ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
    }

    public func rounded(_ value: Float) -> Float { self == .f32 ? value : widened(bits(value)) }
}

/// How the rows of (heads, tokens, dim) follow each other, without gaps.
public enum SeededLayout: String, CaseIterable, Sendable { case headMajor, tokenMajor }

/// One sequence: queries [layer][Hq][rows][D], keys and values [layer][H][T][D], already rounded to `type`.
public struct SeededCache: Sendable {
    public let layers: Int, queryHeads: Int, heads: Int, dim: Int, tokens: Int, rows: Int
    /// 0: 1/sqrt(dim).
    public let scale: Float
    public let type: SeededType
    public private(set) var queries: [[Float]] = []
    public private(set) var keys: [[Float]] = []
    public private(set) var values: [[Float]] = []

    /// `rows` is min(W, T). `zero`: "queries", "values" or "", the part that holds zeros.
    public init(
        seed: UInt64, layers: Int, queryHeads: Int, heads: Int, dim: Int, tokens: Int, rows: Int, scale: Float = 0,
        type: SeededType = .f32, zero: String = ""
    ) {
        (self.layers, self.queryHeads, self.heads, self.dim) = (layers, queryHeads, heads, dim)
        (self.tokens, self.rows, self.scale, self.type) = (tokens, rows, scale, type)
        var stream = SplitMix(seed)
        for layer in 0..<layers {
            let sharpness = Float(2 << (layer % 3))
            let needles = (0..<heads * tokens).map { row -> Float in
                let (head, token) = (row / tokens, row % tokens)
                return (token + 5 * head + 3 * layer) % 61 == 7 ? 2 : 1
            }
            func draw(_ name: String, _ count: Int, _ factor: (Int) -> Float) -> [Float] {
                (0..<count).map { index in
                    let drawn = stream.value()
                    return name == zero ? 0 : type.rounded(drawn * factor(index))
                }
            }
            queries.append(draw("queries", queryHeads * rows * dim) { _ in sharpness })
            keys.append(draw("keys", heads * tokens * dim) { needles[$0 / dim] })
            values.append(draw("values", heads * tokens * dim) { needles[$0 / dim] })
        }
    }

    /// The caller's memory of one layer's tensor, in `type`: queries(layer) as (Hq, rows, dim), keys and values as (H, T, dim).
    public func queryBytes(_ layer: Int, _ layout: SeededLayout = .headMajor) -> [UInt8] {
        bytes(queries[layer], heads: queryHeads, tokens: rows, layout)
    }

    public func keyBytes(_ layer: Int, _ layout: SeededLayout = .headMajor) -> [UInt8] {
        bytes(keys[layer], heads: heads, tokens: tokens, layout)
    }

    public func valueBytes(_ layer: Int, _ layout: SeededLayout = .headMajor) -> [UInt8] {
        bytes(values[layer], heads: heads, tokens: tokens, layout)
    }

    /// (head stride, token stride) in bytes of what the functions above return.
    public func strides(heads: Int, tokens: Int, _ layout: SeededLayout) -> (head: Int, token: Int) {
        let row = dim * type.size
        return layout == .headMajor ? (tokens * row, row) : (row, heads * row)
    }

    private func bytes(_ numbers: [Float], heads: Int, tokens: Int, _ layout: SeededLayout) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(numbers.count * type.size)
        for row in 0..<heads * tokens {
            let source = layout == .headMajor ? row : row % heads * tokens + row / heads
            for number in numbers[source * dim..<(source + 1) * dim] {
                if type == .f32 {
                    withUnsafeBytes(of: number.bitPattern) { result.append(contentsOf: $0) }
                } else {
                    withUnsafeBytes(of: type.bits(number)) { result.append(contentsOf: $0) }
                }
            }
        }
        return result
    }
}
