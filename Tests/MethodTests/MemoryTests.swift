// What a plan holds beside what its method must remember, at a large model's shape and for any length: counted, not measured.
import Foundation
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

/// (heads, tokens, 128) floats of 0, which take no memory until they are written.
private final class Zeros: @unchecked Sendable {
    let heads: Int, tokens: Int
    private let memory: UnsafeMutableRawPointer
    private var bytes: Int { heads * tokens * 512 }

    init(_ heads: Int, _ tokens: Int) throws {
        (self.heads, self.tokens) = (heads, tokens)
        let mapped = mmap(nil, heads * tokens * 512, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        memory = try #require(mapped != MAP_FAILED ? mapped : nil)
    }

    deinit { munmap(memory, bytes) }

    func view(_ name: StaticString) throws(KVSieveError) -> TensorView {
        try TensorView(
            name, base: memory, heads: heads, tokens: tokens, dim: 128, headStride: tokens * 512, tokenStride: 512,
            type: .float32)
    }
}

/// H2O, which reads all queries, takes hours at these lengths; what it holds is WindowAttention's, over its blocks of rows.
private let readersOfAWindow = Registry.rows.filter { $0.parameters.contains { $0.id == Shared.window.id } }

@Suite struct MemoryTests {
    /// 32 query heads, 8 KV heads, D 128, W 32, 1,024 kept; threads bring little of their own.
    @Test(arguments: readersOfAWindow, [(4096, 1), (16_384, 2), (32_768, 2), (131_072, 1)])
    func theWorkspaceIsBounded(_ row: MethodRow, _ size: (tokens: Int, threads: Int)) throws {
        let account = MemoryAccount()
        let layers = 2
        let shape = try ModelShape(layers: layers, queryHeads: 32, heads: 8, headDim: 128)
        let plan = try Plan(row, shape, Shared.plan, account: account)
        let wishes = ["budget": 1024, "ratio": 0.4, "window": 32, "threads": Double(size.threads)]
        for parameter in row.parameters {
            if let value = wishes["\(parameter.name)"] { try plan.set(parameter.id, value) }
        }
        let queries = try Zeros(32, 32)
        let keys = try Zeros(8, size.tokens)
        var afterFirst = 0
        for layer in 0..<layers {
            try plan.observe(
                layer: layer, queries: { () throws(KVSieveError) in try queries.view("queries") },
                keys: { () throws(KVSieveError) in try keys.view("keys") },
                values: { () throws(KVSieveError) in try keys.view("values") })
            if layer == 0 { afterFirst = account.allocations }
        }
        #expect(account.allocations == afterFirst)
        try plan.finish()
        let kept = try (0..<layers).reduce(0) { try $0 + plan.kept(layer: $1).total }
        let remembered = "\(row.name)" == "dynamickv" ? layers * 8 * size.tokens * 4 : 0
        let packed = plan.work?.workers.reduce(0) { $0 + $1.matrices.resident } ?? 0
        let workspace = account.highest - remembered - kept * 4 - layers * 8 * 16 + packed
        print("\(row.name), \(size.tokens) tokens: workspace \(workspace) bytes")
        #expect(workspace <= 32 << 20)
    }

    /// Threads that have heads of their own and threads that share one need memory in different places: never both.
    @Test func theWorkspaceIsBoundedWhateverCameBefore() throws {
        let account = MemoryAccount()
        let shape = try ModelShape(layers: 1, queryHeads: 32, heads: 8, headDim: 128)
        let plan = try Plan(method("ahakv"), shape, Shared.plan, account: account)
        for parameter in plan.row.parameters where "\(parameter.name)" == "threads" { try plan.set(parameter.id, 2) }
        let queries = try Zeros(32, 32)
        for tokens in [131_072, 16_384, 65_536, 4096, 24_576, 131_072, 2048] {
            let keys = try Zeros(8, tokens)
            try plan.observe(
                layer: 0, queries: { () throws(KVSieveError) in try queries.view("queries") },
                keys: { () throws(KVSieveError) in try keys.view("keys") },
                values: { () throws(KVSieveError) in try keys.view("values") })
            try plan.finish()
            plan.reset()
            #expect(account.highest <= 32 << 20, "\(tokens) tokens")
        }
    }
}
