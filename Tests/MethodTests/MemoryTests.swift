// What a plan holds beside what its method must remember, at a large model's shape and for any length: counted, not measured.
import Foundation
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

/// (heads, tokens, 128) floats of 0, which take no memory until they are written.
private final class Zeros: Viewable {
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

/// A method, lengths and threads.
struct MemoryCase: Sendable, CustomTestStringConvertible {
    let method: AnyMethod
    let tokens: Int, threads: Int
    var testDescription: String { "\(method.name) T\(tokens) \(threads) threads" }

    static let sizes = [(4096, 1), (16_384, 2), (32_768, 2), (131_072, 1)]

    /// A method that reads all queries needs T^2 products: hours at the lengths of the others. What it holds at a time is what a
    /// window of 64 rows needs, which is tested at every length.
    static let all: [MemoryCase] = AnyMethod.all.flatMap { method in
        let sizes = method.readsAllQueries ? [(4096, 1), (4096, 2)] : sizes
        return sizes.map { MemoryCase(method: method, tokens: $0.0, threads: $0.1) }
    }
}

@Suite struct MemoryTests {
    /// 32 query heads, 8 KV heads, D 128, W 32 unless said otherwise, 1,024 kept; threads bring little of their own.
    private func check(_ method: AnyMethod, tokens: Int, threads: Int, _ wishes: [String: Double] = [:]) throws {
        let account = MemoryAccount()
        let layers = 2
        let shape = try ModelShape(layers: layers, queryHeads: 32, heads: 8, headDim: 128)
        let plain: [String: Double] = ["window": 32, "threads": Double(threads)]
        let parameters = method.having(plain.merging(wishes) { $1 })
        let plan = try method.plan(shape, parameters, account: account)
        let queries = try Zeros(32, tokens)
        let keys = try Zeros(8, tokens)
        var afterFirst = 0
        for layer in 0..<layers {
            try plan.observe(layer: layer, queries, keys, keys)
            if layer == 0 { afterFirst = account.allocations }
        }
        #expect(account.allocations == afterFirst)
        try plan.finish()
        let kept = try (0..<layers).reduce(0) { try $0 + plan.kept(layer: $1).total }
        let remembers = try method.method(shape, parameters).scope == .model
        let remembered = remembers ? layers * 8 * tokens * 4 : 0
        let workspace = account.highest - remembered - kept * 4 - layers * 8 * 16
        print("\(method.name), \(tokens) tokens, \(threads) threads: workspace \(workspace) bytes")
        #expect(workspace <= 32 << 20)
    }

    @Test(arguments: MemoryCase.all) func theWorkspaceIsBounded(_ test: MemoryCase) throws {
        try check(test.method, tokens: test.tokens, threads: test.threads)
    }

    @Test(arguments: MemoryCase.sizes) func aBlockOfRowsIsBoundedAtAnyLength(_ tokens: Int, _ threads: Int) throws {
        try check(.named("snapkv"), tokens: tokens, threads: threads, ["window": 64])
    }

    /// Threads that have heads of their own and threads that share one need memory in different places: never both.
    @Test func theWorkspaceIsBoundedWhateverCameBefore() throws {
        let account = MemoryAccount()
        let shape = try ModelShape(layers: 1, queryHeads: 32, heads: 8, headDim: 128)
        let plan = try AnyMethod.named("ahakv").plan(shape, ["threads": 2], account: account)
        for tokens in [131_072, 16_384, 65_536, 4096, 24_576, 131_072, 2048] {
            let (queries, keys) = try (Zeros(32, tokens), Zeros(8, tokens))
            try plan.observe(layer: 0, queries, keys, keys)
            try plan.finish()
            plan.reset()
            #expect(account.highest <= 32 << 20, "\(tokens) tokens")
        }
    }
}
