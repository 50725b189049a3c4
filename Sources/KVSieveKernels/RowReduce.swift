// Sums along rows and columns, each in one fixed order.

/// sums[j] += sum_r weights[r] * tile[j, r], j < columns, r < vectors * lanes; tile has `stride` floats a column.
@inline(__always)
func weightedColumns(
    _ tile: UnsafePointer<Float>, _ columns: Int, _ vectors: Int, _ stride: Int, _ weights: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Float>
) {
    var column = tile
    var j = 0
    while j < columns {
        var sum = load(column) * load(weights)
        var vector = 1
        while vector < vectors {
            sum = multiplyAdd(load(column + vector &* laneCount), load(weights + vector &* laneCount), sum)
            vector &+= 1
        }
        sums[j] += total(sum)
        column += stride
        j &+= 1
    }
}

/// sum[d] += weight * row[d], d < count. Equal numbers give equal sums at every index.
@inline(__always)
func addScaled(_ row: UnsafePointer<Float>, _ weight: Float, _ count: Int, _ sum: UnsafeMutablePointer<Float>) {
    let weights = Lanes(repeating: weight)
    var j = 0
    while j &+ laneCount <= count {
        store(multiplyAdd(load(row + j), weights, load(sum + j)), sum + j)
        j &+= laneCount
    }
    while j < count {
        sum[j] = multiplyAdd(row[j], weight, sum[j])
        j &+= 1
    }
}

/// out[j] = sum_r weights[r] * rows[r, j], r < count, j < width; rows are `stride` floats apart. Equal columns give equal sums
/// at every index.
@inline(__always)
func weightedRows(
    _ rows: UnsafePointer<Float>, _ count: Int, _ stride: Int, _ weights: UnsafePointer<Float>, _ width: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    var j = 0
    while j &+ laneCount <= width {
        var row = rows + j
        var sum = Lanes(repeating: 0)
        var r = 0
        while r < count {
            sum = multiplyAdd(load(row), Lanes(repeating: weights[r]), sum)
            row += stride
            r &+= 1
        }
        store(sum, out + j)
        j &+= laneCount
    }
    while j < width {
        var sum: Float = 0
        var r = 0
        while r < count {
            sum = multiplyAdd(rows[r &* stride &+ j], weights[r], sum)
            r &+= 1
        }
        out[j] = sum
        j &+= 1
    }
}

/// Sum of row[d]^2, d < count. NaN and infinity are not lost.
@inline(__always)
func squaredNorm(_ row: UnsafePointer<Float>, _ count: Int) -> Float {
    var sums = Lanes(repeating: 0)
    var j = 0
    while j &+ laneCount <= count {
        let v = load(row + j)
        sums = multiplyAdd(v, v, sums)
        j &+= laneCount
    }
    var rest: Float = 0
    while j < count {
        rest += row[j] * row[j]
        j &+= 1
    }
    return total(sums) + rest
}
