// Sums over rows and along a row. Every element is added in one fixed order: rows from the first to the last.

/// sums[j] += sum_r weights[r] * rows[r * stride + j], j < columns.  rows (count, stride), sums (columns), no aliasing.
@inline(__always)
func weightedColumns(
    _ rows: UnsafePointer<Float>, _ count: Int, _ stride: Int, _ weights: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Float>, _ columns: Int
) {
    var j = 0
    let block = laneCount &* 4
    while j &+ block <= columns {
        var a = load(sums + j)
        var b = load(sums + j + laneCount)
        var c = load(sums + j + 2 &* laneCount)
        var d = load(sums + j + 3 &* laneCount)
        var row = rows + j
        var r = 0
        while r < count {
            let w = Lanes(repeating: weights[r])
            a = multiplyAdd(w, load(row), a)
            b = multiplyAdd(w, load(row + laneCount), b)
            c = multiplyAdd(w, load(row + 2 &* laneCount), c)
            d = multiplyAdd(w, load(row + 3 &* laneCount), d)
            row += stride
            r &+= 1
        }
        store(a, sums + j)
        store(b, sums + j + laneCount)
        store(c, sums + j + 2 &* laneCount)
        store(d, sums + j + 3 &* laneCount)
        j &+= block
    }
    while j &+ laneCount <= columns {
        var a = load(sums + j)
        var row = rows + j
        var r = 0
        while r < count {
            a = multiplyAdd(Lanes(repeating: weights[r]), load(row), a)
            row += stride
            r &+= 1
        }
        store(a, sums + j)
        j &+= laneCount
    }
    while j < columns {
        var a = sums[j]
        var row = rows + j
        var r = 0
        while r < count {
            #if SIMD_256 || SIMD_512 || arch(arm64)
            a = a.addingProduct(weights[r], row.pointee)
            #else
            a += weights[r] * row.pointee
            #endif
            row += stride
            r &+= 1
        }
        sums[j] = a
        j &+= 1
    }
}

/// Sum of row[d]^2, d < count. NaN and infinity come through.
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
