// What the library is compared with: memcpy, and the products of its scores by the BLAS alone.
import KVSieveCore

func copy(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ bytes: Int) {
    target.copyMemory(from: source, byteCount: bytes)
}

/// The BLAS with the memory it packs in.
final class Products {
    private let buffer: Memory

    init() throws { buffer = try Memory(MatrixProduct.bufferBytes / 4, seed: 1) }

    /// out (rows, columns) = a (rows, depth; stride floats from row to row) times b (depth, columns).
    func multiply(
        _ a: UnsafePointer<Float>, rows: Int, stride: Int, depth: Int, _ b: UnsafePointer<Float>, columns: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        MatrixProduct.multiply(
            a, rows: rows, stride: stride, depth: depth, b, columns: columns, into: out, buffer: buffer.start)
    }
}

/// One layer's logits and nothing else: keys (T, D) of each head where they lie, times its packed queries (D, G*W), into one
/// buffer (T, G*W) that every head uses again.
final class BareProducts {
    private let products: Products
    private let packed: Memory
    private let out: Memory
    private let rows: Int

    init(_ products: Products, _ shape: ModelShape, window: Int, mostTokens: Int) throws {
        self.products = products
        rows = shape.group * window
        packed = try Memory(shape.heads * shape.headDim * rows, seed: 2)
        out = try Memory(mostTokens * rows, seed: 3)
    }

    /// - Parameter keys: float32.
    func run(_ keys: TensorView) {
        for head in 0..<keys.heads {
            products.multiply(
                UnsafePointer(keys.row(head, 0).assumingMemoryBound(to: Float.self)), rows: keys.tokens,
                stride: keys.tokenStride / 4, depth: keys.dim, packed.floats + head * keys.dim * rows, columns: rows,
                into: out.floats)
        }
    }
}
