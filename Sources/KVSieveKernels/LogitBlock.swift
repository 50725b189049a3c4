// A block of logits, six keys against some query rows, for LogitColumns: the sums in registers, and the prefetch of later keys.

import CSupport

/// a * b + c, or c and the two products of a pair of bfloat16 numbers in each lane.
@inline(__always)
func accumulate(_ a: Lanes, _ b: Lanes, _ c: Lanes, _ pairs: Bool) -> Lanes {
    #if BFLOAT16
    if pairs { return support_dot_pairs(c, a, b) }
    #endif
    return multiplyAdd(a, b, c)
}

/// `store` under a name that Six's own method does not hide.
@inline(__always) private func put(_ lanes: Lanes, _ pointer: UnsafeMutablePointer<Float>) { store(lanes, pointer) }

/// Six sums of one vector of rows.
private struct Six {
    var a = Lanes(repeating: 0)
    var b = Lanes(repeating: 0)
    var c = Lanes(repeating: 0)
    var d = Lanes(repeating: 0)
    var e = Lanes(repeating: 0)
    var f = Lanes(repeating: 0)

    @inline(__always)
    func times(_ factor: Lanes) -> Six {
        Six(a: a * factor, b: b * factor, c: c * factor, d: d * factor, e: e * factor, f: f * factor)
    }

    /// Writes the sums, times their rows' factors where there are some.
    @inline(__always)
    func store(
        _ out: UnsafeMutablePointer<Float>, _ stride: Int, _ factors: UnsafePointer<Float>?,
        _ maxima: UnsafeMutablePointer<Float>, _ poison: inout Lanes
    ) {
        guard let factors else { return write(out, stride, maxima, &poison) }
        times(load(factors)).write(out, stride, maxima, &poison)
    }

    @inline(__always)
    private func write(
        _ out: UnsafeMutablePointer<Float>, _ stride: Int, _ maxima: UnsafeMutablePointer<Float>, _ poison: inout Lanes
    ) {
        put(a, out)
        put(b, out + stride)
        put(c, out + 2 &* stride)
        put(d, out + 3 &* stride)
        put(e, out + 4 &* stride)
        put(f, out + 5 &* stride)
        let highest = greater(greater(greater(a, b), greater(c, d)), greater(e, f))
        put(greater(load(maxima), highest), maxima)
        let zero = Lanes(repeating: 0)
        // In steps: Swift 6.0 gives up on the types of one expression.
        let abc: Lanes = a * zero + b * zero + c * zero
        let abcd: Lanes = abc + d * zero
        let abcde: Lanes = abcd + e * zero
        poison += abcde + f * zero
    }
}

/// Where six keys are, and which of the later ones are prefetched while they are multiplied with a block of rows: for sixteen numbers
/// of them a line of some of the next six (all lines at once would fill the processor's queue of misses and stop it), and a first line
/// of one of the six after those. Token-major keys are a page or more apart, and six pages looked up at once would stop the loop as
/// well: this way each page is known before its lines are prefetched. The addresses may be past the last key: a prefetch never faults.
private struct SixKeys {
    /// Floats from the first key to the five others.
    let b: Int
    let c: Int
    let d: Int
    let e: Int
    let f: Int
    /// Which of the next six are prefetched: from one to before another.
    private var firstAsked: Int
    private let lastAsked: Int
    private let stride: Int
    /// Of these and the next twelve keys; nil if keys are `stride` floats apart.
    private let places: UnsafePointer<Int>?
    private let page: UnsafePointer<Float>
    private var line = 0

