// A strided view (heads, tokens, dim) of the caller's memory, proved to be readable as what it says: sizes in bounds, no
// product overflows, rows aligned and not over each other. Strides are in bytes; a row is contiguous. Tokens are one stride
// apart, or in the blocks of a table.

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
    /// Where tokens are in blocks: `base` is where block 0 begins.
    let table: BlockTable?
    /// Of the table's tokens, the first of this view.
    private let firstToken: Int

    public var rowBytes: Int { type.rowBytes(dim) }

    /// bfloat16 whose rows are runs of aligned 4-byte words, two numbers each.
    var holdsPairs: Bool {
        type == .bfloat16 && dim % 2 == 0 && UInt(bitPattern: base) % 4 == 0 && headStride % 4 == 0
            && tokenStride % 4 == 0 && (table?.stride ?? 0) % 4 == 0
    }

    @inline(__always)
    public func row(_ head: Int, _ token: Int) -> UnsafeMutableRawPointer {
        guard let table else { return base + (head &* headStride &+ token &* tokenStride) }
        return base + (head &* headStride &+ table.offset(firstToken &+ token, tokenStride))
    }

    /// How many tokens from `token` on, before `end`, are one token stride apart: all, or those of a block.
    @inline(__always)
    func run(from token: Int, to end: Int) -> Int {
        guard let table else { return end &- token }
        return table.run(firstToken &+ token, end &- token)
    }

    /// The first byte that a row has.
    var first: UnsafeMutableRawPointer { base + (table.map { $0.lowest * $0.stride } ?? 0) }

    /// Some of the tokens, in the same memory.
    func tokens(_ range: Range<Int>) -> TensorView { TensorView(self, range) }

    private init(_ whole: TensorView, _ range: Range<Int>) {
        name = whole.name
        heads = whole.heads
        tokens = range.count
        dim = whole.dim
        headStride = whole.headStride
        tokenStride = whole.tokenStride
        type = whole.type
        table = whole.table
        base = whole.table == nil ? whole.base + range.lowerBound * whole.tokenStride : whole.base
        firstToken = whole.table == nil ? 0 : whole.firstToken + range.lowerBound
        extent = whole.table == nil ? whole.extent - (whole.tokens - range.count) * whole.tokenStride : whole.extent
    }

    /// - Parameter pages: nil if tokens are one stride apart.
    public init(
        _ name: StaticString, base: UnsafeMutableRawPointer, heads: Int, tokens: Int, dim: Int, headStride: Int,
        tokenStride: Int, type: ElementType, mostDim: Int = ModelShape.mostDim, pages: PagedTokens? = nil
    ) throws(KVSieveError) {
        try Self.checkSize(name, "heads", heads, ModelShape.mostHeads)
        try Self.checkSize(name, "tokens", tokens, ModelShape.mostTokens)
        try Self.checkSize(name, "dim", dim, mostDim)
        guard dim % type.elements == 0 else {
            throw KVSieveError(
                .shape,
                "\(name).dim is \(dim); expected a multiple of \(type.elements), the numbers of a \(type.name) block")
        }
        let row = type.rowBytes(dim)
        let table = try pages.map { (pages) throws(KVSieveError) in try BlockTable(name, pages, tensorTokens: tokens) }
        let inBlock = min(tokens, table?.tokens ?? tokens)
        let headStep = try Self.checkStride(name, "head_stride", headStride, row, type, along: heads)
        let tokenStep = try Self.checkStride(name, "token_stride", tokenStride, row, type, along: inBlock)
        if let table { _ = try Self.checkStride(name, "block_stride", table.stride, row, type, along: .max) }
        guard UInt(bitPattern: base) % UInt(type.alignment) == 0 else {
            throw KVSieveError(
                .layout, "\(name).data is \(base), which is not aligned to the \(type.alignment) bytes of \(type.name)")
        }
        let highest = table?.highest ?? 0
        let (overHeads, tooFar1) = headStep.multipliedReportingOverflow(by: heads - 1)
        let (overTokens, tooFar2) = tokenStep.multipliedReportingOverflow(by: inBlock - 1)
        let (both, tooFar3) = overHeads.addingReportingOverflow(overTokens)
        let (inside, tooFar4) = both.addingReportingOverflow(row)
        let (overBlocks, tooFar5) = (table?.stride ?? 0).multipliedReportingOverflow(by: highest)
        let (reach, tooFar6) = inside.addingReportingOverflow(overBlocks)
        let (_, tooFar7) = UInt(bitPattern: base).addingReportingOverflow(UInt(bitPattern: reach))
        // 2^56 bytes: beyond any address space, and room for the sums below.
        guard !tooFar1, !tooFar2, !tooFar3, !tooFar4, !tooFar5, !tooFar6, !tooFar7, reach < 1 << 56 else {
            throw KVSieveError(
                .layout,
                "\(name) of \(heads) heads and \(tokens) tokens with head_stride \(headStride) and token_stride"
                    + " \(tokenStride)"
                    + (table.map { " in blocks up to \(highest) with block_stride \($0.stride)" } ?? "")
                    + " reaches beyond the address space")
        }
        self.name = name
        self.base = base
        self.heads = heads
        self.tokens = tokens
        self.dim = dim
        self.headStride = headStep
        self.tokenStride = tokenStep
        self.type = type
        self.table = table
        firstToken = 0
        extent = reach - (table.map { $0.lowest * $0.stride } ?? 0)
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
        guard stride >= row, stride % type.alignment == 0 else {
            throw KVSieveError(
                .layout,
                "\(name).\(field) is \(stride) bytes; expected at least a row of \(row) bytes and a multiple of"
                    + " \(type.alignment)")
        }
        return stride
    }
}
