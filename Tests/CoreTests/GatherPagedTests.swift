// Gathers from and to blocks of one pool: other blocks, the same ones, some of the same; and rows of every type.
import TestSupport
import Testing

@testable import KVSieveCore

/// (blocks, block 4, H 2, D 4) of floats, 24 blocks; the number of each row is its place.
private final class Pool {
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: 24 * 32)
    private var tables: [UnsafeMutablePointer<Int32>] = []

    init() { for j in 0..<24 * 32 { memory[j] = Float(j) } }
    deinit {
        memory.deallocate()
        for table in tables { table.deallocate() }
    }

    func view(_ name: StaticString, _ entries: [Int32], heads: Int = 2, tokens: Int, head: Int = 16) throws
        -> TensorView
    {
        let copy = UnsafeMutablePointer<Int32>.allocate(capacity: entries.count)
        copy.initialize(from: entries, count: entries.count)
        tables.append(copy)
        return try TensorView(
            name, base: memory, heads: heads, tokens: tokens, dim: 4, headStride: head, tokenStride: 32, type: .float32,
            pages: PagedTokens(entries: copy, stride: 128, tokens: 4, blocks: 24))
    }

    var contents: [Float] { Array(UnsafeBufferPointer(start: memory, count: 24 * 32)) }

    static func row(_ entries: [Int32], _ head: Int, _ token: Int) -> Int {
        Int(entries[token / 4]) * 32 + token % 4 * 8 + head * 4
    }
}

private let from: [Int32] = [7, 2, 19, 4, 11]

/// Of 18 tokens: the first, the last two, and some that differ by head.
private func choose(_ work: Workspace) throws -> Selection {
    let frame = Frame(CacheLength(prompt: 18), sinks: 1, recent: 2)
    var random = SplitMix(4)
    let rows = (0..<2).map { _ in (0..<15).map { _ in Float(random.below(1000)) } }
    return try Selection(frame, makeScores(work.account, rows), units: [5, 8], work)
}

private func moved(_ before: [Float], _ selection: Selection, to place: (_ head: Int, _ index: Int) -> Int) -> [Float] {
    var after = before
    for head in 0..<2 {
        for (index, token) in selection.copy(head).enumerated() {
            let source = Pool.row(from, head, Int(token))
            for d in 0..<4 { after[place(head, index) + d] = before[source + d] }
        }
    }
    return after
}

@Suite struct GatherPagedTests {
    let work = Workspace(threads: 1)

    @Test func otherBlocksOfTheSamePoolTakeTheRows() throws {
        let (pool, selection) = (Pool(), try choose(work))
        let to: [Int32] = [3, 0, 23]
        let expected = moved(pool.contents, selection) { Pool.row(to, $0, $1) }
        try Gather.rows(
            of: pool.view("source", from, tokens: 18), by: selection, to: pool.view("target", to, tokens: 12))
        #expect(pool.contents == expected)
    }

    @Test func packedRowsGoToBlocksOfOneHead() throws {
        let (pool, selection) = (Pool(), try choose(work))
        let to: [Int32] = [8, 1, 0, 5, 6]
        let first = Int(selection.offsets[1])
        let expected = moved(pool.contents, selection) { Pool.row(to, 0, $0 * first + $1) }
        try Gather.rows(
            of: pool.view("source", from, tokens: 18), by: selection, to: pool.view("target", to, heads: 1, tokens: 20))
        #expect(pool.contents == expected)
    }

    @Test(arguments: [18, 11]) func inPlaceIsTheBeginningOfTheTable(_ tokens: Int) throws {
        let (pool, selection) = (Pool(), try choose(work))
        let expected = moved(pool.contents, selection) { Pool.row(from, $0, $1) }
        try Gather.rows(
            of: pool.view("source", from, tokens: 18), by: selection,
            to: pool.view("target", Array(from.prefix((tokens + 3) / 4)), tokens: tokens))
        #expect(pool.contents == expected)
    }

    /// Another order, one block of the source, a source that has a target's block again later, a block twice.
    @Test func blocksOfBothAreRefusedAndNothingIsWritten() throws {
        let (pool, selection) = (Pool(), try choose(work))
        let before = pool.contents
        let source = try pool.view("source", from, tokens: 18)
        let overlap = "target overlaps source at \(source.base) without being in place (same data and strides)"
        for to: [Int32] in [[2, 7, 19], [0, 1, 11], [7, 2, 4], [7, 2, 18]] {
            expectRefusal(.layout, overlap) {
                try Gather.rows(of: source, by: selection, to: pool.view("target", to, tokens: 11))
            }
        }
        let again = try pool.view("source", [7, 2, 19, 4, 7], tokens: 18)
        expectRefusal(.layout, overlap) {
            try Gather.rows(of: again, by: selection, to: pool.view("target", [7, 2, 19], tokens: 11))
        }
        expectRefusal(.layout, "target.blocks has block 5 twice; expected different blocks") {
            try Gather.rows(of: source, by: selection, to: pool.view("target", [5, 1, 5], tokens: 11))
        }
        #expect(pool.contents == before)
    }

    /// A source may have a block twice: the rows are read where they are.
    @Test func aSourceMayHaveABlockTwice() throws {
        let (pool, selection) = (Pool(), try choose(work))
        let target = Tensor(heads: 2, tokens: 11, dim: 4)
        let entries: [Int32] = [7, 7, 7, 7, 7]
        try Gather.rows(of: pool.view("source", entries, tokens: 18), by: selection, to: target.view("target"))
        for head in 0..<2 {
            for (index, token) in selection.copy(head).enumerated() {
                let row = pool.memory + Pool.row(entries, head, Int(token))
                #expect(target.row(head, index) == Array(UnsafeRawBufferPointer(start: row, count: 16)))
            }
        }
    }

    @Test(arguments: narrowTypes + [.bytes], Layout.allCases) func rowsOfEveryTypeMove(
        _ type: ElementType, _ layout: Layout
    ) throws {
        let selection = try choose(work)
        var random = SplitMix(93)
        let source = Tensor(heads: 2, tokens: 18, dim: 64, type, layout)
        for head in 0..<2 { for t in 0..<18 { source.set(head, t, row: random.bytes(type.rowBytes(64))) } }
        for targetLayout in Layout.allCases {
            let target = Tensor(heads: 2, tokens: 11, dim: 64, type, targetLayout)
            try Gather.rows(of: source.view("source"), by: selection, to: target.view("target"))
            for head in 0..<2 {
                for (index, token) in selection.copy(head).enumerated() {
                    #expect(target.row(head, index) == source.row(head, Int(token)), "to \(targetLayout), seed 93")
                }
            }
        }
    }
}
