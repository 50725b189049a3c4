// Which rows share bytes: those of one tensor, and those of a source and its target.

extension TensorView {
    /// Throws if two rows of this tensor share a byte. (Two tokens may be in one block, if nothing is written to them.)
    func checkRowsApart() throws(KVSieveError) {
        if let table { return try checkBlocksApart(table) }
        guard heads > 1, tokens > 1 else { return }
        if headStride >= tokens * tokenStride || tokenStride >= heads * headStride { return }
        for head in 1..<heads
        where Self.meets(head * headStride, tokenStride, rowBytes, from: 1 - tokens, to: tokens - 1) {
            throw KVSieveError(
                .layout,
                "rows of \(name) lie over each other: head_stride \(headStride) and token_stride \(tokenStride) with"
                    + " \(heads) heads, \(tokens) tokens and rows of \(rowBytes) bytes")
        }
    }

    private func checkBlocksApart(_ table: BlockTable) throws(KVSieveError) {
        guard nests(blocks: table.highest - table.lowest + 1) else {
            throw KVSieveError(
                .layout,
                "rows of \(name) lie over each other: head_stride \(headStride), token_stride \(tokenStride) and"
                    + " block_stride \(table.stride) with \(heads) heads, \(table.tokens) tokens a block and rows of"
                    + " \(rowBytes) bytes; expected each stride to reach past what is inside it")
        }
    }

    /// Do heads, tokens of a block and `blocks` blocks nest: is each stride at least what is inside it? Then rows of different
    /// heads, tokens or blocks share no byte.
    private func nests(blocks: Int) -> Bool {
        guard let table else { return false }
        let head = Axis(size: heads, stride: headStride)
        let token = Axis(size: inner, stride: tokenStride)
        let block = Axis(size: blocks, stride: table.stride)
        let (low, high) = head.stride <= token.stride ? (head, token) : (token, head)
        let (middle, outermost) = high.stride <= block.stride ? (high, block) : (block, high)
        let (innermost, between) = low.stride <= middle.stride ? (low, middle) : (middle, low)
        var span = rowBytes
        return innermost.reachesPast(&span) && between.reachesPast(&span) && outermost.reachesPast(&span)
    }

    /// Heads, tokens of a block, or blocks.
    private struct Axis {
        let size: Int
        let stride: Int

        /// Is a step at least `span` bytes? They become what all steps span.
        func reachesPast(_ span: inout Int) -> Bool {
            guard size > 1 else { return true }
            guard stride >= span else { return false }
            span += (size - 1) * stride
            return true
        }
    }

    /// Is there a t in from ... to with |distance + t * stride| < width?
    private static func meets(_ distance: Int, _ stride: Int, _ width: Int, from: Int, to: Int) -> Bool {
        // The multiple of stride nearest to -distance, from below and from above.
        let below = -distance >= 0 ? -distance / stride : -((distance + stride - 1) / stride)
        for t in [below, below + 1] where t >= from && t <= to {
            if abs(distance + t * stride) < width { return true }
        }
        return false
    }

    /// Throws if rows cannot be written one by one: two of them are in the same place because their block is in the table twice.
    func checkTarget() throws(KVSieveError) {
        guard let block = table?.repeated() else { return }
        throw KVSieveError(.layout, "\(name).blocks has block \(block) twice; expected different blocks")
    }

    /// Same rows in the same places (the other may have more or fewer tokens), and no other row there.
    func coincides(with other: TensorView) -> Bool {
        guard base == other.base, heads == other.heads, rowBytes == other.rowBytes,
            heads == 1 || headStride == other.headStride,
            inner == 1 || other.inner == 1 || tokenStride == other.tokenStride
        else { return false }
        guard let table, let others = other.table else { return table == nil && other.table == nil }
        let longer = table.count > others.count ? table : others
        return table.stride == others.stride && table.tokens == others.tokens && table.begins(as: others)
            && longer.repeated() == nil
    }

    /// Tokens that the token stride steps over.
    private var inner: Int { min(tokens, table?.tokens ?? tokens) }

    /// Does any row of this one share a byte with a row of the other?
    func overlaps(_ other: TensorView) -> Bool {
        let start = UInt(bitPattern: first)
        let otherStart = UInt(bitPattern: other.first)
        if start >= otherStart + UInt(other.extent) || otherStart >= start + UInt(extent) { return false }
        // Within one another's extent. Where the strides are the same the rows can be told apart.
        if table != nil || other.table != nil { return !blocksAreApart(from: other) }
        let steps = heads > 1 ? headStride : other.headStride
        let strides = tokens > 1 ? tokenStride : other.tokenStride
        guard rowBytes == other.rowBytes,
            (heads == 1 || other.heads == 1 || headStride == other.headStride),
            (tokens == 1 || other.tokens == 1 || tokenStride == other.tokenStride)
        else { return true }
        let apart = Int(bitPattern: start &- otherStart)
        for head in (1 - other.heads)...(heads - 1)
        where Self.meets(apart + head * steps, strides, rowBytes, from: 1 - other.tokens, to: tokens - 1) {
            return true
        }
        return false
    }

    /// Are both in blocks of the same memory, none of which is in both tables?
    private func blocksAreApart(from other: TensorView) -> Bool {
        guard let table, let others = other.table, base == other.base, table.stride == others.stride else {
            return false
        }
        if spanInBlock > table.stride || other.spanInBlock > table.stride {
            // What is in a block reaches over other blocks: between the rows of those if all strides are the same.
            guard table.tokens == others.tokens, rowBytes == other.rowBytes, heads == other.heads,
                heads == 1 || headStride == other.headStride,
                inner == 1 || other.inner == 1 || tokenStride == other.tokenStride
            else { return false }
            let blocks = max(table.highest, others.highest) - min(table.lowest, others.lowest) + 1
            guard (inner >= other.inner ? self : other).nests(blocks: blocks) else { return false }
        }
        return table.repeated(in: others) == nil
    }

    /// Bytes from the first row of a block to the end of its last.
    private var spanInBlock: Int { (heads - 1) * headStride + (inner - 1) * tokenStride + rowBytes }
}
