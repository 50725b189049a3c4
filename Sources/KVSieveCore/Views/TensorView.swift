// A strided view (heads, tokens, dim) of the caller's memory, proved to be readable as what it says: sizes in bounds, no
// product overflows, rows aligned and not over each other. Strides are in bytes; a row is contiguous.

public struct TensorView: @unchecked Sendable {
    /// What the caller calls it: "keys", "target".
    public let name: StaticString
    public let base: UnsafeMutableRawPointer
    public let heads: Int
    public let tokens: Int
    public let dim: Int
    public let headStride: Int
    public let tokenStride: Int
    public let type: ElementType
    /// From the first byte of the first row to the last byte of the last.
    public let extent: Int

    public var rowBytes: Int { dim * type.size }

    /// bfloat16 whose rows are runs of aligned 4-byte words, two numbers each.
    var holdsPairs: Bool {
        type == .bfloat16 && dim % 2 == 0 && UInt(bitPattern: base) % 4 == 0 && headStride % 4 == 0
            && tokenStride % 4 == 0
    }

    @inline(__always)
    public func row(_ head: Int, _ token: Int) -> UnsafeMutableRawPointer {
        base + (head &* headStride &+ token &* tokenStride)
    }

    /// Some of the tokens, in the same memory.
    func tokens(_ range: Range<Int>) -> TensorView {
        TensorView(self, base: base + range.lowerBound * tokenStride, tokens: range.count)
    }

    private init(_ whole: TensorView, base: UnsafeMutableRawPointer, tokens: Int) {
        name = whole.name
        self.base = base
        heads = whole.heads
        self.tokens = tokens
        dim = whole.dim
        headStride = whole.headStride
        tokenStride = whole.tokenStride
        type = whole.type
        extent = whole.extent - (whole.tokens - tokens) * whole.tokenStride
    }

    public init(
        _ name: StaticString, base: UnsafeMutableRawPointer, heads: Int, tokens: Int, dim: Int, headStride: Int,
        tokenStride: Int, type: ElementType, mostDim: Int = ModelShape.mostDim
    ) throws(KVSieveError) {
        try Self.checkSize(name, "heads", heads, ModelShape.mostHeads)
        try Self.checkSize(name, "tokens", tokens, ModelShape.mostTokens)
        try Self.checkSize(name, "dim", dim, mostDim)
        let row = dim * type.size
        let headStep = try Self.checkStride(name, "head_stride", headStride, row, type, along: heads)
        let tokenStep = try Self.checkStride(name, "token_stride", tokenStride, row, type, along: tokens)
        guard UInt(bitPattern: base) % UInt(type.size) == 0 else {
            throw KVSieveError(
                .layout, "\(name).data is \(base), which is not aligned to the \(type.size) bytes of \(type.name)")
        }
        let (overHeads, tooFar1) = headStep.multipliedReportingOverflow(by: heads - 1)
        let (overTokens, tooFar2) = tokenStep.multipliedReportingOverflow(by: tokens - 1)
        let (both, tooFar3) = overHeads.addingReportingOverflow(overTokens)
        let (extent, tooFar4) = both.addingReportingOverflow(row)
        let (_, tooFar5) = UInt(bitPattern: base).addingReportingOverflow(UInt(bitPattern: extent))
        // 2^56 bytes: beyond any address space, and room for the sums below.
        guard !tooFar1, !tooFar2, !tooFar3, !tooFar4, !tooFar5, extent < 1 << 56 else {
            throw KVSieveError(
                .layout,
                "\(name) of \(heads) heads and \(tokens) tokens with head_stride \(headStride) and token_stride"
                    + " \(tokenStride) reaches beyond the address space")
        }
        self.name = name
        self.base = base
        self.heads = heads
        self.tokens = tokens
        self.dim = dim
        self.headStride = headStep
        self.tokenStride = tokenStep
        self.type = type
        self.extent = extent
        try checkRowsApart()
    }

    static func checkSize(
        _ name: StaticString, _ field: StaticString, _ value: Int, _ most: Int
    ) throws(KVSieveError) {
        guard (1...most).contains(value) else {
            throw KVSieveError(.shape, "\(name).\(field) is \(value); expected 1 ... \(most)")
        }
    }

    /// The stride to use; that of a dimension of size 1 is never used and not looked at.
    private static func checkStride(
        _ name: StaticString, _ field: StaticString, _ stride: Int, _ row: Int, _ type: ElementType, along size: Int
    ) throws(KVSieveError) -> Int {
        if size == 1 { return row }
        guard stride >= row, stride % type.size == 0 else {
            throw KVSieveError(
                .layout,
                "\(name).\(field) is \(stride) bytes; expected at least a row of \(row) bytes and a multiple of"
                    + " \(type.size)")
        }
        return stride
    }

    private func checkRowsApart() throws(KVSieveError) {
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

    /// Is there a t in from ... to with |distance + t * stride| < width?
    private static func meets(_ distance: Int, _ stride: Int, _ width: Int, from: Int, to: Int) -> Bool {
        // The multiple of stride nearest to -distance, from below and from above.
        let below = -distance >= 0 ? -distance / stride : -((distance + stride - 1) / stride)
        for t in [below, below + 1] where t >= from && t <= to {
            if abs(distance + t * stride) < width { return true }
        }
        return false
    }

    /// Same rows in the same places (the other may have more or fewer tokens).
    func coincides(with other: TensorView) -> Bool {
        base == other.base && heads == other.heads && rowBytes == other.rowBytes
            && (heads == 1 || headStride == other.headStride)
            && (tokens == 1 || other.tokens == 1 || tokenStride == other.tokenStride)
    }

    /// Does any row of this one share a byte with a row of the other?
    func overlaps(_ other: TensorView) -> Bool {
        let start = UInt(bitPattern: base)
        let otherStart = UInt(bitPattern: other.base)
        if start >= otherStart + UInt(other.extent) || otherStart >= start + UInt(extent) { return false }
        // Within one another's extent. Where the strides are the same the rows can be told apart.
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
}
