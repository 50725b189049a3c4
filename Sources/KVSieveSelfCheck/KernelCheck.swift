// What a table of kernels computes of fixed numbers, beside the same in double: what all checks share, and the products. Each check
// has whole vectors and a rest.
import CSupport
import KVSieveCore

struct KernelCheck {
    let table: support_kernels
    let room: Room

    /// Whole vectors of any width, and three more.
    static let count = 83
    var lanes: Int { Int(table.lanes) }

    /// - Parameter size: of the numbers that were added; a hundredth of a thousandth of it may be lost.
    func near(
        _ kernel: StaticString, _ index: Int, _ found: Float, _ exact: Double, _ size: Double
    ) throws(KVSieveError) {
        guard (Double(found) - exact).magnitude <= 1e-5 * size else {
            throw fault(kernel, index, "\(found)", "\(exact)")
        }
    }

    /// Of `count` terms: their sum, and how large they are together.
    static func sum(_ count: Int, _ term: (Int) -> Double) -> (sum: Double, size: Double) {
        var (sum, size) = (0.0, 0.0)
        for index in 0..<count {
            let one = term(index)
            sum += one
            size += one.magnitude
        }
        return (sum, size)
    }

    func same(_ kernel: StaticString, _ index: Int, _ found: Float, _ exact: Double) throws(KVSieveError) {
        guard Double(found) == exact else { throw fault(kernel, index, "\(found)", "\(exact)") }
    }

    func same(_ kernel: StaticString, _ index: Int, _ found: Int, _ exact: Int) throws(KVSieveError) {
        guard found == exact else { throw fault(kernel, index, "\(found)", "\(exact)") }
    }

    private func fault(_ kernel: StaticString, _ index: Int, _ found: String, _ expected: String) -> KVSieveError {
        KVSieveError(
            .broken,
            "self-check: kernel \(kernel) of \(String(cString: table.name)): number \(index) is \(found); expected \(expected)"
        )
    }

    // MARK: - Products

    /// Query rows as the product wants them: (blocks, depth, block * lanes), the last block being smaller.
    private struct Packed {
        let lanes: Int, block: Int, vectors: Int, depth: Int

        func place(_ row: Int, _ d: Int) -> Int {
            let first = row / lanes / block * block
            let width = min(block, vectors - first) * lanes
            return first * lanes * depth + d * width + row - first * lanes
        }
    }

    private static let (keys, depth) = (13, 19)

