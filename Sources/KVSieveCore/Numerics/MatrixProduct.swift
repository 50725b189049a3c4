// The only import of BLAS. Single-threaded: the BLAS inside the library starts no thread (CSupport/environment.c).
import COpenBLAS
import CSupport

// Equal rows of `a` must give equal rows of `out`, bit for bit: scores that are equal are told apart by position alone. OpenBLAS's
// kernels sum rows beyond a multiple of their own (4 to 16 rows) in another order, so they get whole multiples only. Even then
// the kernels for FMA (Haswell, Zen, SkylakeX) round rows of one tile differently. OpenBLAS therefore uses its kernels for
// Prescott (CSupport/environment.c). BLAS makes the product only with the baseline kernels.

package enum MatrixProduct {
    /// A multiple of the rows that any kernel takes together.
    package static let wholeRows = 48

    /// BLAS counts in 32 bits; a row stride beyond that is copied by the caller into one that is not.
    static let longestStride = Int(Int32.max)

    /// What a call needs to pack its matrices in: the buffer that OpenBLAS is laid out for (128 MiB and a little) and room to
    /// align it. Only the pages that are packed into become real.
    package static let bufferBytes = (32 << 22) + (4 << 16)

    /// out = a * b.  a (rows, depth) with a stride in floats, b (depth, columns) contiguous, out (rows, columns) contiguous.
    /// `rows` is a multiple of wholeRows. All sizes are at most longestStride: the tile and the model bound rows, depth and
    /// columns.
    package static func multiply(
        _ a: UnsafePointer<Float>, rows: Int, stride: Int, depth: Int, _ b: UnsafePointer<Float>, columns: Int,
        into out: UnsafeMutablePointer<Float>, buffer: UnsafeMutableRawPointer
    ) {
        support_blas_buffer(buffer.alignedUp(toMultipleOf: 1 << 16))
        defer { support_blas_buffer(nil) }
        let width = Int32(truncatingIfNeeded: columns)
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(truncatingIfNeeded: rows), width,
            Int32(truncatingIfNeeded: depth), 1, a, Int32(truncatingIfNeeded: stride), b, width, 0, out, width)
    }

    /// Its name and version, for build_info.
    static var description: String {
        guard let text = openblas_get_config() else { return "OpenBLAS" }
        return String(cString: text).split(separator: " ").prefix(2).joined(separator: " ")
    }
}

/// The BLAS inside the library, for a bug report.
public var linearAlgebraDescription: String { MatrixProduct.description }
