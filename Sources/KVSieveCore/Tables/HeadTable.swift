// What a method computes on: a table of numbers in the plan's memory, a row for each head of a layer.
//
// A table has H rows (a key/value head each), Hq (a query head each) or 1 (all heads of the layer share it); its columns are
// the rows of the cache, the candidates of a frame, or their units. Heads that kept different numbers of rows have rows of
// different lengths. Verbs (TableVerbs.swift, TokenWindows.swift) write into the table that they are called on and return
// it; a table that is needed as it was must be read before.

public struct HeadTable: @unchecked Sendable {
    /// What a column is.
    enum Columns {
        case rows(CacheLength)
        case candidates(Frame)
        case units(Frame)
        case elements(Int)
    }

    let memory: TableMemory
    let work: Workspace
    let columns: Columns
    public let rows: Int
    var isForAllHeads: Bool { rowsOfHead == 0 }
    /// Which row of the memory is the first, and whose it is.
    private let first: (row: Int, head: Int)
    /// Rows of one key/value head; 0 where one row is for all heads.
    private let rowsOfHead: Int
    /// Numbers of the heads beside the rows: see marked(by:).
    let marks: ReadOnlyBuffer<Float>
    /// Is it in the place of the mean of its rows, to which other ranks' rows belong?
    let awaitsMean: Bool

    init(
        _ memory: TableMemory, _ work: Workspace, _ columns: Columns, rows: Int, rowsOfHead: Int = 1,
        first: (row: Int, head: Int) = (0, 0), marks: ReadOnlyBuffer<Float> = ReadOnlyBuffer(),
        awaitsMean: Bool = false
    ) {
        self.memory = memory
        self.work = work
        self.columns = columns
        self.rows = rows
        self.rowsOfHead = rowsOfHead
        self.first = first
        self.marks = marks
        self.awaitsMean = awaitsMean
    }

    /// The same rows with other columns, other memory or other marks.
    func with(
        _ columns: Columns? = nil, memory: TableMemory? = nil, marks: ReadOnlyBuffer<Float>? = nil,
        awaitsMean: Bool? = nil
    ) -> HeadTable {
        HeadTable(
            memory ?? self.memory, work, columns ?? self.columns, rows: rows, rowsOfHead: rowsOfHead, first: first,
            marks: marks ?? self.marks, awaitsMean: awaitsMean ?? self.awaitsMean)
    }

    /// The first row alone, for all heads of the layer.
    func sharedByHeads() -> HeadTable {
        HeadTable(memory, work, columns, rows: 1, rowsOfHead: 0, first: first, marks: marks)
    }

    /// The frame that the columns were cut to; nil if they were not.
    var frame: Frame? {
        switch columns {
        case .candidates(let frame), .units(let frame): return frame
        case .rows, .elements: return nil
        }
    }

    /// The frame of the head that a row belongs to.
    func own(_ frame: Frame, _ row: Int) -> Frame {
        rowsOfHead == 0 ? frame : frame.of(first.head + row / rowsOfHead)
    }

    /// Columns of a row.
    func width(_ row: Int) -> Int {
        switch columns {
        case .rows(let length): return rowsOfHead == 0 ? length.longest : length.rows(first.head + row / rowsOfHead)
        case .candidates(let frame): return own(frame, row).candidates.count
        case .units(let frame): return own(frame, row).units
        case .elements(let count): return count
        }
    }

    /// Columns of the longest row.
    var longest: Int {
        switch columns {
        case .rows(let length): return length.longest
        case .candidates(let frame): return frame.candidates.count
        case .units(let frame): return frame.units
        case .elements(let count): return count
        }
    }

    /// Where a row's memory begins.
    func memoryStart(_ row: Int) -> UnsafeMutablePointer<Float>? { memory.row(first.row + row) }

    /// The first number of a row: a candidate has the place of its row of the cache.
    func start(_ row: Int) -> UnsafeMutablePointer<Float>? {
        guard let start = memoryStart(row) else { return nil }
        if case .candidates(let frame) = columns { return start + own(frame, row).candidates.lowerBound }
        return start
    }

    func row(_ row: Int) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: start(row), count: width(row))
    }

    /// The row that ranks head `head`.
    func row(ofHead head: Int) -> UnsafeMutableBufferPointer<Float> { row(rowsOfHead == 0 ? 0 : head * rowsOfHead) }

    /// For tests: a row as an array.
    public func copy(_ index: Int) -> [Float] { Array(row(index)) }
}
