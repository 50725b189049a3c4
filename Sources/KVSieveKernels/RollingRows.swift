// Adds a row of scores to the sums over the rows before it: each number of memory is read once and written once.

import CSupport

/// For sums over the last rows (see Core/Decoding/RowBlocks), j < count:
///
///     prefix[j] += newest[j];  totals[j] = prefix[j] + suffix[j];  row[j] = newest[j]
///
/// Without suffix the totals are the prefix. `weights` (count) are prefetched: they are read next.
@inline(__always)
func rollRow(
    _ newest: UnsafePointer<Float>, _ suffix: UnsafePointer<Float>?, _ count: Int,
    _ prefix: UnsafeMutablePointer<Float>, _ row: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>?,
    _ totals: UnsafeMutablePointer<Float>
) {
    var j = 0
    while j &+ laneCount <= count {
        if let weights { support_prefetch(weights + j) }
        let score = load(newest + j)
        let sum = score + load(prefix + j)
        store(sum, prefix + j)
        store(score, row + j)
        if let suffix { store(sum + load(suffix + j), totals + j) } else { store(sum, totals + j) }
        j &+= laneCount
    }
    while j < count {
        let sum = newest[j] + prefix[j]
        prefix[j] = sum
        row[j] = newest[j]
        totals[j] = suffix.map { sum + $0[j] } ?? sum
        j &+= 1
    }
}

/// For sums over all rows, in double, j < count: totals[j] = sums[j] + newest[j], and once more rounded to float.
@inline(__always)
func runRow(
    _ newest: UnsafePointer<Float>, _ sums: UnsafePointer<Double>, _ count: Int,
    _ totals: UnsafeMutablePointer<Double>, _ rounded: UnsafeMutablePointer<Float>
) {
    let half = laneCount / 2
    var j = 0
    while j &+ laneCount <= count {
        let scores = load(newest + j)
        let low = HalfOfDoubles(scores.lowHalf) + load(sums + j)
        let high = HalfOfDoubles(scores.highHalf) + load(sums + j + half)
        store(low, totals + j)
        store(high, totals + j + half)
        store(Lanes(lowHalf: HalfOfLanes(low), highHalf: HalfOfLanes(high)), rounded + j)
        j &+= laneCount
    }
    while j < count {
        let total = sums[j] + Double(newest[j])
        totals[j] = total
        rounded[j] = Float(total)
        j &+= 1
    }
}

#if SIMD_512
private typealias HalfOfDoubles = SIMD8<Double>
private typealias HalfOfLanes = SIMD8<Float>
#elseif SIMD_256
private typealias HalfOfDoubles = SIMD4<Double>
private typealias HalfOfLanes = SIMD4<Float>
#else
private typealias HalfOfDoubles = SIMD2<Double>
private typealias HalfOfLanes = SIMD2<Float>
#endif

@inline(__always) private func load(_ pointer: UnsafePointer<Double>) -> HalfOfDoubles {
    UnsafeRawPointer(pointer).loadUnaligned(as: HalfOfDoubles.self)
}

@inline(__always) private func store(_ numbers: HalfOfDoubles, _ pointer: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: numbers, as: HalfOfDoubles.self)
}