    /// Column j and the five after it.
    /// - Parameter places: of all columns. A literal nil leaves nothing of it in the code.
    @inline(__always)
    init(
        _ keys: UnsafePointer<Float>, _ stride: Int, _ places: UnsafePointer<Int>?, _ j: Int, asks first: Int,
        before last: Int
    ) {
        self.stride = stride
        firstAsked = first
        lastAsked = last
        if let places {
            let own = places + j
            let first = own[0]
            b = own[1] &- first
            c = own[2] &- first
            d = own[3] &- first
            e = own[4] &- first
            f = own[5] &- first
            self.places = own
            page = keys
        } else {
            b = stride
            c = 2 &* stride
            d = 3 &* stride
            e = 4 &* stride
            f = 5 &* stride
            self.places = nil
            page = keys + (j &+ 12 &+ first) &* stride
        }
    }

    /// Prefetches for the line of the first key that begins at `key`.
    @inline(__always)
    mutating func ask(_ key: UnsafePointer<Float>) {
        var next = firstAsked
        if let places {
            let origin = key + (0 &- places[0])
            while next < lastAsked {
                support_prefetch(origin + places[6 &+ next])
                next &+= 1
            }
            if firstAsked &+ line < lastAsked { support_prefetch(origin + places[12 &+ firstAsked &+ line]) }
        } else {
            while next < lastAsked {
                support_prefetch(key + (6 &+ next) &* stride)
                next &+= 1
            }
            if firstAsked &+ line < lastAsked { support_prefetch(page + line &* stride) }
        }
        line &+= 1
    }

    /// Everything was asked for.
    @inline(__always)
    mutating func stopAsking() { firstAsked = lastAsked }
}

/// Two vectors of rows times element d of six keys. A key's number is used up before the next is read: six of them beside
/// the twelve sums would not fit in sixteen registers.
@inline(__always)
private func add(
    _ q0: Lanes, _ q1: Lanes, _ keys: UnsafePointer<Float>, _ six: SixKeys, _ pairs: Bool, _ v0: inout Six,
    _ v1: inout Six
) {
    var key = Lanes(repeating: keys[0])
    v0.a = accumulate(q0, key, v0.a, pairs)
    v1.a = accumulate(q1, key, v1.a, pairs)
    key = Lanes(repeating: keys[six.b])
    v0.b = accumulate(q0, key, v0.b, pairs)
    v1.b = accumulate(q1, key, v1.b, pairs)
    key = Lanes(repeating: keys[six.c])
    v0.c = accumulate(q0, key, v0.c, pairs)
    v1.c = accumulate(q1, key, v1.c, pairs)
    key = Lanes(repeating: keys[six.d])
    v0.d = accumulate(q0, key, v0.d, pairs)
    v1.d = accumulate(q1, key, v1.d, pairs)
    key = Lanes(repeating: keys[six.e])
    v0.e = accumulate(q0, key, v0.e, pairs)
    v1.e = accumulate(q1, key, v1.e, pairs)
    key = Lanes(repeating: keys[six.f])
    v0.f = accumulate(q0, key, v0.f, pairs)
    v1.f = accumulate(q1, key, v1.f, pairs)
}

/// One vector of rows times element d of six keys.
@inline(__always)
private func add(_ q: Lanes, _ keys: UnsafePointer<Float>, _ six: SixKeys, _ pairs: Bool, _ v: inout Six) {
    v.a = accumulate(q, Lanes(repeating: keys[0]), v.a, pairs)
    v.b = accumulate(q, Lanes(repeating: keys[six.b]), v.b, pairs)
    v.c = accumulate(q, Lanes(repeating: keys[six.c]), v.c, pairs)
    v.d = accumulate(q, Lanes(repeating: keys[six.d]), v.d, pairs)
    v.e = accumulate(q, Lanes(repeating: keys[six.e]), v.e, pairs)
    v.f = accumulate(q, Lanes(repeating: keys[six.f]), v.f, pairs)
}

/// Up to blockVectors vectors of query rows, side by side in `queries`, and the place of their logits.
private struct RowBlock {
    let queries: UnsafePointer<Float>
    let vectors: Int
    let pairs: Bool
    let factors: UnsafePointer<Float>?
    let out: UnsafeMutablePointer<Float>
    let outStride: Int
    let maxima: UnsafeMutablePointer<Float>

