// Every check of a view, with the sentence that it fails with.
import TestSupport
import Testing

@testable import KVSieveCore

private nonisolated(unsafe) let memory = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 64)

private func view(
    _ heads: Int = 2, _ tokens: Int = 3, _ dim: Int = 4, head: Int = 48, token: Int = 16,
    _ type: ElementType = .float32,
    at base: UnsafeMutableRawPointer = memory
) throws(KVSieveError) -> TensorView {
    try TensorView(
        "keys", base: base, heads: heads, tokens: tokens, dim: dim, headStride: head, tokenStride: token, type: type)
}

@Suite struct TensorViewTests {
    @Test func aContiguousTensorIsAViewOfItsBytes() throws {
        let tensor = try view()
        #expect((tensor.extent, tensor.rowBytes) == (96, 16))
        #expect(tensor.row(1, 2) == memory + 80)
        #expect(try view(head: 16, token: 32).row(1, 2) == memory + 80)
    }

    @Test(arguments: [0, -1, Int.min, ModelShape.mostHeads + 1, Int.max]) func headsOutOfBoundsAreRefused(_ size: Int) {
        expectRefusal(.shape, "keys.heads is \(size); expected 1 ... 1024") { _ = try view(size) }
    }

    @Test(arguments: [0, -1, Int.min, ModelShape.mostTokens + 1, Int.max]) func tokensOutOfBoundsAreRefused(_ size: Int)
    {
        expectRefusal(.shape, "keys.tokens is \(size); expected 1 ... 16777216") { _ = try view(2, size) }
    }

    @Test(arguments: [0, -1, Int.min, ModelShape.mostDim + 1, Int.max]) func dimOutOfBoundsIsRefused(_ size: Int) {
        expectRefusal(.shape, "keys.dim is \(size); expected 1 ... 65536") { _ = try view(2, 3, size) }
    }

    /// Below a row (broadcast 0 and backwards among them), and not a multiple of the element.
    @Test(arguments: [0, 4, 12, 15, -16, Int.min, 17, 18, 50]) func aStrideThatIsNoRowsStrideIsRefused(_ stride: Int) {
        let rest = " is \(stride) bytes; expected at least a row of 16 bytes and a multiple of 4"
        expectRefusal(.layout, "keys.head_stride" + rest) { _ = try view(head: stride) }
        expectRefusal(.layout, "keys.token_stride" + rest) { _ = try view(token: stride) }
    }

    @Test func halvesMayHaveStridesThatFloatsMayNot() throws {
        #expect(try view(2, 3, 4, head: 30, token: 10, .float16).extent == 58)
        expectRefusal(.layout, "keys.token_stride is 9 bytes; expected at least a row of 8 bytes and a multiple of 2") {
            _ = try view(2, 3, 4, head: 30, token: 9, .bfloat16)
        }
    }

    @Test(arguments: [0, 3, -7, Int.min, Int.max]) func theStrideOfASizeOfOneIsNotLookedAt(_ stride: Int) throws {
        #expect(try view(1, 3, head: stride).extent == 48)
        #expect(try view(2, 1, head: 16, token: stride).extent == 32)
        #expect(try view(1, 1, head: stride, token: stride).extent == 16)
    }

    @Test(arguments: elementTypes) func memoryThatIsNotAlignedIsRefused(_ type: ElementType) throws {
        for offset in 0..<8 {
            let base = memory + offset
            if offset % type.size == 0 {
                _ = try view(2, 3, 4, type, at: base)
            } else {
                expectRefusal(
                    .layout,
                    "keys.data is \(base), which is not aligned to the \(type.size) bytes of \(type.name)"
                ) { _ = try view(2, 3, 4, type, at: base) }
            }
        }
    }

    @Test(arguments: [
        (3, 3, Int.max / 4 * 4, 16), (2, 3, 16, Int.max / 4 * 4), (2, 3, Int.max / 4 * 4, Int.max / 4 * 4),
        (2, 2, Int.max / 8 * 4, Int.max / 8 * 4), (2, 2, Int.max / 4 * 4 - 16, 32), (2, 1, Int.max / 4 * 4, 0),
        (2, 3, 1 << 56, 16), (1024, 1 << 24, 1 << 47, 16), (2, 1 << 24, 16, 1 << 33),
    ]) func whatReachesBeyondTheAddressSpaceIsRefused(_ heads: Int, _ tokens: Int, _ head: Int, _ token: Int) {
        expectRefusal(
            .layout,
            "keys of \(heads) heads and \(tokens) tokens with head_stride \(head) and token_stride \(token) reaches beyond"
                + " the address space"
        ) { _ = try view(heads, tokens, head: head, token: token) }
    }

    @Test func anAddressNearTheEndOfMemoryDoesNotWrapAround() throws {
        let base = try #require(UnsafeMutableRawPointer(bitPattern: UInt.max - 95))
        expectRefusal(
            .layout,
            "keys of 2 heads and 3 tokens with head_stride 48 and token_stride 16 reaches beyond the address space"
        ) { _ = try view(at: base) }
        let last = try #require(UnsafeMutableRawPointer(bitPattern: UInt.max - 99))
        #expect(try view(at: last).extent == 96)
    }

    @Test func theLargestTensorThatFitsIsAccepted() throws {
        #expect(try view(2, 2, head: (1 << 56) - 64, token: 16).extent == (1 << 56) - 32)
    }

    @Test func rowsOverEachOtherAreRefused() {
        expectRefusal(
            .layout,
            "rows of keys lie over each other: head_stride 32 and token_stride 16 with 2 heads, 3 tokens and rows of 16"
                + " bytes"
        ) { _ = try view(head: 32, token: 16) }
    }
}

@Suite struct TensorShapeTests {
    @Test func aShapeIsHeadsAndTokensInBounds() throws {
        let shape = try TensorShape("keys", heads: 1024, tokens: 1 << 24)
        #expect(shape.heads == 1024 && shape.tokens == 1 << 24 && "\(shape.name)" == "keys")
    }

    @Test(arguments: [0, -1, Int.min, Int.max]) func sizesOutOfBoundsAreRefused(_ size: Int) {
        expectRefusal(.shape, "keys.heads is \(size); expected 1 ... 1024") {
            _ = try TensorShape("keys", heads: size, tokens: 1)
        }
        expectRefusal(.shape, "keys.tokens is \(size); expected 1 ... 16777216") {
            _ = try TensorShape("keys", heads: 1, tokens: size)
        }
    }
}
