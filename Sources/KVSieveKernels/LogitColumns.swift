// The skinny product: a few query rows against many keys, one column of logits a key, rows in the lanes.
//
//     out[j, r] = sum_d queries[d, r] * keys[j, d]        j < columns, r < vectors * lanes, d < depth
//     maxima[r] = max(maxima[r], max_j out[j, r])
//     returned: 0 when some out[j, r] is NaN or infinite (a sum of out * 0 is then NaN), 1 otherwise
//
// keys are where they are: rows of floats, `stride` floats apart, or, with a table, places[j] floats after `keys` (which may be
// less than 0). A table has twelve entries more than there are columns, whose keys are prefetched at most.
//
// queries are packed (blocks, depth, block * lanes): a block is `blockVectors` vectors of rows (the last may have fewer), rows
// beyond those that exist are 0. out has `outStride` floats a column.
//
// The same of bfloat16 pairs, where the processor multiplies them (AVX512-BF16): every "float" of queries and keys is then two
// bfloat16 numbers, `depth` and `stride` count pairs, and the sums are multiplied by factors[r]: queries cannot be scaled
// before without losing digits. Products and sums are float32; subnormal inputs count as 0.
//
// A key's number is broadcast once and multiplied with a block of rows; six keys go together, so that a
// block's products stay in registers (AVX-512: 4 or 3 vectors x 6 keys, others: 2 x 6) and every query vector is loaded once for
// six keys. Each sum runs over d from 0 up, whatever the block: results do not depend on how rows and keys are divided.

/// Vectors of rows that are multiplied together.
#if SIMD_512
@inline(__always) var blockVectors: Int { 4 }
#else
@inline(__always) var blockVectors: Int { 2 }
#endif

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
private func multiplyColumns(
    _ queries: UnsafePointer<Float>, _ vectors: Int, _ keys: UnsafePointer<Float>, _ stride: Int,
    _ places: UnsafePointer<Int>?, _ columns: Int, _ depth: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int,
    _ maxima: UnsafeMutablePointer<Float>, _ pairs: Bool, _ factors: UnsafePointer<Float>?
) -> Int32 {
    var poison = Lanes(repeating: 0)
    // Each block of rows prefetches some of the next six keys, so that no block waits for all of them.
    let share = vectors <= blockVectors ? 6 : vectors <= 2 &* blockVectors ? 3 : vectors <= 5 &* blockVectors ? 2 : 1
    var j = 0
    while j < columns {
        var asked = 0
        let isSix = j &+ 6 <= columns
        var vector = 0
        while vector < vectors {
            let count = vectors &- vector < blockVectors ? vectors &- vector : blockVectors
            let block = queries + vector &* depth &* laneCount
            let target = out + (j &* outStride &+ vector &* laneCount)
            if isSix {
                let first = asked
                asked = first &+ share < 6 ? first &+ share : 6
                sixColumns(
                    block, count, keys, stride, places, j, asks: first, before: asked, depth, pairs,
                    factors.map { $0 + vector &* laneCount }, target, outStride, maxima + vector &* laneCount, &poison)
            } else {
                oneColumn(
                    block, count, keyColumn(keys, stride, places, j), depth, pairs,
                    factors.map { $0 + vector &* laneCount }, target,
                    maxima + vector &* laneCount, &poison)
            }
            vector &+= count
        }
        j &+= isSix ? 6 : 1
    }
    return total(poison) == 0 ? 1 : 0
}

/// - Parameter places: nil if keys are `stride` floats apart.
@inline(__always)
func logitColumns(
    _ queries: UnsafePointer<Float>, _ vectors: Int, _ keys: UnsafePointer<Float>, _ stride: Int,
    _ places: UnsafePointer<Int>?, _ columns: Int, _ depth: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int,
    _ maxima: UnsafeMutablePointer<Float>, pairs: Bool = false, factors: UnsafePointer<Float>? = nil
) -> Int32 {
    // Each is compiled by itself.
    guard let places else {
        return multiplyColumns(
            queries, vectors, keys, stride, nil, columns, depth, out, outStride, maxima, pairs, factors)
    }
    return multiplyColumns(
        queries, vectors, keys, stride, places, columns, depth, out, outStride, maxima, pairs, factors)
}

/// What logit_columns says of its logits, for a tile that BLAS made, or of which some were masked: maxima[r] = max(maxima[r], max_j tile[j, r]).
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
