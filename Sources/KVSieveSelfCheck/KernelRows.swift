// Kernels of one row or one tile: exponentials and logarithms, the least and the greatest, sums, pooling, which numbers are large.
import CSupport
import KVSieveCore

extension KernelCheck {
    /// tile_exponentials and weighted_columns, with room between columns.
    func tiles() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(7))
        let (columns, vectors) = (9, 3)
        let rows = vectors * lanes
        let stride = rows + 2
        let tile = try taken.floats(columns * stride, &stream)
        let weights = try taken.floats(rows, &stream)
        let maxima = try taken.floats(rows)
        let sums = try taken.floats(rows)
        let out = try taken.floats(columns, &stream)
        let logits = try taken.floats(columns * stride)
        let before = try taken.floats(columns)
        maxima.update(repeating: 2, count: rows)
        tile[3] = -.infinity
        for index in 0..<columns * stride { logits[index] = tile[index] }
        for j in 0..<columns { before[j] = out[j] }
        table.tile_exponentials(tile, Int64(columns), Int64(vectors), Int64(stride), maxima, sums)
        for row in 0..<rows {
            var sum = 0.0
            for j in 0..<columns {
                let exact = naturalExponential(Double(logits[j * stride + row]) - 2)
                try near("tile_exponentials", j * rows + row, tile[j * stride + row], exact, exact)
                sum += exact
            }
            try near("tile_exponentials", row, sums[row], sum, sum)
        }
        table.weighted_columns(tile, Int64(columns), Int64(vectors), Int64(stride), weights, out)
        for j in 0..<columns {
            var (sum, size) = (Double(before[j]), Double(before[j].magnitude))
            for row in 0..<rows {
                let product = Double(tile[j * stride + row]) * Double(weights[row])
                sum += product
                size += product.magnitude
            }
            try near("weighted_columns", j, out[j], sum, size)
        }
    }

    /// row_exponentials, row_logarithms, row_maximum, row_minimum, copy_minimum, squared_norm.
    func rows() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(8))
        let count = Self.count
        let row = try taken.floats(count, &stream)
        let out = try taken.floats(count)
        var (most, least, squares, sum) = (-Double.infinity, Double.infinity, 0.0, 0.0)
        for index in 0..<count {
            let number = Double(row[index])
            (most, least) = (max(most, number), min(least, number))
            squares += number * number
        }
        try same("row_maximum", 0, table.row_maximum(row, Int64(count)), most)
        try same("row_minimum", 0, table.row_minimum(row, Int64(count)), least)
        try same("copy_minimum", 0, table.copy_minimum(row, Int64(count), out), least)
        for index in 0..<count { try same("copy_minimum", index, out[index], Double(row[index])) }
        try near("squared_norm", 0, table.squared_norm(row, Int64(count)), squares, squares)
        let found = table.row_exponentials(row, Int64(count), 2, 1.5, out)
        for index in 0..<count {
            let exact = naturalExponential((Double(row[index]) - 2) * 1.5)
            try near("row_exponentials", index, out[index], exact, exact)
            sum += exact
        }
        try near("row_exponentials", count, found, sum, sum)
        for index in 0..<count { row[index] = row[index] * row[index] + 0.125 }
        table.row_logarithms(row, Int64(count), out)
        for index in 0..<count {
            let exact = naturalLogarithm(Double(row[index]))
            try near("row_logarithms", index, out[index], exact, max(exact.magnitude, 0.01))
        }
        row[count - 1] = .nan
        guard table.row_maximum(row, Int64(count)).isNaN else { throw nanIsLost("row_maximum") }
        guard table.row_minimum(row, Int64(count)).isNaN else { throw nanIsLost("row_minimum") }
    }

    private func nanIsLost(_ kernel: StaticString) -> KVSieveError {
        KVSieveError(.broken, "self-check: kernel \(kernel) of \(String(cString: table.name)) finds no NaN")
    }

    /// count_numbers, collect_numbers, candidate_minima.
    func numbers() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(9))
        let count = Self.count
        let row = try taken.floats(count, &stream)
        let weights = try taken.floats(count, &stream)
        let values = try taken.floats(count + 16)
        let indices = try taken.take(count + 16, of: Int32.self)
        let minima = try taken.floats(3)
        var above = 0
        for index in 0..<count where row[index] >= 0.25 { above += 1 }
        try same("count_numbers", 0, Int(table.count_numbers(row, Int64(count), 0.25)), above)
        for end in [Float.nan, 0.75] {
            let found = table.collect_numbers(row, Int64(count), 0.25, end, Int64(count + 16), values, indices)
            var (expected, next) = (0, 0)
            for index in 0..<count where row[index] >= 0.25 && !(row[index] >= end) { expected += 1 }
            try same("collect_numbers", count, Int(found), expected)
            for index in 0..<count where row[index] >= 0.25 && !(row[index] >= end) {
                try same("collect_numbers", next, Int(indices[next]), index)
                try same("collect_numbers", next, values[next], Double(row[index]))
                next += 1
            }
        }
        table.candidate_minima(row, weights, Int64(count), minima)
        for block in 0..<(count + 31) / 32 {
            var least = Float.infinity
            for index in block * 32..<min(count, block * 32 + 32) { least = min(least, row[index] * weights[index]) }
            try same("candidate_minima", block, minima[block], Double(least))
        }
    }

    /// roll_row, run_row.
    func rolling() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(10))
        let count = Self.count
        let newest = try taken.floats(count, &stream)
        let suffix = try taken.floats(count, &stream)
        let prefix = try taken.floats(count, &stream)
        let (row, totals, before) = (try taken.floats(count), try taken.floats(count), try taken.floats(count))
        let sums = try taken.take(count, of: Double.self)
        let doubles = try taken.take(count, of: Double.self)
        for index in 0..<count { before[index] = prefix[index] }
        table.roll_row(newest, suffix, Int64(count), prefix, row, nil, totals)
        for index in 0..<count {
            let sum = before[index] + newest[index]
            try same("roll_row", index, prefix[index], Double(sum))
            try same("roll_row", index, row[index], Double(newest[index]))
            try same("roll_row", index, totals[index], Double(sum + suffix[index]))
            sums[index] = Double(suffix[index]) * 1.0e-3
        }
        table.run_row(newest, sums, Int64(count), doubles, totals)
        for index in 0..<count {
            let exact = sums[index] + Double(newest[index])
            guard doubles[index] == exact else {
                return try same("run_row", index, .nan, exact)
            }
            try same("run_row", index, totals[index], Double(Float(exact)))
        }
    }

    /// weighted_rows, add_scaled.
    func sums() throws(KVSieveError) {
        var (taken, stream) = (room.all(), NumberStream(11))
        let (count, width, stride) = (6, Self.count, Self.count + 5)
        let rows = try taken.floats(count * stride, &stream)
        let weights = try taken.floats(count, &stream)
        let out = try taken.floats(width)
        let before = try taken.floats(width)
        table.weighted_rows(rows, Int64(count), Int64(stride), weights, Int64(width), out)
        for j in 0..<width {
            var (sum, size) = (0.0, 0.0)
            for row in 0..<count {
                let product = Double(rows[row * stride + j]) * Double(weights[row])
                sum += product
                size += product.magnitude
            }
            try near("weighted_rows", j, out[j], sum, size)
            before[j] = out[j]
        }
        table.add_scaled(rows, weights[0], Int64(width), out)
        for j in 0..<width {
            let product = Double(rows[j]) * Double(weights[0])
            let size = Double(before[j].magnitude) + product.magnitude
            try near("add_scaled", j, out[j], Double(before[j]) + product, size)
        }
    }

    /// pool_mean, pool_max: windows of five, and of seven, which have a loop of their own.
    func pooling() throws(KVSieveError) {
        for kernel in [5, 7] {
            var (taken, stream) = (room.all(), NumberStream(12))
            let count = Self.count
            let row = try taken.floats(count, &stream)
            let (means, maxima) = (try taken.floats(count), try taken.floats(count))
            let scratch = try taken.floats(Int(SUPPORT_POOL_BLOCK) + kernel)
            for index in 0..<count { (means[index], maxima[index]) = (row[index], row[index]) }
            table.pool_mean(means, Int64(count), Int64(kernel), scratch)
            table.pool_max(maxima, Int64(count), Int64(kernel), scratch)
            for index in 0..<count {
                var (sum, size, most) = (0.0, 0.0, -Double.infinity)
                for near in max(0, index - kernel / 2)...min(count - 1, index + kernel / 2) {
                    sum += Double(row[near])
                    size += Double(row[near].magnitude)
                    most = max(most, Double(row[near]))
                }
                try near("pool_mean", index, means[index], sum / Double(kernel), size / Double(kernel))
                try same("pool_max", index, maxima[index], most)
            }
        }
    }
}
