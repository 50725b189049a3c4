// What window attention refuses, what it does not read, and the memory it takes.
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

private let tile = AttentionTiles.longestTile
private let nonfinite =
    "queries or keys of layer 5, kv head %d have NaN or infinity, or their product overflows"

@Suite struct WindowAttentionErrorTests {
    @Test(arguments: elementTypes, [1, 3]) func aBadNumberInAnyKeyIsRefusedWithItsHead(
        _ type: ElementType, _ threads: Int
    ) throws {
        let attention = Attention(heads: 3, group: 2, window: 5, tokens: tile + 9, dim: 7, type: type, seed: 90)
        let work = Workspace(threads: threads)
        for (token, d) in [(0, 0), (0, 6), (5, 3), (tile - 1, 6), (tile, 0), (tile + 4, 2), (tile + 8, 6)] {
            for bad in [Float.nan, .infinity, -.infinity] {
                for head in 0..<3 {
                    let input = try attention.make()
                    input.keys.set(head, token, d, bad)
                    expectRefusal(.nonfinite, String(format: nonfinite, head)) { _ = try input.columns(work) }
                }
            }
        }
    }

    @Test(arguments: elementTypes) func aBadNumberInAnyQueryIsRefusedWithItsHead(_ type: ElementType) throws {
        let attention = Attention(heads: 2, group: 3, window: 5, tokens: 40, dim: 7, type: type, seed: 91)
        let work = Workspace(threads: 1)
        for queryHead in 0..<6 {
            for row in 0..<5 {
                for bad in [Float.nan, .infinity] {
                    let input = try attention.make()
                    input.queries.set(queryHead, row, (row * 3) % 7, bad)
                    expectRefusal(.nonfinite, String(format: nonfinite, queryHead / 3)) { _ = try input.columns(work) }
                    expectRefusal(.nonfinite, String(format: nonfinite, queryHead / 3)) {
                        _ = try input.columns(work, perQueryHead: true)
                    }
                }
            }
        }
    }

    @Test func aProductThatOverflowsIsRefused() throws {
        let input = try Attention(group: 1, window: 2, tokens: 20, dim: 4, seed: 92).make()
        for d in 0..<4 {
            input.queries.set(0, 1, d, 1e25)
            input.keys.set(0, 3, d, 1e25)
        }
        expectRefusal(.nonfinite, String(format: nonfinite, 0)) { _ = try input.columns(Workspace(threads: 1)) }
    }

    @Test func largeNumbersWhoseProductFitsAreTaken() throws {
        let input = try Attention(group: 1, window: 2, tokens: 20, dim: 4, seed: 93).make()
        for d in 0..<4 { input.keys.set(0, 3, d, 1e30) }
        let columns = try input.columns(Workspace(threads: 1))[0]
        #expect(columns.allSatisfy { $0.isFinite && $0 >= 0 })
    }

    /// Bytes between padded rows are not read as numbers: they may be NaN.
    @Test(arguments: elementTypes) func whatLiesBetweenRowsIsNotRead(_ type: ElementType) throws {
        let attention = Attention(
            heads: 2, group: 2, window: 4, tokens: 50, dim: 9, type: type, layout: .padded, seed: 94)
        let input = try attention.make()
        let expected = try input.columns(Workspace(threads: 1))
        for tensor in [input.queries, input.keys] {
            var covered = Set<Int>()
            for head in 0..<tensor.heads {
                for token in 0..<tensor.tokens {
                    let start = tensor.place(head, token)
                    covered.formUnion(start..<start + tensor.dim * type.size)
                }
            }
            for byte in 0..<tensor.bytes where !covered.contains(byte) {
                tensor.memory.storeBytes(of: 0xff, toByteOffset: byte, as: UInt8.self)
            }
        }
        #expect(try input.columns(Workspace(threads: 1)) == expected)
    }

    @Test func theCallersTensorsAreOnlyRead() throws {
        let input = try Attention(heads: 2, group: 2, window: 4, tokens: 50, dim: 9, type: .float16, seed: 95).make()
        let before = (input.queries.contents, input.keys.contents)
        _ = try input.columns(Workspace(threads: 2))
        #expect((input.queries.contents, input.keys.contents) == before)
    }

