// What is computed of narrow types and of tensors in blocks: to the last bit what it is of the same numbers as float32.
import TestSupport
import Testing

@testable import KVSieveCore

/// All tables that are made of a layer's tensors.
private func tables(_ shape: ModelShape, _ q: Tensor, _ k: Tensor, _ v: Tensor) throws -> [[Float]] {
    let view = try LayerView(
        shape, layer: 5, length: nil, reads: .queries(.last(q.tokens)).andValues,
        LayerTensors(queries: q.view("queries"), keys: k.view("keys"), values: v.view("values")))
    let work = Workspace(threads: 2)
    let layer = Layer(view, .whole(view.length), work, scores: TableMemory(work.account))
    func rows(_ table: HeadTable) -> [[Float]] { (0..<table.rows).map { table.copy($0) } }
    let attention = try layer.attention()
    return try rows(attention) + rows(layer.values(weightedBy: attention, best: 9))
        + rows(layer.squaredValueNorms(pooled: 3)) + rows(layer.keyNorms()) + rows(layer.keyCosinesToMean())
}

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let unpadded = Layout.allCases.filter { $0 != .padded }

@Suite struct NarrowTests {
    @Test(arguments: narrowTypes, Layout.allCases) func tablesAreThoseOfTheSameNumbers(
        _ type: ElementType, _ layout: Layout
    ) throws {
        let shape = try ModelShape(layers: 8, queryHeads: 6, heads: 3, headDim: 96)
        for tokens in [1, 40, AttentionTiles.longestTile + 77] {
            func both(_ heads: Int, _ tokens: Int, _ seed: UInt64) -> (narrow: Tensor, floats: Tensor) {
                Tensor.narrow(heads: heads, tokens: tokens, dim: 96, type, layout, seed: seed)
            }
            let (q, k, v) = (both(6, min(tokens, 9), 21), both(3, tokens, 22), both(3, tokens, 23))
            let expected = try tables(shape, q.floats, k.floats, v.floats)
            #expect(try tables(shape, q.narrow, k.narrow, v.narrow) == expected, "\(tokens) tokens, seeds 21 to 23")
        }
    }

    /// Pairs of bfloat16 are multiplied as they are where the processor can: in blocks too.
    /// (Padded rows begin at half words: they are widened, and their sums are others.)
    @Test(arguments: elementTypes, unpadded) func layoutsChangeNoBitOfAnEvenDim(
        _ type: ElementType, _ layout: Layout
    ) throws {
        var attention = Attention(
            heads: 3, group: 2, window: 6, tokens: 2 * AttentionTiles.longestTile + 17, dim: 22, type: type, seed: 82)
        let expected = try attention.make().columns(Workspace(threads: 1))
        attention.layout = layout
        #expect(try attention.make().columns(Workspace(threads: 1)) == expected)
    }

    @Test(arguments: [ElementType.q8, .q4]) func aScaleThatIsNotFiniteIsFound(_ type: ElementType) throws {
        let shape = try ModelShape(layers: 8, queryHeads: 2, heads: 2, headDim: 64)
        func some(_ tokens: Int, _ seed: UInt64) -> Tensor {
            Tensor.narrow(heads: 2, tokens: tokens, dim: 64, type, seed: seed).narrow
        }
        for (scale, head, token) in [(UInt8(0x7c), 0, 3), (0xfc, 1, 19), (0x7e, 1, 0)] {
            let (q, k, v) = (some(4, 31), some(20, 32), some(20, 33))
            for tensor in [k, v] {
                let before = tensor.row(head, token)
                var row = before
                (row[type.size], row[type.size + 1]) = (0, scale)
                tensor.set(head, token, row: row)
                #expect(refusal { _ = try tables(shape, q, k, v) }?.kind == .nonfinite, "\(scale)")
                tensor.set(head, token, row: before)
            }
            #expect(refusal { _ = try tables(shape, q, k, v) } == nil)
        }
    }

    @Test(arguments: [ElementType.q8, .q4], [1, 31, 33, 48]) func aDimThatCutsABlockIsRefused(
        _ type: ElementType, _ dim: Int
    ) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
        defer { memory.deallocate() }
        expectRefusal(.shape, "keys.dim is \(dim); expected a multiple of 32, the numbers of a \(type.name) block") {
            _ = try TensorView(
                "keys", base: memory, heads: 1, tokens: 1, dim: dim, headStride: 0, tokenStride: 0, type: type)
        }
    }
}
