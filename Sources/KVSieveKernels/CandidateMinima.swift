// Who might leave, so that few slots are looked at one by one: the least score in each block of 32 slots.
//
//     minima[b] = min over the slots j of block b, from <= positions[j] < below, of totals[j] * weights[j]
//
// +infinity where no slot of a block is in these bounds. Without weights: of totals[j]. The last block may be short.

import CSupport

@inline(__always)
func candidateMinima(
    _ totals: UnsafePointer<Float>, _ weights: UnsafePointer<Float>?, _ positions: UnsafePointer<Int32>, _ count: Int,
    _ from: Int32, _ below: Int32, _ minima: UnsafeMutablePointer<Float>
) {
    let block = 32
    var out = minima
    var first = 0
    while first < count {
        let end = first &+ block < count ? first &+ block : count
        var least = Lanes(repeating: .infinity)
        var j = first
        while j &+ laneCount <= end {
            let position = UnsafeRawPointer(positions + j).loadUnaligned(as: LaneBits.self)
            let candidates = (position .>= LaneBits(repeating: from)) .& (position .< LaneBits(repeating: below))
            var score = load(totals + j)
            if let weights { score *= load(weights + j) }
            least.replace(with: score, where: candidates .& (score .< least))
            j &+= laneCount
        }
        var lowest = Float.infinity
        for lane in 0..<laneCount where least[lane] < lowest { lowest = least[lane] }
        while j < end {
            let score = weights.map { totals[j] * $0[j] } ?? totals[j]
            if positions[j] >= from && positions[j] < below && score < lowest { lowest = score }
            j &+= 1
        }
        out[0] = lowest
        out += 1
        first = end
    }
}