    /// logit_columns, keys one after another and at places.
    func columns() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(1))
        let packed = Packed(lanes: lanes, block: Int(table.block), vectors: Int(table.block) + 1, depth: Self.depth)
        let (rows, keys, depth) = (packed.vectors * lanes, Self.keys, Self.depth)
        let queries = try taken.floats(rows * depth, &stream)
        let floats = try taken.floats((keys + 12) * depth, &stream)
        let places = try taken.take(keys + 12, of: Int.self)
        let out = try taken.floats(keys * rows)
        let maxima = try taken.floats(rows)
        for j in 0..<keys + 12 { places[j] = (j * 5 % keys) * depth }
        for paged in [false, true] {
            maxima.update(repeating: -.infinity, count: rows)
            let finite = table.logit_columns(
                queries, Int64(packed.vectors), floats, Int64(depth), paged ? UnsafePointer(places) : nil, Int64(keys),
                Int64(depth), out, Int64(rows), maxima)
            try same("logit_columns", 0, Int(finite), 1)
            for row in 0..<rows {
                var most = -Float.infinity
                for j in 0..<keys {
                    let (sum, size) = Self.sum(depth) { d in
                        Double(queries[packed.place(row, d)]) * Double(floats[(paged ? places[j] : j * depth) + d])
                    }
                    try near("logit_columns", j * rows + row, out[j * rows + row], sum, size)
                    most = max(most, out[j * rows + row])
                }
                try same("logit_columns", row, maxima[row], Double(most))
            }
        }
        floats[depth - 1] = .nan
        let finite = table.logit_columns(
            queries, Int64(packed.vectors), floats, Int64(depth), nil, Int64(keys), Int64(depth), out, Int64(rows),
            maxima)
        try same("logit_columns", 1, Int(finite), 0)
        try maximaOfColumns(out, keys, packed.vectors)
    }

    /// column_maxima, of a tile that is overwritten.
    private func maximaOfColumns(
        _ tile: UnsafeMutablePointer<Float>, _ columns: Int, _ vectors: Int
    ) throws(KVSieveError) {
        let rows = vectors * lanes
        var (taken, stream) = (room.all(), NumberStream(2))
        let tile = try taken.floats(columns * rows, &stream)
        let maxima = try taken.floats(rows)
        maxima.update(repeating: -.infinity, count: rows)
        let finite = table.column_maxima(tile, Int64(columns), Int64(vectors), Int64(rows), maxima)
        try same("column_maxima", 0, Int(finite), 1)
        for row in 0..<rows {
            var most = -Double.infinity
            for j in 0..<columns { most = max(most, Double(tile[j * rows + row])) }
            try same("column_maxima", row, maxima[row], most)
        }
    }

    /// pair_columns: two bfloat16 numbers in the place of each float.
    func pairs() throws(KVSieveError) {
        guard let product = table.pair_columns else { return }
        var (taken, stream) = (room.all(), NumberStream(3))
        let packed = Packed(lanes: lanes, block: Int(table.block), vectors: Int(table.block) + 1, depth: Self.depth)
        let (rows, keys, depth) = (packed.vectors * lanes, Self.keys, Self.depth)
        let queries = try taken.floats(rows * depth)
        let floats = try taken.floats(keys * depth)
        for index in 0..<rows * depth { queries[index] = pair(&stream) }
        for index in 0..<keys * depth { floats[index] = pair(&stream) }
        let factors = try taken.floats(rows, &stream)
        let out = try taken.floats(keys * rows)
        let maxima = try taken.floats(rows)
        maxima.update(repeating: -.infinity, count: rows)
        let finite = product(
            queries, Int64(packed.vectors), floats, Int64(depth), nil, Int64(keys), Int64(depth), factors, out,
            Int64(rows),
            maxima)
        try same("pair_columns", 0, Int(finite), 1)
        for row in 0..<rows {
            var most = -Float.infinity
            for j in 0..<keys {
                let (sum, size) = Self.sum(2 * depth) { index in
                    let d = index / 2
                    let (a, b) = (halves(queries[packed.place(row, d)]), halves(floats[j * depth + d]))
                    return index % 2 == 0 ? a.low * b.low : a.high * b.high
                }
                let factor = Double(factors[row])
                try near("pair_columns", j * rows + row, out[j * rows + row], sum * factor, size * factor.magnitude)
                most = max(most, out[j * rows + row])
            }
            try same("pair_columns", row, maxima[row], Double(most))
        }
    }

    private func pair(_ stream: inout NumberStream) -> Float {
        Float(bitPattern: stream.next().bitPattern & 0xffff_0000 | stream.next().bitPattern >> 16)
    }

    private func halves(_ pair: Float) -> (low: Double, high: Double) {
        (Double(Float(bitPattern: pair.bitPattern << 16)), Double(Float(bitPattern: pair.bitPattern & 0xffff_0000)))
    }

    /// byte_columns: two blocks of 32 dimensions.
    func bytes() throws(KVSieveError) {
        guard let product = table.byte_columns else { return }
        var (taken, stream) = (room.all(), NumberStream(4))
        let (vectors, blocks, keys) = (3, 2, Self.keys)
        let rows = vectors * lanes
        let numbers = try taken.take(rows * blocks * 32, of: Int8.self)
        let packed = try taken.take(rows * blocks * 8, of: Int32.self)
        let offsets = try taken.take(rows * blocks, of: Int32.self)
        let scales = try taken.floats(rows * blocks, &stream)
        let bytes = try taken.take(keys * blocks * 32, of: UInt8.self)
        let keyScales = try taken.floats(keys * blocks, &stream)
        for index in 0..<keys * blocks * 32 { bytes[index] = UInt8(truncatingIfNeeded: stream.bits()) }
        for row in 0..<rows {
            for block in 0..<blocks {
                let place = (row / lanes * blocks + block) * lanes + row % lanes
                var sum: Int32 = 0
                for d in 0..<32 {
                    let number = Int8(truncatingIfNeeded: stream.bits())
                    numbers[(row * blocks + block) * 32 + d] = number
                    sum += Int32(number)
                    let word = ((row / lanes * blocks + block) * 8 + d / 4) * lanes + row % lanes
                    packed[word] |= Int32(bitPattern: UInt32(UInt8(bitPattern: number)) << UInt32(d % 4 * 8))
                }
                offsets[place] = -128 * sum
            }
        }
        let out = try taken.floats(keys * rows)
        let maxima = try taken.floats(rows)
        maxima.update(repeating: -.infinity, count: rows)
        var all = support_byte_rows(
            vectors: Int64(vectors), blocks: Int64(blocks), bytes: packed, offsets: offsets, scales: scales)
        let finite = product(&all, bytes, keyScales, Int64(keys), out, Int64(rows), maxima)
        try same("byte_columns", 0, Int(finite), 1)
        for row in 0..<rows {
            var most = -Float.infinity
            for j in 0..<keys {
                var (sum, size) = (0.0, 0.0)
                for block in 0..<blocks {
                    var dot = 0
                    for d in 0..<32 {
                        dot +=
                            Int(numbers[(row * blocks + block) * 32 + d])
                            * (Int(bytes[(j * blocks + block) * 32 + d]) - 128)
                    }
                    let factor =
                        Double(scales[(row / lanes * blocks + block) * lanes + row % lanes])
                        * Double(keyScales[j * blocks + block])
                    sum += Double(dot) * factor
                    size += (Double(dot) * factor).magnitude
                }
                try near("byte_columns", j * rows + row, out[j * rows + row], sum, size)
                most = max(most, out[j * rows + row])
            }
            try same("byte_columns", row, maxima[row], Double(most))
        }
    }

    /// row_dots: five rows, of which four go together.
    func rowDots() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(5))
        let (rows, keys, depth, stride) = (5, 7, Self.count, Self.count + 2)
        let queries = try taken.floats(rows * depth, &stream)
        let floats = try taken.floats(keys * stride, &stream)
        let out = try taken.floats(rows * keys)
        table.row_dots(
            queries, Int64(rows), floats, Int64(stride), Int64(keys), Int64(depth), out, Int64(keys))
        for row in 0..<rows {
            for j in 0..<keys {
                let (sum, size) = Self.sum(depth) { d in
                    Double(queries[row * depth + d]) * Double(floats[j * stride + d])
                }
                try near("row_dots", row * keys + j, out[row * keys + j], sum, size)
            }
        }
    }
}
