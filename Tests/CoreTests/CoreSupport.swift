// What the core tests share: seeded numbers, tensors in memory of their own, refusals.
import Testing

@testable import KVSieveCore

/// SplitMix64: small, seeded, the same everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z &>> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    /// Multiples of 1/8 below 2 in size: exact in every element type, and so are their products' sums in float.
    mutating func eighths(_ count: Int) -> [Float] { (0..<count).map { _ in Float(below(31) - 15) / 8 } }
}

enum Layout: String, CaseIterable, Sendable { case headMajor, tokenMajor, padded }

extension ElementType: CaseIterable {
    public static let allCases: [ElementType] = [.float32, .float16, .bfloat16]

    func put(_ value: Float, _ place: UnsafeMutableRawPointer) {
        switch self {
        case .float32: place.storeBytes(of: value, as: Float.self)
        case .float16: place.storeBytes(of: Float16(value), as: Float16.self)
        case .bfloat16: place.storeBytes(of: UInt16(value.bitPattern >> 16), as: UInt16.self)
        }
    }
}

/// (heads, tokens, dim) in memory of its own; what no row covers is 0x5a.
final class Tensor: @unchecked Sendable {
    let memory: UnsafeMutableRawPointer
    let bytes: Int
    let heads: Int, tokens: Int, dim: Int
    let headStride: Int, tokenStride: Int
    let type: ElementType

    init(heads: Int, tokens: Int, dim: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor) {
        (self.heads, self.tokens, self.dim, self.type) = (heads, tokens, dim, type)
        let row = dim * type.size
        switch layout {
        case .headMajor: (tokenStride, headStride) = (row, row * tokens)
        case .tokenMajor: (tokenStride, headStride) = (row * heads, row)
        case .padded: (tokenStride, headStride) = (row + 3 * type.size, (row + 3 * type.size) * tokens + 5 * type.size)
        }
        bytes = (heads - 1) * headStride + (tokens - 1) * tokenStride + row
        memory = .allocate(byteCount: bytes, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0x5a, count: bytes)
    }

    /// Filled with `values`, (heads, tokens, dim) one after another.
    convenience init(
        _ values: [Float], heads: Int, tokens: Int, dim: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor
    ) {
        self.init(heads: heads, tokens: tokens, dim: dim, type, layout)
        for (index, value) in values.enumerated() {
            set(index / dim / tokens, index / dim % tokens, index % dim, value)
        }
    }

    deinit { memory.deallocate() }

    func set(_ head: Int, _ token: Int, _ d: Int, _ value: Float) {
        type.put(value, memory + head * headStride + token * tokenStride + d * type.size)
    }

    func view(_ name: StaticString = "keys") throws(KVSieveError) -> TensorView {
        try TensorView(
            name, base: memory, heads: heads, tokens: tokens, dim: dim, headStride: headStride, tokenStride: tokenStride,
            type: type)
    }

    var contents: [UInt8] { Array(UnsafeRawBufferPointer(start: memory, count: bytes)) }

    func row(_ head: Int, _ token: Int) -> [UInt8] {
        let start = head * headStride + token * tokenStride
        return Array(contents[start..<start + dim * type.size])
    }
}

/// The error that `body` throws; nil when it throws none.
func refusal(_ body: () throws -> Void) -> KVSieveError? {
    do {
        try body()
        return nil
    } catch {
        return error as? KVSieveError
    }
}

func expectRefusal(
    _ kind: KVSieveError.Kind, _ message: String, _ body: () throws -> Void, at location: SourceLocation = #_sourceLocation
) {
    let error = refusal(body)
    #expect(error?.kind == kind, sourceLocation: location)
    #expect(error?.message == message, sourceLocation: location)
}

/// Scores (rows, units) filled from `values`.
func makeScores(_ account: MemoryAccount, _ values: [[Float]]) throws -> LayerScores {
    let scores = LayerScores(account)
    try scores.reserve(rows: values.count, units: values.first?.count ?? 0)
    for (row, floats) in values.enumerated() {
        let out = scores.row(row)
        for (unit, value) in floats.enumerated() { out[unit] = value }
    }
    return scores
}

/// Indices of `values`, best first; of equals the lower.
func stableOrder(_ values: [Float]) -> [Int] {
    values.indices.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }
}

/// Is every number within `tolerance` of the exact one, relative (and 1e-35, below which exponentials are cut off)?
func furthest(_ floats: [Float], _ exact: [Double]) -> Double {
    zip(floats, exact).reduce(floats.count == exact.count ? 0 : .infinity) { worst, pair in
        let error = abs(Double(pair.0) - pair.1)
        return error <= 1e-35 ? worst : max(worst, error.isNaN ? .infinity : error / abs(pair.1))
    }
}
