// A tile of logits, rows in the lanes, becomes exponentials; each row with the tile's own maximum as reference.
//
//     tile[j, r] = exp(tile[j, r] - maxima[r]),  sums[r] = sum_j tile[j, r]       j < columns, r < vectors * lanes
//
// tile has `stride` floats a column. A logit of -inf (masked) becomes 0; a row whose maximum is -inf (all masked) becomes 0.
// Logits are not NaN. Sums are added from the first column to the last.
//
// exp: z = k ln 2 + r, |r| <= ln 2 / 2, by a polynomial of degree 6 fitted to exp with relative error 2e-9, scaled by 2^k
// through the exponent bits. Relative error at most 2e-7 where the result is normal (KernelTests); below exp(-87) it is 0.

/// Below this exp(x) is less than the smallest normal float, and becomes 0.
@inline(__always) var smallestArgument: Float { -87.0 }

/// exp lane by lane for x <= 0; -inf gives 0.
@inline(__always) func exponential(_ x: Lanes) -> Lanes {
    let inside = greater(Lanes(repeating: smallestArgument), x)
    // Adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits.
    let magic = Lanes(repeating: 12_582_912)
    let shifted = multiplyAdd(inside, Lanes(repeating: 1.442_695_04), magic)
    let k = shifted - magic
    var r = multiplyAdd(k, Lanes(repeating: -0.693_145_751_953_125), inside)
    r = multiplyAdd(k, Lanes(repeating: -1.428_606_8e-06), r)
    var p = Lanes(repeating: 0.001_384_360_6)
    p = multiplyAdd(p, r, Lanes(repeating: 0.008_374_195_5))
    p = multiplyAdd(p, r, Lanes(repeating: 0.041_668_005))
    p = multiplyAdd(p, r, Lanes(repeating: 0.166_664_3))
    p = multiplyAdd(p, r, Lanes(repeating: 0.499_999_94))
    p = multiplyAdd(p, r, Lanes(repeating: 1))
    p = multiplyAdd(p, r, Lanes(repeating: 1))
    let exponent = unsafeBitCast(shifted, to: LaneBits.self) &<< LaneBits(repeating: 23)
    let scaled = unsafeBitCast(unsafeBitCast(p, to: LaneBits.self) &+ exponent, to: Lanes.self)
    return scaled.replacing(with: Lanes(repeating: 0), where: x .< Lanes(repeating: smallestArgument))
}

@inline(__always)
func tileExponentials(
    _ tile: UnsafeMutablePointer<Float>, _ columns: Int, _ vectors: Int, _ stride: Int, _ maxima: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Float>
) {
    var vector = 0
    while vector < vectors {
        let lowest = Lanes(repeating: -.greatestFiniteMagnitude)
        let reference = greater(lowest, load(maxima + vector &* laneCount))
        var sum = Lanes(repeating: 0)
        var pointer = tile + vector &* laneCount
        var j = 0
        while j < columns {
            let e = exponential(load(pointer) - reference)
            store(e, pointer)
            sum += e
            pointer += stride
            j &+= 1
        }
        store(sum, sums + vector &* laneCount)
        vector &+= 1
    }
}
