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
        // Within one another's extent.
        if table != nil || other.table != nil { return !blocksAreApart(from: other) }
        let apart = Int(bitPattern: start &- otherStart)
        for head in 0..<heads {
            for otherHead in 0..<other.heads {
                let distance = apart + head * headStride - otherHead * other.headStride
                if tokensMeet(other, distance) { return true }
            }
        }
        return false
    }

    /// Does a row of one head of this share a byte with a row of one head of the other, whose first row is `distance` bytes before?
    private func tokensMeet(_ other: TensorView, _ distance: Int) -> Bool {
        // Is there a multiple of the other's stride that is one of its rows in t * stride + (low ... high), for a token t?
        let (low, high) = (distance - other.rowBytes + 1, distance + rowBytes - 1)
        let last = (other.tokens - 1) * other.tokenStride
        guard low <= last else { return false }
        let from = high >= 0 ? 0 : (-high + tokenStride - 1) / tokenStride
        let to = min(tokens - 1, (last - low) / tokenStride)
        // From here to there the window reaches neither below the first row nor beyond the last: any multiple is a row.
        guard from <= to else { return false }
        return Self.multiple(
            of: other.tokenStride, in: low + from * tokenStride, width: high - low, stepping: tokenStride,
            times: to - from)
    }

    /// Does one of `start`, `start + step`, ... (so many steps) have a multiple of `unit` among itself and the next `width` numbers?
    private static func multiple(of unit: Int, in start: Int, width: Int, stepping step: Int, times: Int) -> Bool {
        if width >= unit - 1 { return true }
        // After x steps: x * step modulo unit is in lowest ... lowest + width.
        let lowest = ((-start - width) % unit + unit) % unit
        if lowest + width >= unit { return true }
        guard let x = first(step % unit, modulo: unit, in: lowest, lowest + width) else { return false }
        return x <= times
    }

    /// The least x that is not below 0 with low <= x * step modulo unit <= high; nil if there is none, or if x * step is beyond all
    /// addresses. As Euclid's algorithm: the same question with the remainder and the step, until a step falls between.
    /// 0 <= low <= high < unit, 0 <= step < unit.
    private static func first(_ step: Int, modulo unit: Int, in low: Int, _ high: Int) -> Int? {
        if low == 0 { return 0 }
        if step == 0 { return nil }
        let below = (low + step - 1) / step
        if below * step <= high { return below }
        // No multiple of the step is between: x * step = y * unit + something between, and y is the least too.
        guard let y = first(unit % step, modulo: step, in: (step - high % step) % step, (step - low % step) % step)
        else { return nil }
        let (product, overflows) = unit.multipliedReportingOverflow(by: y)
        return overflows ? nil : (low + product + step - 1) / step
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
