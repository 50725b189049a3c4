// What a tensor's rows are made of, and how a row becomes floats.

public enum ElementType: Int32, Sendable, CaseIterable {
    case float32 = 0
    case float16 = 1
    case bfloat16 = 2
    /// Rows that are moved, whatever they hold.
    case bytes = 3
    /// OCP float8, the "fn" form: no infinity, 0x7f and 0xff are NaN.
    case float8e4m3 = 4
    case float8e5m2 = 5
    /// ggml's blocks of 32 numbers: a float16 scale, then 32 signed bytes.
    case q8 = 6
    /// A float16 scale, then 16 bytes: number i in the low half of byte i, number 16 + i in its high half, 8 too large.
    case q4 = 7

    /// Is each number a float of 16 or 32 bits?
    var isFloat: Bool { self == .float32 || self == .float16 || self == .bfloat16 }

    /// Numbers that are stored together.
    public var elements: Int { self == .q8 || self == .q4 ? 32 : 1 }

    /// Bytes that they take.
    public var size: Int {
        switch self {
        case .float32: return 4
        case .float16, .bfloat16: return 2
        case .bytes, .float8e4m3, .float8e5m2: return 1
        case .q8: return 34
        case .q4: return 18
        }
    }

    /// What addresses and strides are multiples of.
    public var alignment: Int { elements == 1 ? size : 2 }

    /// - Parameter dim: a multiple of `elements`.
    public func rowBytes(_ dim: Int) -> Int { dim / elements * size }

    public var name: String {
        switch self {
        case .float32: return "F32"
        case .float16: return "F16"
        case .bfloat16: return "BF16"
        case .bytes: return "BYTES"
        case .float8e4m3: return "F8_E4M3"
        case .float8e5m2: return "F8_E5M2"
        case .q8: return "Q8_0"
        case .q4: return "Q4_0"
        }
    }

    /// target[d] = source[d], d < count, exactly: a number of Q8_0 and Q4_0 is its scale times a whole number, rounded once.
    /// Count is a multiple of `elements`. Source is aligned for the type; no aliasing.
    func widen(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
        switch self {
        case .float32:
            target.update(from: source.assumingMemoryBound(to: Float.self), count: count)
        case .float16:
            kernels.widen_f16(source.assumingMemoryBound(to: UInt16.self), target, Int64(count))
        case .bfloat16:
            kernels.widen_bf16(source.assumingMemoryBound(to: UInt16.self), target, Int64(count))
        case .float8e4m3:
            kernels.widen_f8_e4m3(source.assumingMemoryBound(to: UInt8.self), target, Int64(count))
        case .float8e5m2:
            kernels.widen_f8_e5m2(source.assumingMemoryBound(to: UInt8.self), target, Int64(count))
        case .q8:
            kernels.widen_q8_0(source.assumingMemoryBound(to: UInt8.self), target, Int64(count))
        case .q4:
            kernels.widen_q4_0(source.assumingMemoryBound(to: UInt8.self), target, Int64(count))
        case .bytes:
            // No tensor of bytes is read as numbers: observe and step refuse it.
            target.update(repeating: .nan, count: count)
        }
    }
}
