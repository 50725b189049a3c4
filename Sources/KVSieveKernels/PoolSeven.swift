// The mean over seven numbers, the usual kernel, where vectors have sixteen floats: a row is read and written once, in place, and
// numbers of two neighbours move together in registers. Of sixteen floats that begin anywhere nearly all cross a line of the cache,
// and are slow to load.
//
//     row[j] = (1/7) (x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6])      x[d] = row[j + d - 3], zero outside; added in order

#if SIMD_512
/// - Parameter scratch: two vectors and six floats.
@inline(__always)
func poolSeven(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ share: Float, _ scratch: UnsafeMutablePointer<Float>
) {
    // Windows that begin before j are done, up to row[j + 2].
    var j = 0
    var known = 0
    if count >= 2 &* laneCount {
        // The first three windows begin before the row.
        let first = sum(0, 0, 0, row[0], row[1], row[2], row[3]) * share
        let second = sum(0, 0, row[0], row[1], row[2], row[3], row[4]) * share
        let third = sum(0, row[0], row[1], row[2], row[3], row[4], row[5]) * share
        var a = load(row)
        (row[0], row[1], row[2]) = (first, second, third)
        while j &+ 2 &* laneCount <= count {
            let b = load(row + (j &+ laneCount))
            var sums = a + afterOne(a, b)
            sums += afterTwo(a, b)
            sums += afterThree(a, b)
            sums += afterFour(a, b)
            sums += afterFive(a, b)
            sums += afterSix(a, b)
            store(sums * Lanes(repeating: share), row + (j &+ 3))
            a = b
            j &+= laneCount
        }
        (scratch[3], scratch[4], scratch[5]) = (a[0], a[1], a[2])
        known = 3
    }
    // What is left of the row as it was, between zeros.
    let left = count &- j
    (scratch[0], scratch[1], scratch[2]) = (0, 0, 0)
    var d = known
    while d < left {
        scratch[3 &+ d] = row[j &+ d]
        d &+= 1
    }
    (scratch[3 &+ left], scratch[4 &+ left], scratch[5 &+ left]) = (0, 0, 0)
    d = known
    while d < left {
        let x = scratch + d
        row[j &+ d] = sum(x[0], x[1], x[2], x[3], x[4], x[5], x[6]) * share
        d &+= 1
    }
}

@inline(__always)
private func sum(_ a: Float, _ b: Float, _ c: Float, _ d: Float, _ e: Float, _ f: Float, _ g: Float) -> Float {
    var sum = a + b
    sum += c
    sum += d
    sum += e
    sum += f
    return sum + g
}

/// The numbers from lane 1 of `a` on, and then those of `b`. Written out: of a loop the compiler makes no shuffle.
@inline(__always) private func afterOne(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
        a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], b[0])
}

@inline(__always) private func afterTwo(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
        a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], b[0], b[1])
}

@inline(__always) private func afterThree(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
        a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], b[0], b[1], b[2])
}

@inline(__always) private func afterFour(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
        a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], b[0], b[1], b[2], b[3])
}

@inline(__always) private func afterFive(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
        a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], b[0], b[1], b[2], b[3], b[4])
}

@inline(__always) private func afterSix(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
        a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], b[0], b[1], b[2], b[3], b[4], b[5])
}
#endif
