// Which rows of the cache are kept for certain, in what units the rest competes, and how many rows a head may keep. For a
// prompt a row is a position.
//
//     rows   0 ..< sinks | candidates, cut into units of `unit` tokens, the last may be short | recent ..< n

public struct Frame: Sendable, Equatable {
    public let length: CacheLength
    /// First rows, kept; of a head that has fewer, all.
    public let sinks: Int
    /// Last rows, kept.
    public let recent: Int
    public let unit: Int
    /// C: rows that a head may keep, unless the method divides the budget otherwise.
    public let budget: Int

    /// Everything is kept when sinks and recent meet.
    public init(_ length: CacheLength, sinks: Int, recent: Int, unit: Int = 1, budget: Int = .max) {
        self.length = length
        self.sinks = min(sinks, length.longest)
        self.recent = min(recent, length.longest - min(sinks, length.longest))
        self.unit = unit
        self.budget = budget
    }

    /// Keeps all of a short cache; nothing competes.
    public static func whole(_ length: CacheLength) -> Frame { Frame(length, sinks: length.longest, recent: 0) }

    /// Rows of the longest head.
    public var rows: Int { length.longest }
    public var candidates: Range<Int> { sinks..<(rows - recent) }
    public var units: Int { (candidates.count + unit - 1) / unit }
    /// Units that fit in the budget beside the protected rows.
    public var unitsInBudget: Int { max(0, budget - sinks - recent) / unit }

    /// The frame of one head: heads that have kept more have more candidates.
    func of(_ head: Int) -> Frame {
        let own = length.of(head)
        return own.longest == rows ? self : Frame(own, sinks: sinks, recent: recent, unit: unit, budget: budget)
    }

    /// Rows of the unit `index`, 0 ..< units.
    func positions(ofUnit index: Int) -> Range<Int> {
        let first = sinks + index * unit
        return first..<min(first + unit, candidates.upperBound)
    }
}
