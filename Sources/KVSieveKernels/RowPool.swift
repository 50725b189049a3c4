// One-dimensional pooling with stride 1 and "same" borders; kernel k odd, half = k / 2.
//
//     mean   target[j] = (1/k) sum_{|d| <= half} source[j + d], zero outside: divided by k at the borders too
//     max    target[j] = max_{|d| <= half} source[j + d], -inf outside
//
// source (n), target (n), no aliasing. Terms are added from the lowest position to the highest. max ignores a NaN.

@inline(__always)
func poolMean(_ source: UnsafePointer<Float>, _ count: Int, _ kernel: Int, _ target: UnsafeMutablePointer<Float>) {
    let half = kernel / 2
    let width = Float(kernel)
    var j = 0
    while j < count {
        if j >= half && j &+ half &+ laneCount <= count {
            var sum = Lanes(repeating: 0)
            var d = 0
            while d < kernel {
                sum += load(source + (j &- half &+ d))
                d &+= 1
            }
            store(sum / Lanes(repeating: width), target + j)
            j &+= laneCount
        } else {
            let first = j < half ? 0 : j &- half
            let end = j &+ half < count ? j &+ half &+ 1 : count
            var sum: Float = 0
            var t = first
            while t < end {
                sum += source[t]
                t &+= 1
            }
            target[j] = sum / width
            j &+= 1
        }
    }
}

@inline(__always)
func poolMax(_ source: UnsafePointer<Float>, _ count: Int, _ kernel: Int, _ target: UnsafeMutablePointer<Float>) {
    let half = kernel / 2
    var j = 0
    while j < count {
        if j >= half && j &+ half &+ laneCount <= count {
            var highest = Lanes(repeating: -.infinity)
            var d = 0
            while d < kernel {
                highest = greater(highest, load(source + (j &- half &+ d)))
                d &+= 1
            }
            store(highest, target + j)
            j &+= laneCount
        } else {
            let first = j < half ? 0 : j &- half
            let end = j &+ half < count ? j &+ half &+ 1 : count
            var highest = -Float.infinity
            var t = first
            while t < end {
                if source[t] > highest { highest = source[t] }
                t &+= 1
            }
            target[j] = highest
            j &+= 1
        }
    }
}
