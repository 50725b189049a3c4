// Tensors in blocks: where their rows are, every check of a table with its sentence, and which rows share bytes.
import Synchronization
import TestSupport
import Testing

@testable import KVSieveCore

private nonisolated(unsafe) let memory = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 64)

/// Tables live as long as the tests, those with the same entries once.
private let tables = Mutex<[[Int32]: UnsafeMutablePointer<Int32>]>([:])

private func table(_ entries: [Int32]) -> UnsafePointer<Int32> {
    let address = tables.withLock { known in
        let table = known[entries] ?? .allocate(capacity: max(1, entries.count))
        table.initialize(from: entries, count: entries.count)
        known[entries] = table
        return UInt(bitPattern: table)
    }
    return UnsafePointer(bitPattern: address) ?? UnsafePointer(memory.assumingMemoryBound(to: Int32.self))
}

/// Floats of dim 4 in blocks of `block` tokens; (blocks, block, H, D) if no stride is given.
private func view(
    _ entries: [Int32], heads: Int = 2, tokens: Int = 9, head: Int = 16, token: Int = 32, stride: Int = 128,
    block: Int = 4, blocks: Int = 0, name: StaticString = "keys", at base: UnsafeMutableRawPointer = memory
) throws(KVSieveError) -> TensorView {
    try TensorView(
        name, base: base, heads: heads, tokens: tokens, dim: 4, headStride: head, tokenStride: token, type: .float32,
        pages: PagedTokens(entries: table(entries), stride: stride, tokens: block, blocks: blocks))
}

@Suite struct BlockTableTests {
    @Test func aTokenIsInTheBlockThatTheTableSays() throws {
        let keys = try view([5, 0, 3])
        for token in 0..<9 {
            let first = [5, 0, 3][token / 4] * 128 + token % 4 * 32
            for head in 0..<2 { #expect(keys.row(head, token) == memory + first + head * 16) }
            #expect(keys.run(from: token, to: 9) == min(9 - token, 4 - token % 4))
            #expect(keys.run(from: token, to: token + 1) == 1)
        }
        #expect(keys.first == memory)
        #expect(keys.extent == 5 * 128 + 128)
        let later = keys.tokens(3..<9)
        for token in 0..<6 {
            #expect(later.row(1, token) == keys.row(1, token + 3))
            #expect(later.run(from: token, to: 6) == keys.run(from: token + 3, to: 9))
        }
    }

    @Test func onlyTheEntriesThatTokensNeedAreRead() throws {
        #expect(try view([1, 2, -1], tokens: 8).row(0, 7) == memory + 2 * 128 + 96)
        expectRefusal(.layout, "keys.blocks[2] is -1; expected the number of a block, 0 or more") {
            _ = try view([1, 2, -1], tokens: 9)
        }
    }

    @Test(arguments: [Int32.min, -1, 6, 7, .max]) func anEntryThatIsNoBlockIsRefused(_ entry: Int32) throws {
        expectRefusal(.layout, "keys.blocks[1] is \(entry); expected a block, 0 ... 5") {
            _ = try view([0, entry, 5], blocks: 6)
        }
        #expect(try view([0, 1, 5], blocks: 6).tokens == 9)
    }

    @Test(arguments: [0, -1, Int(Int32.min)]) func aBlockHasTokens(_ tokens: Int) {
        expectRefusal(.layout, "keys.block_tokens is \(tokens); expected 1 or more, the tokens of a block") {
            _ = try view([0], block: tokens)
        }
    }

    @Test func theNumberOfBlocksIsNotNegative() {
        expectRefusal(
            .layout, "keys.block_count is -2; expected the number of blocks, or 0 if it is not known"
        ) { _ = try view([0, 1, 2], blocks: -2) }
    }

    @Test(arguments: [0, -128, 12, 130, Int.min]) func aBlockStrideThatIsNoRowsStrideIsRefused(_ stride: Int) {
        expectRefusal(
            .layout, "keys.block_stride is \(stride) bytes; expected at least a row of 16 bytes and a multiple of 4"
        ) { _ = try view([0, 1, 2], stride: stride) }
    }

    @Test(arguments: [1 << 40, 1 << 54, Int.max - 3]) func blocksBeyondTheAddressSpaceAreRefused(_ stride: Int) {
        let most = Int(Int32.max)
        expectRefusal(
            .layout,
            "keys of 2 heads and 9 tokens with head_stride 16 and token_stride 32 in blocks up to \(most) with block_stride"
                + " \(stride) reaches beyond the address space"
        ) { _ = try view([0, .max, 1], stride: stride) }
    }

    /// Blocks over each other, heads over tokens, tokens over blocks.
    @Test(arguments: [(16, 32, 124), (16, 28, 128), (16, 16, 128), (100, 32, 128), (64, 32, 164)])
    func stridesThatDoNotNestAreRefused(_ head: Int, _ token: Int, _ stride: Int) {
        expectRefusal(
            .layout,
            "rows of keys lie over each other: head_stride \(head), token_stride \(token) and block_stride \(stride) with 2"
                + " heads, 4 tokens a block and rows of 16 bytes; expected each stride to reach past what is inside it"
        ) { _ = try view([0, 1, 2], head: head, token: token, stride: stride) }
    }

    /// (blocks, block, H, D), (blocks, H, block, D), (H, blocks, block, D), and two interleaved ways.
    @Test(arguments: [(16, 32, 128), (64, 16, 128), (640, 16, 64), (16, 64, 256), (16, 32, 256)])
    func stridesThatNestAreTaken(_ head: Int, _ token: Int, _ stride: Int) throws {
        let keys = try view([4, 1, 9], head: head, token: token, stride: stride)
        let places = (0..<2).flatMap { h in (0..<9).flatMap { t in [keys.row(h, t)] } }
        #expect(Set(places).count == 18)
        #expect(
            try view([0, 0, 0], head: head, token: token, stride: stride).tokens == 9, "a source may have a block twice"
        )
    }

