// The only import of BLAS. Single-threaded: the BLAS inside the library starts no thread (CSupport/blas_environment.c).
import COpenBLAS

enum MatrixProduct {
    /// BLAS counts in 32 bits; a row stride beyond that is copied by the caller into one that is not.
    static let longestStride = Int(Int32.max)

    /// out = a * b^T.  a (rows, depth) contiguous, b (columns, depth) with a stride in floats, out (rows, columns) with
    /// `outStride`. All sizes are at most longestStride: rows, depth and columns are bounded by the model and the tile.
    static func transposed(
        _ a: UnsafePointer<Float>, rows: Int, _ b: UnsafePointer<Float>, columns: Int, stride: Int, depth: Int,
        into out: UnsafeMutablePointer<Float>, outStride: Int
    ) {
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, Int32(truncatingIfNeeded: rows),
            Int32(truncatingIfNeeded: columns), Int32(truncatingIfNeeded: depth), 1, a,
            Int32(truncatingIfNeeded: depth), b, Int32(truncatingIfNeeded: stride), 0, out,
            Int32(truncatingIfNeeded: outStride))
    }

    /// What the BLAS says of itself, for build_info.
    static var description: String {
        guard let text = openblas_get_config() else { return "OpenBLAS" }
        return String(cString: text)
    }
}

/// The BLAS inside the library, for a bug report.
public var linearAlgebraDescription: String { MatrixProduct.description }
