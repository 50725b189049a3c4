// Where the tokens of a paged tensor are: in blocks of one size, which a table names in the order of the tokens. Token t is in
// block entries[t / tokens], at t % tokens in it.

/// A table as the caller says it: nothing of it is checked.
public struct PagedTokens {
    let entries: UnsafePointer<Int32>
    let stride: Int
    let tokens: Int
    /// Blocks that there are; 0 if it is not known.
    let blocks: Int

    public init(entries: UnsafePointer<Int32>, stride: Int, tokens: Int, blocks: Int = 0) {
        self.entries = entries
        self.stride = stride
        self.tokens = tokens
        self.blocks = blocks
    }
}

/// A table whose entries were all looked at.
struct BlockTable: @unchecked Sendable {
    let entries: UnsafePointer<Int32>
    /// Entries that are read.
    let count: Int
    /// Tokens of a block.
    let tokens: Int
    /// If they are 2^n: n, otherwise -1.
    private let shift: Int
    /// Bytes from a block to the next.
    let stride: Int
    /// Least and greatest entry.
    let lowest: Int
    let highest: Int

    /// - Parameter tensorTokens: 1 or more.
    init(_ name: StaticString, _ given: PagedTokens, tensorTokens: Int) throws(KVSieveError) {
        guard (1...Int(Int32.max)).contains(given.tokens) else {
            throw KVSieveError(
                .layout, "\(name).block_tokens is \(given.tokens); expected 1 or more, the tokens of a block")
        }
        guard given.blocks >= 0 else {
            throw KVSieveError(
                .layout,
                "\(name).block_count is \(given.blocks); expected the number of blocks, or 0 if it is not known")
        }
        let most = given.blocks == 0 ? Int(Int32.max) : given.blocks - 1
        entries = given.entries
        tokens = given.tokens
        shift = tokens & (tokens - 1) == 0 ? tokens.trailingZeroBitCount : -1
        stride = given.stride
        count = (tensorTokens - 1) / given.tokens + 1
        var (lowest, highest) = (Int.max, 0)
        for index in 0..<count {
            let entry = Int(entries[index])
            guard (0...most).contains(entry) else {
                throw KVSieveError(
                    .layout,
                    "\(name).blocks[\(index)] is \(entry); expected "
                        + (given.blocks == 0 ? "the number of a block, 0 or more" : "a block, 0 ... \(most)"))
            }
            lowest = min(lowest, entry)
            highest = max(highest, entry)
        }
        self.lowest = lowest
        self.highest = highest
    }

    /// Bytes from the first block's beginning to the token's row in its first head.
    @inline(__always) func offset(_ token: Int, _ tokenStride: Int) -> Int {
        let (block, inside) = place(token)
        return Int(entries[block]) &* stride &+ inside &* tokenStride
    }

    /// How many tokens from `token` on, of at most `count`, are in its block.
    @inline(__always) func run(_ token: Int, _ count: Int) -> Int { min(count, tokens &- place(token).inside) }

    /// Blocks have 2^n tokens nearly always. Else, division in 32 bits takes a third of the time; a token's number has 24.
    @inline(__always) private func place(_ token: Int) -> (block: Int, inside: Int) {
        if shift >= 0 { return (token &>> shift, token & (tokens &- 1)) }
        let (block, inside) = UInt32(truncatingIfNeeded: token).quotientAndRemainder(
            dividingBy: UInt32(truncatingIfNeeded: tokens))
        return (Int(block), Int(inside))
    }

    /// A block that is twice in this table, or, with `other`, in both; nil if there is none.
    ///
    /// A bit for each block, so many blocks at a time: tables are as long as a cache, and nothing is allocated here.
    func repeated(in other: BlockTable? = nil) -> Int? {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.window / 64) { bits -> Int? in
            guard let seen = bits.baseAddress else { return nil }
            var first = lowest
            while true {
                seen.initialize(repeating: 0, count: Self.window / 64)
                var next = Int.max
                for index in 0..<count {
                    let bit = Int(entries[index]) - first
                    guard bit >= 0 else { continue }
                    if bit >= Self.window {
                        next = min(next, bit + first)
                    } else {
                        if other == nil && seen[bit / 64] >> UInt64(bit % 64) & 1 == 1 { return bit + first }
                        seen[bit / 64] |= 1 << UInt64(bit % 64)
                    }
                }
                if let other {
                    for index in 0..<other.count {
                        let bit = Int(other.entries[index]) - first
                        if bit >= 0, bit < Self.window, seen[bit / 64] >> UInt64(bit % 64) & 1 == 1 {
                            return bit + first
                        }
                    }
                }
                if next == .max { return nil }
                first = next
            }
        }
    }

    /// Blocks that are looked at together: their bits take 1,024 bytes, the most that Swift puts on the stack.
    private static let window = 8192

    /// Do both tables name the same blocks as far as the shorter goes?
    func begins(as other: BlockTable) -> Bool {
        if entries == other.entries { return true }
        for index in 0..<min(count, other.count) where entries[index] != other.entries[index] { return false }
        return true
    }
}
