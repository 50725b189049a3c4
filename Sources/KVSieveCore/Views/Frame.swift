// Which rows of the cache are kept for certain, in what units the rest competes, and how many rows a head may keep. For a
// prompt a row is a position.
//
//     rows   0 ..< sinks | candidates, cut into units of `unit` tokens, the last may be short | recent ..< n
//
// Units that have a protected token are kept, too: the other units compete.

public struct Frame: Sendable, Equatable {
    public let length: CacheLength
    /// First rows, kept; of a head that has fewer, all.
    public let sinks: Int
    /// Last rows, kept.
    public let recent: Int
    public let unit: Int
    /// C: rows that a head may keep, unless the method divides the budget otherwise.
    public let budget: Int
    /// Units of the candidates that have a protected token, and their rows: of the head that has most.
    public let protectedUnits: Int
    public let protectedRows: Int

    /// Everything is kept when sinks and recent meet.
    public init(_ length: CacheLength, sinks: Int, recent: Int, unit: Int = 1, budget: Int = .max) {
        self.length = length
        self.sinks = min(sinks, length.longest)
        self.recent = min(recent, length.longest - min(sinks, length.longest))
        self.unit = unit
        self.budget = budget
        (protectedUnits, protectedRows) =
            length.protected.isEmpty
            ? (0, 0) : Self.protected(length, sinks: self.sinks, recent: self.recent, unit: unit)
    }

    /// Keeps all of a short cache; nothing competes.
    public static func whole(_ length: CacheLength) -> Frame { Frame(length, sinks: length.longest, recent: 0) }

    /// Rows of the longest head.
    public var rows: Int { length.longest }
    public var candidates: Range<Int> { sinks..<(rows - recent) }
    public var units: Int { (candidates.count + unit - 1) / unit }
    /// Units that compete, and their rows.
    public var competing: Int { units - protectedUnits }
    public var competingRows: Int { candidates.count - protectedRows }
    /// Rows that are kept whatever the scores.
    public var certain: Int { sinks + recent + protectedRows }
    /// Units that fit in the budget beside those rows.
    public var unitsInBudget: Int { max(0, budget - certain) / unit }

    /// The frame of one head: heads that have kept more have more candidates.
    func of(_ head: Int) -> Frame {
        let own = length.of(head)
        if own.longest == rows && !length.protected.isByHead { return self }
        return Frame(own, sinks: sinks, recent: recent, unit: unit, budget: budget)
    }

    /// The same frame over some of the layer's heads; what is protected is that of the head of the layer that has most.
    func of(_ part: CacheLength) -> Frame {
        Frame(
            part, sinks: sinks, recent: recent, unit: unit, budget: budget, protectedUnits: protectedUnits,
            protectedRows: protectedRows)
    }

    private init(
        _ length: CacheLength, sinks: Int, recent: Int, unit: Int, budget: Int, protectedUnits: Int, protectedRows: Int
    ) {
        self.length = length
        self.sinks = min(sinks, length.longest)
        self.recent = min(recent, length.longest - min(sinks, length.longest))
        (self.unit, self.budget) = (unit, budget)
        (self.protectedUnits, self.protectedRows) = (protectedUnits, protectedRows)
    }

    /// Rows of the unit `index`, 0 ..< units.
    func positions(ofUnit index: Int) -> Range<Int> {
        let first = sinks + index * unit
        return first..<min(first + unit, candidates.upperBound)
    }
}
