// The skinny product: a few query rows against many keys, one column of logits a key, rows in the lanes.
//
//     out[j, r] = sum_d queries[d, r] * keys[j, d]        j < columns, r < vectors * lanes, d < depth
//     maxima[r] = max(maxima[r], max_j out[j, r])
//     returned: 0 when some out[j, r] is NaN or infinite (a sum of out * 0 is then NaN), 1 otherwise
//
// queries are packed (blocks, depth, block * lanes): a block is `blockVectors` vectors of rows (the last may have fewer), rows
// beyond those that exist are 0. keys are rows of floats, `stride` floats apart, read where they are; out has `outStride`
// floats a column.
//
// The same of bfloat16 pairs, where the processor multiplies them (AVX512-BF16): every "float" of queries and keys is then two
// bfloat16 numbers, `depth` and `stride` count pairs, and the sums are multiplied by factors[r]: queries cannot be scaled
// before without losing digits. Products and sums are float32; subnormal inputs count as 0.
//
// A key's number is broadcast once and multiplied with a block of rows; six keys go together, so that a
// block's products stay in registers (AVX-512: 4 vectors x 6 keys, others: 2 x 6) and every query vector is loaded once for
// six keys. Each sum runs over d from 0 up, whatever the block: results do not depend on how rows and keys are divided.

import CSupport

/// Vectors of rows that are multiplied together.
#if SIMD_512
@inline(__always) var blockVectors: Int { 4 }
#else
@inline(__always) var blockVectors: Int { 2 }
#endif

/// a * b + c, or c and the two products of a pair of bfloat16 numbers in each lane.
@inline(__always)
private func accumulate(_ a: Lanes, _ b: Lanes, _ c: Lanes, _ pairs: Bool) -> Lanes {
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
        poison += a * zero + b * zero + c * zero + d * zero + e * zero + f * zero
    }
}

/// Two vectors of rows times element d of six keys. A key's number is used up before the next is read: six of them beside
/// the twelve sums would not fit in sixteen registers.
@inline(__always)
private func add(
    _ q0: Lanes, _ q1: Lanes, _ keys: UnsafePointer<Float>, _ stride: Int, _ pairs: Bool, _ v0: inout Six,
    _ v1: inout Six
) {
    var key = Lanes(repeating: keys[0])
    v0.a = accumulate(q0, key, v0.a, pairs)
    v1.a = accumulate(q1, key, v1.a, pairs)
    key = Lanes(repeating: keys[stride])
    v0.b = accumulate(q0, key, v0.b, pairs)
    v1.b = accumulate(q1, key, v1.b, pairs)
    key = Lanes(repeating: keys[2 &* stride])
    v0.c = accumulate(q0, key, v0.c, pairs)
    v1.c = accumulate(q1, key, v1.c, pairs)
    key = Lanes(repeating: keys[3 &* stride])
    v0.d = accumulate(q0, key, v0.d, pairs)
    v1.d = accumulate(q1, key, v1.d, pairs)
    key = Lanes(repeating: keys[4 &* stride])
    v0.e = accumulate(q0, key, v0.e, pairs)
    v1.e = accumulate(q1, key, v1.e, pairs)
    key = Lanes(repeating: keys[5 &* stride])
    v0.f = accumulate(q0, key, v0.f, pairs)
    v1.f = accumulate(q1, key, v1.f, pairs)
}

/// Where the cache line's worth of numbers that begins at `key` ends.
@inline(__always)
private func lineEnd(_ key: UnsafePointer<Float>, _ end: UnsafePointer<Float>) -> UnsafePointer<Float> {
    end - key > 16 ? key + 16 : end
}

/// A line of each of the six keys that come next is fetched while sixteen numbers of these are multiplied: all at once
/// would fill the processor's queue of misses and stop it.
@inline(__always)
private func prefetch(_ keys: UnsafePointer<Float>, _ stride: Int) {
    support_prefetch(keys)
    support_prefetch(keys + stride)
    support_prefetch(keys + 2 &* stride)
    support_prefetch(keys + 3 &* stride)
    support_prefetch(keys + 4 &* stride)
    support_prefetch(keys + 5 &* stride)
}

