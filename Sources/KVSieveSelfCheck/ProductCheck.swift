// The product of BLAS on fixed numbers, beside the same in double: where BLAS makes the products.
import CSupport
import KVSieveCore

/// As MatrixProduct.multiply has it.
package typealias Product = (
    _ a: UnsafePointer<Float>, _ rows: Int, _ stride: Int, _ depth: Int, _ b: UnsafePointer<Float>, _ columns: Int,
    _ out: UnsafeMutablePointer<Float>, _ buffer: UnsafeMutableRawPointer
) -> Void

extension SelfCheck {
    /// a (rows, depth) with a stride, b (depth, columns): sizes that are no multiple of a vector but for the rows.
    package static func checkProduct(
        by product: Product = {
            MatrixProduct.multiply($0, rows: $1, stride: $2, depth: $3, $4, columns: $5, into: $6, buffer: $7)
        }
    ) throws(KVSieveError) {
        guard let buffer = support_reserve_addresses(MatrixProduct.bufferBytes) else {
            throw KVSieveError(
                .memory, "out of memory: \(MatrixProduct.bufferBytes) bytes of address space were asked for")
        }
        defer { support_release_addresses(buffer, MatrixProduct.bufferBytes) }
        let room = try Room(bytes: 1 << 17)
        defer { room.free() }
        var (taken, stream) = (room.all(), NumberStream(6))
        let (rows, stride, depth, columns) = (MatrixProduct.wholeRows, 86, 83, 20)
        let a = try taken.floats(rows * stride, &stream)
        let b = try taken.floats(depth * columns, &stream)
        let out = try taken.floats(rows * columns)
        product(a, rows, stride, depth, b, columns, out, buffer)
        for row in 0..<rows {
            for column in 0..<columns {
                let (sum, size) = KernelCheck.sum(depth) { d in
                    Double(a[row * stride + d]) * Double(b[d * columns + column])
                }
                let found = out[row * columns + column]
                guard (Double(found) - sum).magnitude <= 1e-5 * size else {
                    throw KVSieveError(
                        .broken,
                        "self-check: product of BLAS: number \(row * columns + column) is \(found); expected \(sum)")
                }
            }
        }
    }
}