    /// Their products with six keys.
    @inline(__always)
    func times(_ keys: UnsafePointer<Float>, _ places: SixKeys, _ depth: Int, _ poison: inout Lanes) {
        var six = places
        #if SIMD_512
        if vectors == 4 {
            var (v0, v1, v2, v3) = (Six(), Six(), Six(), Six())
            forEachNumber(of: keys, depth, 0, &six) { q, k in
                add(load(q), load(q + laneCount), k, places, pairs, &v0, &v1)
                add(load(q + 2 &* laneCount), load(q + 3 &* laneCount), k, places, pairs, &v2, &v3)
            }
            store(v0, 0, &poison)
            store(v1, 1, &poison)
            store(v2, 2, &poison)
            return store(v3, 3, &poison)
        }
        if vectors == 3 {
            var (v0, v1, v2) = (Six(), Six(), Six())
            forEachNumber(of: keys, depth, 0, &six) { q, k in
                add(load(q), load(q + laneCount), k, places, pairs, &v0, &v1)
                add(load(q + 2 &* laneCount), k, places, pairs, &v2)
            }
            store(v0, 0, &poison)
            store(v1, 1, &poison)
            return store(v2, 2, &poison)
        }
        #endif
        var done = 0
        while done &+ 2 <= vectors {
            var (v0, v1) = (Six(), Six())
            forEachNumber(of: keys, depth, done, &six) { q, k in
                add(load(q), load(q + laneCount), k, places, pairs, &v0, &v1)
            }
            six.stopAsking()
            store(v0, done, &poison)
            store(v1, done &+ 1, &poison)
            done &+= 2
        }
        if done < vectors {
            var v0 = Six()
            forEachNumber(of: keys, depth, done, &six) { q, k in add(load(q), k, places, pairs, &v0) }
            store(v0, done, &poison)
        }
    }

    /// body(vector `first` of the rows' numbers d, number d of the first key), d < depth.
    @inline(__always)
    private func forEachNumber(
        of keys: UnsafePointer<Float>, _ depth: Int, _ first: Int, _ six: inout SixKeys,
        _ body: (_ q: UnsafePointer<Float>, _ k: UnsafePointer<Float>) -> Void
    ) {
        let end = keys + depth
        var q = queries + first &* laneCount
        var k = keys
        while k < end {
            let lineEnd = end - k > 16 ? k + 16 : end
            six.ask(k)
            while k < lineEnd {
                body(q, k)
                q += vectors &* laneCount
                k += 1
            }
        }
    }

    @inline(__always)
    private func store(_ sums: Six, _ vector: Int, _ poison: inout Lanes) {
        let row = vector &* laneCount
        sums.store(out + row, outStride, factors.map { $0 + row }, maxima + row, &poison)
    }
}

/// Column j's key.
@inline(__always)
func keyColumn(
    _ keys: UnsafePointer<Float>, _ stride: Int, _ places: UnsafePointer<Int>?, _ j: Int
) -> UnsafePointer<Float> {
    if let places { return keys + places[j] }
    return keys + j &* stride
}

/// Columns j to j + 5 of one block of `count` vectors of rows, side by side in `queries`.
/// - Parameters:
///   - first: of the next six keys those from here on are prefetched, before `last`.
@inline(__always)
func sixColumns(
    _ queries: UnsafePointer<Float>, _ count: Int, _ keys: UnsafePointer<Float>, _ stride: Int,
    _ places: UnsafePointer<Int>?, _ j: Int, asks first: Int, before last: Int, _ depth: Int, _ pairs: Bool,
    _ factors: UnsafePointer<Float>?,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ maxima: UnsafeMutablePointer<Float>, _ poison: inout Lanes
) {
    RowBlock(
        queries: queries, vectors: count, pairs: pairs, factors: factors, out: out, outStride: outStride, maxima: maxima
    ).times(
        keyColumn(keys, stride, places, j), SixKeys(keys, stride, places, j, asks: first, before: last), depth, &poison)
}
