import KVSieveCore

// What the library is compared with: memcpy, and the products of its scores by the BLAS alone.
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

func copy(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ bytes: Int) {
    target.copyMemory(from: source, byteCount: bytes)
}

/// The system's OpenBLAS, one thread, with its kernels for the instruction set that the library uses: it does not know processors
/// that are newer than itself, and takes kernels of 2004 for them. OPENBLAS_CORETYPE chooses others. The one inside the library has a
/// kernel for old processors alone, which nothing should be compared with.
final class Products {
    private typealias Product =
        @convention(c) (
            Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32, UnsafePointer<Float>, Int32,
            Float,
            UnsafeMutablePointer<Float>, Int32
        ) -> Void
    private typealias SetThreads = @convention(c) (Int32) -> Void
    private typealias Name = @convention(c) () -> UnsafePointer<CChar>?

    private let product: Product
    /// The processor whose kernel it uses.
    let kernel: String

    init() throws {
        if instructionSet == "avx2" { setenv("OPENBLAS_CORETYPE", "Haswell", 0) }
        if instructionSet.hasPrefix("avx512") { setenv("OPENBLAS_CORETYPE", "SkylakeX", 0) }
        guard let library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND),
            let product = dlsym(library, "cblas_sgemm"), let threads = dlsym(library, "openblas_set_num_threads"),
            let name = dlsym(library, "openblas_get_corename")
        else { throw KVSieveError(.state, "no libopenblas.so.0 to compare with: install libopenblas0-pthread") }
        self.product = unsafeBitCast(product, to: Product.self)
        unsafeBitCast(threads, to: SetThreads.self)(1)
        kernel = unsafeBitCast(name, to: Name.self)().map { String(cString: $0) } ?? "unknown"
    }

    /// out (rows, columns) = a (rows, depth; stride floats from row to row) times b (depth, columns).
    func multiply(
        _ a: UnsafePointer<Float>, rows: Int, stride: Int, depth: Int, _ b: UnsafePointer<Float>, columns: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        let rowMajor: Int32 = 101
        let asItIs: Int32 = 111
        let width = Int32(columns)
        product(
            rowMajor, asItIs, asItIs, Int32(rows), width, Int32(depth), 1, a, Int32(stride), b, width, 0, out, width)
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
