// A tensor that owns its memory, in any element type and layout, as a caller of the library has them.
import KVSieveCore

public enum Layout: String, CaseIterable, Sendable {
    case headMajor, tokenMajor, padded
    /// In blocks that a table names in no order: (blocks, block, H, D), (blocks, H, block, D), and the second half of
    /// (blocks, 2, block, H, D).
    case blocks, headsInBlocks, interleavedBlocks

    /// Tokens of a block; 0 without blocks.
    public var blockTokens: Int {
        switch self {
        case .headMajor, .tokenMajor, .padded: return 0
        case .blocks: return 7
        case .headsInBlocks: return 16
        case .interleavedBlocks: return 1
        }
    }
}

public let elementTypes: [ElementType] = [.float32, .float16, .bfloat16]

/// (heads, tokens, dim); what no row covers is 0x5a.
public final class Tensor: @unchecked Sendable {
    public let memory: UnsafeMutableRawPointer
    public let bytes: Int
    public let heads: Int, tokens: Int, dim: Int
    public let headStride: Int, tokenStride: Int
    public let type: ElementType
    /// Where block 0 begins.
    private let base: Int
    private let blockStride: Int
    private let blockTokens: Int
    /// One entry more than are needed, which names no block.
    private let table: UnsafeMutableBufferPointer<Int32>

    public init(heads: Int, tokens: Int, dim: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor) {
        (self.heads, self.tokens, self.dim, self.type) = (heads, tokens, dim, type)
        let row = type.rowBytes(dim)
        let block = layout.blockTokens
        switch layout {
        case .headMajor: (tokenStride, headStride) = (row, row * tokens)
        case .tokenMajor, .blocks, .interleavedBlocks: (tokenStride, headStride) = (row * heads, row)
        case .padded: (tokenStride, headStride) = (row + 3 * type.size, (row + 3 * type.size) * tokens + 5 * type.size)
        case .headsInBlocks: (tokenStride, headStride) = (row, row * block)
        }
        blockTokens = block
        let interleaved = layout == .interleavedBlocks
        base = interleaved ? block * heads * row : 0
        blockStride = block * heads * row * (interleaved ? 2 : 1)
        let entries = block == 0 ? 0 : (tokens + block - 1) / block
        // Two blocks of three are this tensor's.
        var order = SplitMix(UInt64(heads * 31 + tokens))
        let pool = entries + entries / 2 + 1
        var blocks = (0..<pool).map { Int32($0) }
        for index in 0..<entries { blocks.swapAt(index, index + order.below(pool - index)) }
        table = .allocate(capacity: entries + 1)
        _ = table.initialize(from: blocks.prefix(entries) + [-1])
        bytes = block == 0 ? (heads - 1) * headStride + (tokens - 1) * tokenStride + row : pool * blockStride
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

    deinit {
        memory.deallocate()
        table.deallocate()
    }

    /// Where a row begins, in bytes from `memory`.
    public func place(_ head: Int, _ token: Int) -> Int {
        if blockTokens == 0 { return head * headStride + token * tokenStride }
        return base + Int(table[token / blockTokens]) * blockStride + head * headStride
            + token % blockTokens * tokenStride
    }

    /// bfloat16 by cutting off: tests that need rounding round first. Types that are not elementTypes are filled by rows.
    public func set(_ head: Int, _ token: Int, _ d: Int, _ value: Float) {
        let place = memory + place(head, token) + d * type.size
        switch type {
        case .float32: place.storeBytes(of: value, as: Float.self)
        case .float16: place.storeBytes(of: Float16(value).bitPattern, as: UInt16.self)
        case .bfloat16: place.storeBytes(of: UInt16(value.bitPattern >> 16), as: UInt16.self)
        case .bytes, .float8e4m3, .float8e5m2, .q8, .q4: fatalError("a test sets a number of \(type.name)")
        }
    }

    /// The bytes of one row become these.
    public func set(_ head: Int, _ token: Int, row: [UInt8]) {
        (memory + place(head, token)).copyMemory(from: row, byteCount: type.rowBytes(dim))
    }

    public func view(_ name: StaticString = "keys") throws(KVSieveError) -> TensorView {
        var pages: PagedTokens?
        if blockTokens > 0, let entries = table.baseAddress {
            pages = PagedTokens(
                entries: entries, stride: blockStride, tokens: blockTokens, blocks: bytes / blockStride)
        }
        return try TensorView(
            name, base: memory + base, heads: heads, tokens: tokens, dim: dim, headStride: headStride,
            tokenStride: tokenStride, type: type, pages: pages)
    }

    public var contents: [UInt8] { Array(UnsafeRawBufferPointer(start: memory, count: bytes)) }

    /// The bytes of one row.
    public func row(_ head: Int, _ token: Int) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: memory + place(head, token), count: type.rowBytes(dim)))
    }
}
