// Which tokens are kept for certain, and in what units the rest competes.
//
//     positions   0 ..< sinks | candidates, cut into units of `unit` tokens, the last may be short | recent ..< T

public struct Frame: Sendable, Equatable {
    public let tokens: Int
    /// First tokens, kept.
    public let sinks: Int
    /// Last tokens, kept.
    public let recent: Int
    public let unit: Int

    /// Everything is kept when sinks and recent meet.
    public init(tokens: Int, sinks: Int, recent: Int, unit: Int = 1) {
        self.tokens = tokens
        self.sinks = min(sinks, tokens)
        self.recent = min(recent, tokens - min(sinks, tokens))
        self.unit = unit
    }

    /// Keeps all of a short prompt; nothing competes.
    public static func whole(_ tokens: Int) -> Frame { Frame(tokens: tokens, sinks: tokens, recent: 0) }

    public var candidates: Range<Int> { sinks..<(tokens - recent) }
    public var units: Int { (candidates.count + unit - 1) / unit }

    /// Tokens of the unit `index`, 0 ..< units.
    func positions(ofUnit index: Int) -> Range<Int> {
        let first = sinks + index * unit
        return first..<min(first + unit, candidates.upperBound)
    }
}
