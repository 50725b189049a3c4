// One row of logits, its tokens in the lanes.

/// The greatest of row[j], j < count; NaN when one of them is NaN or infinite. -inf for no numbers.
@inline(__always)
func rowMaximum(_ row: UnsafePointer<Float>, _ count: Int) -> Float {
    var highest = Lanes(repeating: -.infinity)
    var poison = Lanes(repeating: 0)
    var j = 0
    while j &+ laneCount <= count {
        let z = load(row + j)
        highest = greater(highest, z)
        poison += z * Lanes(repeating: 0)
        j &+= laneCount
    }
    var most = greatest(highest)
    var rest = total(poison)
    while j < count {
        if row[j] > most { most = row[j] }
        rest += row[j] * 0
        j &+= 1
    }
    return rest == 0 ? most : .nan
}

/// out[j] = exp((row[j] - maximum) * factor), j < count, 0 <= factor; returns their sum. See TileExponentials for exp.
/// A difference that overflows counts as the lowest float: times a factor of 0 it is 0, as any other.
@inline(__always)
func rowExponentials(
    _ row: UnsafePointer<Float>, _ count: Int, _ maximum: Float, _ factor: Float, _ out: UnsafeMutablePointer<Float>
) -> Float {
    let reference = Lanes(repeating: maximum)
    let factors = Lanes(repeating: factor)
    let lowest = Lanes(repeating: -.greatestFiniteMagnitude)
    var sums = Lanes(repeating: 0)
    var j = 0
    while j &+ laneCount <= count {
        let e = exponential(greater(lowest, load(row + j) - reference) * factors)
        store(e, out + j)
        sums += e
        j &+= laneCount
    }
    var rest: Float = 0
    while j < count {
        // A vector of one number: equal numbers have equal exponentials at every index.
        let e = exponential(greater(lowest, Lanes(repeating: row[j]) - reference) * factors)[0]
        out[j] = e
        rest += e
        j &+= 1
    }
    return total(sums) + rest
}
