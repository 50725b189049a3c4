// One row of logits or probabilities, its tokens in the lanes.
import CSupport

/// The greatest of numbers, and not 0 in `poison` if one is NaN or infinite. Several take turns, as each waits for its own sums.
private struct Extreme {
    var highest = Lanes(repeating: -.infinity)
    var poison = Lanes(repeating: 0)

    @inline(__always)
    init() {}

    @inline(__always)
    mutating func add(_ z: Lanes) {
        highest = greater(highest, z)
        poison += z * Lanes(repeating: 0)
    }

    @inline(__always)
    mutating func add(_ other: Extreme) {
        highest = greater(highest, other.highest)
        poison += other.poison
    }
}

/// The greatest of row[j], j < count; NaN when one of them is NaN or infinite. -inf for no numbers. A long row comes from memory,
/// and is fetched 2,048 bytes ahead.
@inline(__always)
func rowMaximum(_ row: UnsafePointer<Float>, _ count: Int) -> Float {
    @inline(__always)
    func ahead(_ j: Int) -> Lanes {
        support_prefetch(row + (j &+ 512))
        return load(row + j)
    }
    var (a, b, c, d) = (Extreme(), Extreme(), Extreme(), Extreme())
    var j = 0
    while j &+ 4 &* laneCount <= count {
        a.add(ahead(j))
        b.add(ahead(j &+ laneCount))
        c.add(ahead(j &+ 2 &* laneCount))
        d.add(ahead(j &+ 3 &* laneCount))
        j &+= 4 &* laneCount
    }
    a.add(b)
    c.add(d)
    a.add(c)
    while j &+ laneCount <= count {
        a.add(load(row + j))
        j &+= laneCount
    }
    var most = greatest(a.highest)
    var rest = total(a.poison)
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

/// The least of row[j], j < count; NaN if one of them is NaN or infinite. Infinity for no numbers.
/// - Parameter out: where the numbers are copied; a row that is copied comes from memory, and is fetched 4,096 bytes ahead;
///   where it goes is fetched too.
@inline(__always)
func rowMinimum(_ row: UnsafePointer<Float>, _ count: Int, copiedTo out: UnsafeMutablePointer<Float>? = nil) -> Float {
    @inline(__always)
    func negative(_ j: Int) -> Lanes {
        let z = load(row + j)
        if let out {
            support_prefetch_early(row + (j &+ 1024))
            support_prefetch(out + (j &+ 128))
            store(z, out + j)
        }
        return Lanes(repeating: 0) - z
    }
    var (a, b) = (Extreme(), Extreme())
    var j = 0
    while j &+ 2 &* laneCount <= count {
        a.add(negative(j))
        b.add(negative(j &+ laneCount))
        j &+= 2 &* laneCount
    }
    a.add(b)
    if j &+ laneCount <= count {
        a.add(negative(j))
        j &+= laneCount
    }
    var least = -greatest(a.highest)
    var rest = total(a.poison)
    while j < count {
        if let out { out[j] = row[j] }
        if row[j] < least { least = row[j] }
        rest += row[j] * 0
        j &+= 1
    }
    return rest == 0 ? least : .nan
}

/// out[j] = ln row[j], j < count, for finite numbers that are not negative; of 0 the lowest float, whose exponential is 0.
@inline(__always)
func rowLogarithms(_ row: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
    var j = 0
    while j &+ laneCount <= count {
        store(logarithm(load(row + j)), out + j)
        j &+= laneCount
    }
    while j < count {
        out[j] = logarithm(Lanes(repeating: row[j]))[0]
        j &+= 1
    }
}

/// ln lane by lane, for 0 <= x < infinity. x = m 2^k with m in 2/3 ..< 4/3; ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| <= 1/5,
/// whose series is cut behind s^11: relative error of ln m below 1e-9.
@inline(__always) func logarithm(_ x: Lanes) -> Lanes {
    // Numbers below the smallest normal one are read as if they were 2^32 times as large.
    let small = x .< Lanes(repeating: .leastNormalMagnitude)
    let bits = unsafeBitCast(
        x.replacing(with: x * Lanes(repeating: 4_294_967_296), where: small), to: LaneBits.self)
    let twoThirds = LaneBits(repeating: 0x3f2a_aaab)
    let k = (bits &- twoThirds) &>> LaneBits(repeating: 23)
    let m = unsafeBitCast(bits &- (k &<< LaneBits(repeating: 23)), to: Lanes.self)
    let one = Lanes(repeating: 1)
    let s = (m - one) / (m + one)
    let square = s * s
    var p = Lanes(repeating: 2.0 / 11)
    p = multiplyAdd(p, square, Lanes(repeating: 2.0 / 9))
    p = multiplyAdd(p, square, Lanes(repeating: 2.0 / 7))
    p = multiplyAdd(p, square, Lanes(repeating: 2.0 / 5))
    p = multiplyAdd(p, square, Lanes(repeating: 2.0 / 3))
    p = multiplyAdd(p, square, Lanes(repeating: 2))
    // k in the low bits of 1.5 * 2^23 is k more than that number.
    let magic = LaneBits(repeating: 0x4b40_0000)
    let whole = unsafeBitCast(k &+ magic, to: Lanes.self) - Lanes(repeating: 12_582_912)
    let power = whole - Lanes(repeating: 0).replacing(with: Lanes(repeating: 32), where: small)
    let found = multiplyAdd(power, Lanes(repeating: 0.693_147_180_56), p * s)
    return found.replacing(with: Lanes(repeating: -.greatestFiniteMagnitude), where: x .== Lanes(repeating: 0))
}
