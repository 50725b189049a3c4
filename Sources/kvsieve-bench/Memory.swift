// Memory as a caller has it: touched before anything is timed, full of seeded numbers.
import CSupport
import KVSieveCore

enum Layout: String, CaseIterable {
    case headMajor = "head-major"
    case tokenMajor = "token-major"
}

extension ElementType {
    /// Eight bytes of numbers between 1/2 and 2 in size, made of as many random bits: sign, mantissa and the lowest bit of
    /// the exponent. Queries and keys of them give logits of deviation 1.5, so scores are neither flat nor a few peaks.
    fileprivate func numbers(_ random: UInt64) -> UInt64 {
        switch self {
        case .float32: return random & 0x80ff_ffff_80ff_ffff | 0x3f00_0000_3f00_0000
        case .float16: return random & 0x87ff_87ff_87ff_87ff | 0x3800_3800_3800_3800
        case .bfloat16: return random & 0x80ff_80ff_80ff_80ff | 0x3f00_3f00_3f00_3f00
        case .float8e4m3: return random & 0x8f8f_8f8f_8f8f_8f8f | 0x3030_3030_3030_3030
        case .float8e5m2: return random & 0x8787_8787_8787_8787 | 0x3838_3838_3838_3838
        case .bytes, .q8, .q4: return random
        }
    }

    /// float16 bits of the scale in front of a block, with which its numbers are below 2 in size; 0 without blocks.
    fileprivate var scale: UInt16 {
        switch self {
        case .q8: return 0x2400
        case .q4: return 0x3400
        default: return 0
        }
    }
}

/// A run of numbers of one type, 64-byte aligned. Views do not own their memory: it is freed when its section ends.
final class Memory {
    nonisolated(unsafe) private static var alive: [Memory] = []
    let start: UnsafeMutableRawPointer
    let bytes: Int

    init(_ count: Int, _ type: ElementType = .float32, seed: UInt64) throws {
        bytes = (type.rowBytes(count) + 7) / 8 * 8
        guard let start = support_allocate(bytes) else { throw KVSieveError(.memory, "no room for \(bytes) bytes") }
        self.start = start
        var stream = SplitMix64(seed)
        for word in 0..<bytes / 8 {
            start.storeBytes(of: type.numbers(stream.next()), toByteOffset: word * 8, as: UInt64.self)
        }
        if type.scale != 0 {
            for block in 0..<count / type.elements {
                start.storeBytes(of: type.scale, toByteOffset: block * type.size, as: UInt16.self)
            }
        }
        Self.alive.append(self)
    }

    static func endSection() { alive = [] }

    deinit { support_free(start) }

    var floats: UnsafeMutablePointer<Float> { start.assumingMemoryBound(to: Float.self) }

    /// The first numbers as (heads, tokens, dim), without gaps.
    func view(
        _ name: StaticString, heads: Int, tokens: Int, dim: Int = 128, _ type: ElementType = .float32,
        _ layout: Layout = .headMajor
    ) throws -> TensorView {
        let row = type.rowBytes(dim)
        guard heads * tokens * row <= bytes else { throw KVSieveError(.shape, "\(name) is larger than its memory") }
        return try TensorView(
            name, base: start, heads: heads, tokens: tokens, dim: dim,
            headStride: layout == .headMajor ? tokens * row : row,
            tokenStride: layout == .headMajor ? row : heads * row, type: type)
    }

    /// Reads a word of each line, so that the caches hold nothing of what was there before, and no write is pending.
    func sweep() {
        var sum: UInt64 = 0
        for line in 0..<bytes / 64 { sum &+= start.load(fromByteOffset: line * 64, as: UInt64.self) }
        sink = sum
    }
}

/// Takes results that are not used, so that the compiler does not remove the work.
nonisolated(unsafe) var sink: UInt64 = 0
