// The least score in each block of 32 slots: only blocks that may hold the slot to free are then searched slot by slot.
//
//     minima[b] = min over the slots j of block b of totals[j] * weights[j]; those of NaN do not count
//
// +infinity where none counts. Without weights: of totals[j]. The last block may be short.

import CSupport

@inline(__always)
func candidateMinima(
    _ totals: UnsafePointer<Float>, _ weights: UnsafePointer<Float>?, _ count: Int,
    _ minima: UnsafeMutablePointer<Float>
) {
    let block = 32
    var out = minima
    var first = 0
    while first < count {
        let end = first &+ block < count ? first &+ block : count
        var least = Lanes(repeating: .infinity)
        var j = first
        while j &+ laneCount <= end {
            var score = load(totals + j)
            if let weights { score *= load(weights + j) }
            least.replace(with: score, where: score .< least)
            j &+= laneCount
        }
        var lowest = 0 - greatest(Lanes(repeating: 0) - least)
        while j < end {
            let score = weights.map { totals[j] * $0[j] } ?? totals[j]
            if score < lowest { lowest = score }
            j &+= 1
        }
        out[0] = lowest
        out += 1
        first = end
    }
}
