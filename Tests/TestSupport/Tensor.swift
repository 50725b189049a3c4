// A tensor that owns its memory, in any element type and layout, as a caller of the library has them.
import KVSieveCore

public enum Layout: String, CaseIterable, Sendable { case headMajor, tokenMajor, padded }

public let elementTypes: [ElementType] = [.float32, .float16, .bfloat16]

/// (heads, tokens, dim); what no row covers is 0x5a.
public final class Tensor: @unchecked Sendable {
    public let memory: UnsafeMutableRawPointer
    public let bytes: Int
    public let heads: Int, tokens: Int, dim: Int
    public let headStride: Int, tokenStride: Int
    public let type: ElementType

    public init(heads: Int, tokens: Int, dim: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor) {
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
    public convenience init(
        _ values: [Float], heads: Int, tokens: Int, dim: Int, _ type: ElementType = .float32,
        _ layout: Layout = .headMajor
    ) {
        self.init(heads: heads, tokens: tokens, dim: dim, type, layout)
        var index = 0
        for head in 0..<heads {
            for token in 0..<tokens {
                for d in 0..<dim {
                    set(head, token, d, values[index])
                    index += 1
                }
            }
        }
    }

    deinit { memory.deallocate() }

    /// bfloat16 by cutting off: tests that need rounding round first.
    public func set(_ head: Int, _ token: Int, _ d: Int, _ value: Float) {
        let place = memory + head * headStride + token * tokenStride + d * type.size
        switch type {
        case .float32: place.storeBytes(of: value, as: Float.self)
        case .float16: place.storeBytes(of: Float16(value).bitPattern, as: UInt16.self)
        case .bfloat16: place.storeBytes(of: UInt16(value.bitPattern >> 16), as: UInt16.self)
        }
    }

    public func view(_ name: StaticString = "keys") throws(KVSieveError) -> TensorView {
        try TensorView(
            name, base: memory, heads: heads, tokens: tokens, dim: dim, headStride: headStride,
            tokenStride: tokenStride,
            type: type)
    }

    public var contents: [UInt8] { Array(UnsafeRawBufferPointer(start: memory, count: bytes)) }

    /// The bytes of one row.
    public func row(_ head: Int, _ token: Int) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: memory + head * headStride + token * tokenStride, count: dim * type.size))
    }
}
