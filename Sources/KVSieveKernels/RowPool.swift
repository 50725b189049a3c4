// One-dimensional pooling of a row in place, stride 1 and "same" borders; kernel k odd, half = k / 2.
//
//     mean   row[j] = (1/k) sum_{|d| <= half} row[j + d], zero outside: divided by k at the borders too
//     max    row[j] = max_{|d| <= half} row[j + d], -inf outside
//
// row (n), scratch (B + k). Terms are added from the lowest position to the highest. max ignores a NaN.
import CSupport

/// B, numbers that are pooled between two copies: they stay in the first-level cache.
@inline(__always) private var block: Int { SUPPORT_POOL_BLOCK }

@inline(__always)
func poolMean(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ kernel: Int, _ scratch: UnsafeMutablePointer<Float>
) {
    let share = 1 / Float(kernel)
    // Of a constant 0 the compiler would make a call of memset, which is in no kernel.
    let zero = share - share
    if kernel == 7 { return poolSeven(row, count, share, scratch) }
    inBlocks(row, count, kernel, outside: zero, scratch) { source, count, target in
        var j = 0
        while j &+ laneCount <= count {
            var sum = load(source + j)
            var d = 1
            while d < kernel {
                sum += load(source + (j &+ d))
                d &+= 1
            }
            store(sum * Lanes(repeating: share), target + j)
            j &+= laneCount
        }
        while j < count {
            var sum = source[j]
            var d = 1
            while d < kernel {
                sum += source[j &+ d]
                d &+= 1
            }
            target[j] = sum * share
            j &+= 1
        }
    }
}

@inline(__always)
func poolMax(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ kernel: Int, _ scratch: UnsafeMutablePointer<Float>
) {
    inBlocks(row, count, kernel, outside: -.infinity, scratch) { source, count, target in
        var j = 0
        while j &+ laneCount <= count {
            var highest = Lanes(repeating: -.infinity)
            var d = 0
            while d < kernel {
                highest = greater(highest, load(source + (j &+ d)))
                d &+= 1
            }
            store(highest, target + j)
            j &+= laneCount
        }
        while j < count {
            var highest = -Float.infinity
            var d = 0
            while d < kernel {
                if source[j &+ d] > highest { highest = source[j &+ d] }
                d &+= 1
            }
            target[j] = highest
            j &+= 1
        }
    }
}

/// Calls `pool` with `count` numbers of the row after another. Its source[j ..< j + k] is what target[j] is made of.
@inline(__always)
private func inBlocks(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ kernel: Int, outside: Float,
    _ scratch: UnsafeMutablePointer<Float>,
    _ pool: (_ source: UnsafePointer<Float>, _ count: Int, _ target: UnsafeMutablePointer<Float>) -> Void
) {
    let half = kernel / 2
    fill(scratch, half, outside)
    var first = 0
    while first < count {
        let rest = count &- first
        let own = rest < block ? rest : block
        let inside = rest < own &+ half ? rest : own &+ half
        copy(row + first, inside, scratch + half)
        fill(scratch + (half &+ inside), own &+ half &- inside, outside)
        pool(scratch, own, row + first)
        // What the next block has before it, as it was. A shorter block than `half` is the last.
        copy(scratch + own, half, scratch)
        first &+= own
    }
}

/// From the lowest position to the highest: the target may lie before what is copied.
@inline(__always)
private func copy(_ source: UnsafePointer<Float>, _ count: Int, _ target: UnsafeMutablePointer<Float>) {
    var j = 0
    while j &+ laneCount <= count {
        store(load(source + j), target + j)
        j &+= laneCount
    }
    while j < count {
        target[j] = source[j]
        j &+= 1
    }
}

@inline(__always)
private func fill(_ target: UnsafeMutablePointer<Float>, _ count: Int, _ number: Float) {
    var j = 0
    while j < count {
        target[j] = number
        j &+= 1
    }
}
