// One row of logits of a tile becomes exp(z - max); the tile's maximum and sum go out, so that tiles can be joined later.
//
//     in     row (n) logits, n >= 0
//     out    row (n) exp(z_j - m), m = max z_j, sum of them; n = 0 gives m = -inf, sum 0
//     0 is returned, and the row is left unspecified, when a logit is NaN or infinite; 1 otherwise.
//
// exp: z = k ln 2 + r, |r| <= ln 2 / 2, by a polynomial of degree 6 fitted to exp with relative error 2e-9, scaled by 2^k
// through the exponent bits. Relative error at most 2e-7 where the result is normal (KernelTests); below exp(-87) it is 0.

/// Below this exp(x) is less than the smallest normal float, and becomes 0.
@inline(__always) var smallestArgument: Float { -87.0 }

/// exp lane by lane for -inf < x <= 0.
@inline(__always) func exponential(_ x: Lanes) -> Lanes {
    let inside = greater(Lanes(repeating: smallestArgument), x)
    // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
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
func rowExponentials(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ maximum: UnsafeMutablePointer<Float>,
    _ sum: UnsafeMutablePointer<Float>
) -> Int32 {
    var highest = Lanes(repeating: -.infinity)
    var poison = Lanes(repeating: 0)  // stays 0 unless a logit is NaN or infinite
    var j = 0
    while j &+ laneCount <= count {
        let z = load(row + j)
        highest = greater(highest, z)
        poison += z * Lanes(repeating: 0)
        j &+= laneCount
    }
    var m = greatest(highest)
    var bad = total(poison)
    var t = j
    while t < count {
        if row[t] > m { m = row[t] }
        bad += row[t] * 0
        t &+= 1
    }
    guard bad == 0 else { return 0 }
    maximum.pointee = m
    let reference = Lanes(repeating: m)
    var sums = Lanes(repeating: 0)
    j = 0
    while j &+ laneCount <= count {
        let e = exponential(load(row + j) - reference)
        store(e, row + j)
        sums += e
        j &+= laneCount
    }
    if j < count {
        // The rest goes through the same arithmetic, one lane at a time; lanes beyond the row add nothing.
        var z = Lanes(repeating: -.greatestFiniteMagnitude)
        t = j
        while t < count {
            z[t &- j] = row[t] - m
            t &+= 1
        }
        let e = exponential(z)
        sums += e
        t = j
        while t < count {
            row[t] = e[t &- j]
            t &+= 1
        }
    }
    sum.pointee = total(sums)
    return 1
}
