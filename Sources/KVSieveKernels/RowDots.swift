// A few rows against many keys, depth in the lanes: what a decoding step multiplies, where rows are too few to fill lanes.
//
//     out[r * outStride + j] = sum_d rows[r, d] * keys[j, d]        r < count, j < columns, d < depth
//
// rows are contiguous (count, depth); keys are rows of floats, `stride` floats apart, read once for every four rows. Each sum
// runs over the lanes side by side, then over the lanes, then over what is left of the depth: one fixed order.

import CSupport

@inline(__always)
func rowDots(
    _ rows: UnsafePointer<Float>, _ count: Int, _ keys: UnsafePointer<Float>, _ stride: Int, _ columns: Int,
    _ depth: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var r = 0
    while r < count {
        let four = r &+ 4 <= count
        let a = rows + r &* depth
        let target = out + r &* outStride
        var key = keys
        var j = 0
        while j < columns {
            if four {
                fourDots(a, depth, key, stride, target + j, outStride)
            } else {
                target[j] = dot(a, key, depth)
            }
            key += stride
            j &+= 1
        }
        r &+= four ? 4 : 1
    }
}

@inline(__always)
private func fourDots(
    _ rows: UnsafePointer<Float>, _ depth: Int, _ key: UnsafePointer<Float>, _ next: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var s0 = Lanes(repeating: 0)
    var s1 = Lanes(repeating: 0)
    var s2 = Lanes(repeating: 0)
    var s3 = Lanes(repeating: 0)
    let b = rows + depth
    let c = b + depth
    let d = c + depth
    var i = 0
    while i &+ laneCount <= depth {
        let k = load(key + i)
        s0 = multiplyAdd(load(rows + i), k, s0)
        s1 = multiplyAdd(load(b + i), k, s1)
        s2 = multiplyAdd(load(c + i), k, s2)
        s3 = multiplyAdd(load(d + i), k, s3)
        i &+= laneCount
    }
    var (t0, t1, t2, t3) = (total(s0), total(s1), total(s2), total(s3))
    while i < depth {
        let k = key[i]
        t0 += rows[i] * k
        t1 += b[i] * k
        t2 += c[i] * k
        t3 += d[i] * k
        i &+= 1
    }
    out[0] = t0
    out[outStride] = t1
    out[2 &* outStride] = t2
    out[3 &* outStride] = t3
}

@inline(__always)
private func dot(_ row: UnsafePointer<Float>, _ key: UnsafePointer<Float>, _ depth: Int) -> Float {
    var sum = Lanes(repeating: 0)
    var i = 0
    while i &+ laneCount <= depth {
        sum = multiplyAdd(load(row + i), load(key + i), sum)
        i &+= laneCount
    }
    var all = total(sum)
    while i < depth {
        all += row[i] * key[i]
        i &+= 1
    }
    return all
}
