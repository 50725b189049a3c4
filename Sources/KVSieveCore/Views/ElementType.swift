// What a tensor's elements are, and how a row of them becomes floats.

public enum ElementType: Int32, Sendable {
    case float32 = 0
    case float16 = 1
    case bfloat16 = 2

    public var size: Int { self == .float32 ? 4 : 2 }

    public var name: String {
        switch self {
        case .float32: return "F32"
        case .float16: return "F16"
        case .bfloat16: return "BF16"
        }
    }

    /// target[d] = source[d], d < count, exactly. Source is aligned for the type; no aliasing.
    func widen(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
        switch self {
        case .float32:
            target.update(from: source.assumingMemoryBound(to: Float.self), count: count)
        case .float16:
            kernels.widen_f16(source.assumingMemoryBound(to: UInt16.self), target, Int64(count))
        case .bfloat16:
            kernels.widen_bf16(source.assumingMemoryBound(to: UInt16.self), target, Int64(count))
        }
    }
}
