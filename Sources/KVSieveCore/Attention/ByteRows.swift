// Queries and keys as byte_columns multiplies them: blocks of 32 signed bytes and a scale each, as ggml's Q8_0 has them. Keys are
// so already, and are taken apart; queries are rounded. Letters: D, a multiple of 32; block = 32 dimensions.

import CSupport

/// Dimensions that have one scale.
private let block = 32

/// A part's query rows, in memory of words(D) floats a row: bytes (vectors, D/4, lanes) of four, then offsets and scales, (vectors,
/// D/32, lanes).
struct ByteRows {
    private let rows: Int
    private let blocks: Int
    private let lanes = Int(kernels.lanes)
    private let bytes: UnsafeMutablePointer<UInt32>
    private let offsets: UnsafeMutablePointer<Int32>
    private let scales: UnsafeMutablePointer<Float>

    static func words(_ dim: Int) -> Int { dim / 4 + 2 * (dim / block) }

    init(_ memory: UnsafeMutablePointer<Float>, rows: Int, dim: Int) {
        self.rows = rows
        blocks = dim / block
        let ofOffsets = memory + rows * dim / 4
        bytes = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt32.self)
        offsets = UnsafeMutableRawPointer(ofOffsets).assumingMemoryBound(to: Int32.self)
        scales = ofOffsets + rows * blocks
    }

    var packed: support_byte_rows {
        support_byte_rows(
            vectors: Int64(rows / lanes), blocks: Int64(blocks),
            bytes: UnsafeMutableRawPointer(bytes).assumingMemoryBound(to: Int32.self), offsets: offsets, scales: scales)
    }

    /// Packs row r: in each block scale = max|x| / 127 and byte = x / scale, to nearest. A block whose numbers are all below 2^-100
    /// is zeros, which moves no logit; one with NaN or infinity has NaN as its scale.
    func pack(_ numbers: UnsafePointer<Float>, row: Int) {
        for b in 0..<blocks {
            let place = (row / lanes * blocks + b) * lanes + row % lanes
            scales[place] = pack(numbers + b * block, bytes + (place - row % lanes) * 8 + row % lanes, offsets + place)
        }
    }

    private func pack(
        _ numbers: UnsafePointer<Float>, _ target: UnsafeMutablePointer<UInt32>, _ offset: UnsafeMutablePointer<Int32>
    ) -> Float {
        var (most, poison) = (Float(0), Float(0))
        for d in 0..<block {
            most = max(most, abs(numbers[d]))
            poison += numbers[d] * 0
        }
        let inverse = most < 0x1p-100 ? 0 : 127 / most
        var sum: Int32 = 0
        for word in 0..<(block / 4) {
            var bits: UInt32 = 0
            for byte in 0..<4 {
                // At 1.5 * 2^23 floats are whole numbers: the sum rounds to nearest, and its lowest bits are the byte.
                let rounded = numbers[4 &* word &+ byte] * inverse + 0x1.8p23
                let number = Int8(truncatingIfNeeded: rounded.bitPattern)
                sum &+= Int32(number)
                bits |= UInt32(UInt8(bitPattern: number)) &<< UInt32(8 &* byte)
            }
            target[word &* lanes] = bits
        }
        offset[0] = -128 &* sum
        if poison != 0 { return .nan }
        return most < 0x1p-100 ? 0 : most / 127
    }
}

/// A tile of keys, in memory of words(D) floats a key: bytes (keys, D), then scales (keys, D/32).
struct ByteKeys {
    let bytes: UnsafeMutablePointer<UInt8>
    let scales: UnsafeMutablePointer<Float>
    private let dim: Int

    static func words(_ dim: Int) -> Int { dim / 4 + dim / block }

    init(_ memory: UnsafeMutablePointer<Float>, keys: Int, dim: Int) {
        self.dim = dim
        bytes = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt8.self)
        scales = memory + keys * dim / 4
    }

    /// Rows of Q8_0 that follow each other become keys `first` and so on.
    func take(_ source: UnsafeRawPointer, rows: Int, at first: Int) {
        kernels.split_q8_0(
            source.assumingMemoryBound(to: UInt8.self), bytes + first * dim, scales + first * (dim / block),
            Int64(rows * dim))
    }
}