    @Test func repeatedBlocksAreFoundWhereverTheyAre() throws {
        var random = SplitMix(91)
        var (found, none) = (0, 0)
        for round in 0..<300 {
            let spread = [12, 300, 20_000, 3_000_000][round % 4]
            let (mine, others) = (1 + random.below(60), 1 + random.below(60))
            let a = (0..<mine).map { _ in Int32(random.below(spread)) }
            let b = (0..<others).map { _ in Int32(random.below(spread)) }
            let one = try BlockTable("a", PagedTokens(entries: table(a), stride: 16, tokens: 1), tensorTokens: mine)
            let other = try BlockTable("b", PagedTokens(entries: table(b), stride: 16, tokens: 1), tensorTokens: others)
            let twice = one.repeated()
            #expect((twice == nil) == (Set(a).count == a.count), "round \(round), seed 91")
            if let twice { #expect(a.filter { Int($0) == twice }.count > 1) }
            let both = one.repeated(in: other)
            #expect((both == nil) == Set(a).isDisjoint(with: b), "round \(round), seed 91")
            if let both { #expect(a.contains(Int32(both)) && b.contains(Int32(both))) }
            if twice == nil && both == nil { none += 1 } else { found += 1 }
        }
        #expect(found > 50 && none > 50, "the tables were all alike")
    }

    /// Over random strides and tables: two tensors that are said to be apart share no byte, and within blocks that do not reach
    /// over each other nothing else is said.
    @Test func overlapsNeverMissesAByte() throws {
        var random = SplitMix(92)
        var (apart, meeting, exact) = (0, 0, 0)
        func draw() -> (view: TensorView, bytes: Set<Int>, block: Int)? {
            let (heads, tokens, block) = (1 + random.below(3), 1 + random.below(9), 1 + random.below(4))
            let entries = (0..<(tokens + block - 1) / block).map { _ in Int32(random.below(9)) }
            let (head, token) = [(16, 48), (16, 64), (64, 16), (80, 16), (2000, 16)][random.below(5)]
            // Mostly of one pool; at times a few rows away from it, or in one of its own.
            let place = [0, 0, 0, 0, 16, 128, 8192][random.below(7)]
            guard
                let view = try? view(
                    entries, heads: heads, tokens: tokens, head: head, token: token,
                    stride: [64, 192, 256][random.below(3)],
                    block: block, at: memory + place)
            else { return nil }
            var bytes: Set<Int> = []
            for h in 0..<heads {
                for t in 0..<tokens { bytes.formUnion(view.row(h, t) - memory..<view.row(h, t) - memory + 16) }
            }
            return (view, bytes, block)
        }
        for _ in 0..<20_000 {
            guard let one = draw(), let other = draw() else { continue }
            let overlaps = one.view.overlaps(other.view)
            #expect(overlaps == other.view.overlaps(one.view), "seed 92")
            #expect(overlaps || one.bytes.isDisjoint(with: other.bytes), "seed 92")
            if overlaps { meeting += 1 } else { apart += 1 }
            if !overlaps, one.view.first < other.view.first + other.view.extent,
                other.view.first < one.view.first + one.view.extent
            {
                exact += 1
            }
        }
        #expect(apart > 500 && meeting > 500 && exact > 50, "the tensors were all alike")
    }
}