    @Test func anErrorOfTheBodyIsThrownAndEndsTheHeads() throws {
        let input = try Attention(heads: 4, group: 2, window: 2, tokens: 30, dim: 4, seed: 96).make()
        var seen = 0
        expectRefusal(.budget, "enough") {
            _ = try input.layer(Workspace(threads: 1)).attentionOfQueryHeads { (sums) throws(KVSieveError) in
                seen += 1
                if seen == 2 { throw KVSieveError(.budget, "enough") }
                return sums
            }
        }
        #expect(seen == 2)
    }

    /// Keys so far apart that a row stride in floats is beyond 32 bits: in virtual memory only.
    @Test func keysFurtherApartThan32BitsCountAreRead() throws {
        let stride = (Int(Int32.max) + 3) * 4
        let bytes = 2 * stride + 4096
        let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory = mapped, memory != MAP_FAILED else { return }
        defer { munmap(memory, bytes) }
        let near = try Attention(group: 2, window: 2, tokens: 3, dim: 4, seed: 97).make()
        for (index, value) in near.keyFloats.enumerated() {
            (memory + index / 4 * stride + index % 4 * 4).storeBytes(of: value, as: Float.self)
        }
        let keys = try TensorView(
            "keys", base: memory, heads: 1, tokens: 3, dim: 4, headStride: 0, tokenStride: stride, type: .float32)
        let work = Workspace(threads: 1)
        let view = try LayerView(
            near.shape, layer: 5, length: nil, reads: .queries(.last(2)),
            LayerTensors(queries: near.queries.view("queries"), keys: keys))
        let table = try Layer(view, .whole(view.length), work, scores: TableMemory(work.account)).attention()
        #expect(try table.copy(0) == near.columns(Workspace(threads: 1))[0])
    }

    @Test func withoutQueriesOrKeysThereIsNoAttention() throws {
        let input = try Attention(seed: 98).make()
        let work = Workspace(threads: 1)
        for reads in [Reads.nothing.andValues, .keys] {
            let view = try LayerView(
                input.shape, layer: 5, length: CacheLength(prompt: 100), reads: reads,
                LayerTensors(
                    queries: input.queries.view("queries"), keys: input.keys.view(), values: input.keys.view("values")))
            let layer = Layer(view, .whole(view.length), work, scores: TableMemory(work.account))
            #expect(layer.windowRows == 0)
            let message = "queries or keys are NULL, but layer 5 reads them"
            expectRefusal(.null, message) { _ = try layer.attention() }
            expectRefusal(.null, message) {
                _ = try layer.attentionOfQueryHeads { (sums) throws(KVSieveError) in sums }
            }
        }
    }

    /// Every later layer uses the first one's memory: nothing more is allocated, and the most ever held does not grow.
    @Test(arguments: elementTypes, [1, 4]) func memoryDoesNotGrowWithLayers(_ type: ElementType, _ threads: Int) throws
    {
        let account = MemoryAccount()
        let work = Workspace(threads: threads, account: account)
        let input = try Attention(heads: 4, group: 4, window: 16, tokens: 3 * tile, dim: 32, type: type, seed: 99)
            .make()
        let layer = input.layer(work)
        _ = try layer.attention()
        let first = (account.allocations, account.held, account.highest)
        for _ in 0..<5 { _ = try layer.attention() }
        #expect((account.allocations, account.held, account.highest) == first)
    }

    /// Every allocation refused once: an error each time, never a crash, and then the same bits as ever.
    @Test(arguments: [1, 3]) func everyRefusedAllocationIsAnError(_ threads: Int) throws {
        let input = try Attention(heads: 2, group: 4, window: 16, tokens: 3 * tile, dim: 32, type: .float16, seed: 100)
            .make()
        let free = MemoryAccount()
        let expected = try input.columns(Workspace(threads: threads, account: free))
        var (limit, refused) = (0, 0)
        while limit < free.highest {
            let account = MemoryAccount(limit: limit)
            let error = refusal { _ = try input.columns(Workspace(threads: threads, account: account)) }
            #expect(error?.kind == .memory, "limit \(limit)")
            #expect(account.held == 0)
            refused += 1
            // What was asked for in vain, from the sentence.
            let numbers = (error?.message ?? "").split { !$0.isNumber }.compactMap { Int($0) }
            guard numbers.count == 2 else { break }
            limit = numbers[0] + numbers[1]
        }
        #expect(refused == free.allocations)
        #expect(try input.columns(Workspace(threads: threads, account: MemoryAccount(limit: limit))) == expected)
    }
}