/// Six columns of one block of `count` vectors of rows, which stand side by side in `queries`.
@inline(__always)
private func sixColumns(
    _ queries: UnsafePointer<Float>, _ count: Int, _ keys: UnsafePointer<Float>, _ stride: Int, _ depth: Int,
    _ ahead: Int, _ pairs: Bool, _ factors: UnsafePointer<Float>?,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ maxima: UnsafeMutablePointer<Float>, _ poison: inout Lanes
) {
    let end = keys + depth
    var ahead = ahead
    #if SIMD_512
    if count == 4 {
        var v0 = Six()
        var v1 = Six()
        var v2 = Six()
        var v3 = Six()
        var q = queries
        var k = keys
        while k < end {
            let stop = lineEnd(k, end)
            if ahead > 0 { prefetch(k + ahead, stride) }
            while k < stop {
                add(load(q), load(q + laneCount), k, stride, pairs, &v0, &v1)
                add(load(q + 2 &* laneCount), load(q + 3 &* laneCount), k, stride, pairs, &v2, &v3)
                q += 4 &* laneCount
                k += 1
            }
        }
        v0.store(out, outStride, factors, maxima, &poison)
        v1.store(out + laneCount, outStride, factors.map { $0 + laneCount }, maxima + laneCount, &poison)
        v2.store(out + 2 &* laneCount, outStride, factors.map { $0 + 2 &* laneCount }, maxima + 2 &* laneCount, &poison)
        v3.store(out + 3 &* laneCount, outStride, factors.map { $0 + 3 &* laneCount }, maxima + 3 &* laneCount, &poison)
        return
    }
    #endif
    var done = 0
    while done &+ 2 <= count {
        var v0 = Six()
        var v1 = Six()
        var q = queries + done &* laneCount
        var k = keys
        while k < end {
            let stop = lineEnd(k, end)
            if ahead > 0 { prefetch(k + ahead, stride) }
            while k < stop {
                add(load(q), load(q + laneCount), k, stride, pairs, &v0, &v1)
                q += count &* laneCount
                k += 1
            }
        }
        ahead = 0
        v0.store(
            out + done &* laneCount, outStride, factors.map { $0 + done &* laneCount }, maxima + done &* laneCount,
            &poison)
        v1.store(
            out + (done &+ 1) &* laneCount, outStride, factors.map { $0 + (done &+ 1) &* laneCount },
            maxima + (done &+ 1) &* laneCount, &poison)
        done &+= 2
    }
    if done < count {
        var v0 = Six()
        var q = queries + done &* laneCount
        var k = keys
        while k < end {
            let stop = lineEnd(k, end)
            if ahead > 0 { prefetch(k + ahead, stride) }
            while k < stop {
                let row = load(q)
                v0.a = accumulate(row, Lanes(repeating: k[0]), v0.a, pairs)
                v0.b = accumulate(row, Lanes(repeating: k[stride]), v0.b, pairs)
                v0.c = accumulate(row, Lanes(repeating: k[2 &* stride]), v0.c, pairs)
                v0.d = accumulate(row, Lanes(repeating: k[3 &* stride]), v0.d, pairs)
                v0.e = accumulate(row, Lanes(repeating: k[4 &* stride]), v0.e, pairs)
                v0.f = accumulate(row, Lanes(repeating: k[5 &* stride]), v0.f, pairs)
                q += count &* laneCount
                k += 1
            }
        }
        v0.store(
            out + done &* laneCount, outStride, factors.map { $0 + done &* laneCount }, maxima + done &* laneCount,
            &poison)
    }
}

/// One column of one block.
@inline(__always)
private func oneColumn(
    _ queries: UnsafePointer<Float>, _ count: Int, _ key: UnsafePointer<Float>, _ depth: Int, _ pairs: Bool,
    _ factors: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>, _ maxima: UnsafeMutablePointer<Float>,
    _ poison: inout Lanes
) {
    var vector = 0
    while vector < count {
        var sum = Lanes(repeating: 0)
        var q = queries + vector &* laneCount
        var d = 0
        while d < depth {
            sum = accumulate(load(q), Lanes(repeating: key[d]), sum, pairs)
            q += count &* laneCount
            d &+= 1
        }
        if let factors { sum *= load(factors + vector &* laneCount) }
        store(sum, out + vector &* laneCount)
        let highest = maxima + vector &* laneCount
        store(greater(load(highest), sum), highest)
        poison += sum * Lanes(repeating: 0)
        vector &+= 1
    }
}

@inline(__always)
func logitColumns(
    _ queries: UnsafePointer<Float>, _ vectors: Int, _ keys: UnsafePointer<Float>, _ stride: Int, _ columns: Int,
    _ depth: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ maxima: UnsafeMutablePointer<Float>,
    pairs: Bool = false, factors: UnsafePointer<Float>? = nil
) -> Int32 {
    var poison = Lanes(repeating: 0)
    var j = 0
    while j < columns {
        let six = j &+ 6 <= columns
        var ahead = j &+ 12 <= columns ? 6 &* stride : 0
        var vector = 0
        while vector < vectors {
            let count = vectors &- vector < blockVectors ? vectors &- vector : blockVectors
            let block = queries + vector &* depth &* laneCount
            let target = out + (j &* outStride &+ vector &* laneCount)
            if six {
                sixColumns(
                    block, count, keys + j &* stride, stride, depth, ahead, pairs,
                    factors.map { $0 + vector &* laneCount }, target, outStride, maxima + vector &* laneCount, &poison)
                ahead = 0
            } else {
                oneColumn(
                    block, count, keys + j &* stride, depth, pairs, factors.map { $0 + vector &* laneCount }, target,
                    maxima + vector &* laneCount, &poison)
            }
            vector &+= count
        }
        j &+= six ? 6 : 1
    }
    return total(poison) == 0 ? 1 : 0
}

/// What logit_columns says of its logits, for a tile that BLAS made: maxima[r] = max(maxima[r], max_j tile[j, r]).
@inline(__always)
func columnMaxima(
    _ tile: UnsafePointer<Float>, _ columns: Int, _ vectors: Int, _ stride: Int, _ maxima: UnsafeMutablePointer<Float>
) -> Int32 {
    var poison = Lanes(repeating: 0)
    var j = 0
    while j < columns {
        var vector = 0
        while vector < vectors {
            let z = load(tile + (j &* stride &+ vector &* laneCount))
            let highest = maxima + vector &* laneCount
            store(greater(load(highest), z), highest)
            poison += z * Lanes(repeating: 0)
            vector &+= 1
        }
        j &+= 1
    }
    return total(poison) == 0 ? 1 : 0
}
