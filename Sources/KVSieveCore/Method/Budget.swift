// C, the rows that a head may keep: a number of tokens, or a share of the tokens seen.

public struct Budget: Sendable {
    private let tokens: Int
    private let ratio: Double
    private let share: DecimalShare
    /// Is C a share of the tokens seen?
    public let goesByRatio: Bool
    /// Tokens of the blocks that are kept or dropped whole.
    public let block: Int

    /// If the parameter whose default is 0 is set, it counts; otherwise the other.
    public init(_ settings: Settings, tokens: Parameter, ratio: Parameter, block: Parameter) {
        self.tokens = settings.int(tokens)
        self.ratio = settings[ratio]
        share = DecimalShare(self.ratio)
        self.block = settings.int(block)
        goesByRatio = settings.initial(tokens) == 0 ? self.tokens == 0 : self.ratio > 0
    }

    /// C. By ratio at least 1.
    public func of(_ length: CacheLength) -> Int { goesByRatio ? max(1, share.floor(of: length.seen)) : tokens }

    /// C while decoding, of a method that never drops `protected` rows: a prompt of no more rows was kept whole, whatever its
    /// share.
    public func whileDecoding(_ length: CacheLength, protected: Int) -> Int { max(of(length), protected) }

    /// Slots of `heads` heads together: a share of all of their tokens, or as many times the tokens.
    public func slots(_ length: CacheLength, heads: Int) -> Int {
        goesByRatio ? share.floor(of: heads * length.seen) : tokens * heads
    }

    /// The frame of a method that keeps C rows of a cache, `sinks` and `recent` ones always among them; whole if
    /// there are no more than that.
    /// Where blocks are kept whole, sinks end where a block ends, and the newest block is kept: the next token is written to it.
    /// The budget must have room for that wherever in a block the sequence ends.
    /// - Parameters:
    ///   - unit: tokens of a unit, a multiple of the block.
    ///   - multiple: a number of tokens of which the candidates have no rest; the block if it is not given.
    ///   - what: what must be kept, for the sentence: "the window of 32 tokens".
    public func frame(
        _ length: CacheLength, sinks: Int = 0, recent: Int, unit: Int = 1, multiple: Int? = nil, whole: Bool? = nil,
        what: () -> String
    ) throws(KVSieveError) -> Frame {
        let multiple = multiple ?? block
        // The newest block is kept: it has the newest token.
        let recent = multiple > 1 ? max(recent, 1) : recent
        let sinks = (sinks + multiple - 1) / multiple * multiple
        let frame = Frame(
            length, sinks: sinks, recent: length.recent(recent, multiple: multiple), unit: max(unit, block),
            budget: of(length))
        let certain = max(sinks + recent + multiple - 1, multiple > 1 ? multiple : 0)
        let aligned = frame.unit <= multiple
        func all() -> String { what() + (multiple > 1 ? " in whole blocks of \(multiple)" : "") }
        guard let budget = try holding(frame, certain: certain, sinks: sinks, aligned: aligned, what: all) else {
            return .whole(length)
        }
        if whole ?? (length.longest <= budget) { return .whole(length) }
        return budget == frame.budget
            ? frame
            : Frame(length, sinks: frame.sinks, recent: frame.recent, unit: frame.unit, budget: budget)
    }

    /// C, or a little more where a share grew into it (E8); nil if a share is of a cache that has no more rows than are kept for
    /// certain. The tokens that the caller protects are held in later rounds, too, when the recent ones are others.
    /// - Parameters:
    ///   - frame: of the budget, whatever it can hold.
    ///   - certain: rows that must be held beside the protected ones.
    ///   - sinks: how many of the first rows are among them.
    ///   - aligned: do units begin at multiples of themselves?
    public func holding(
        _ frame: Frame, certain: Int, sinks: Int, aligned: Bool, what: () -> String
    ) throws(KVSieveError) -> Int? {
        let (length, budget) = (frame.length, of(frame.length))
        let protected = protectedRows(frame, sinks: sinks, aligned: aligned)
        let least = certain + protected
        if goesByRatio {
            if length.longest <= least { return nil }
            // E8: a sequence that grew to such a share keeps what is certain alone.
            if !length.isPrompt { return max(budget, least) }
        }
        guard budget >= least else {
            let protected = length.protected.isEmpty ? "" : " and \(protected) protected tokens"
            throw refusal(length, least: least, what() + protected)
        }
        return budget
    }

    /// Rows of the caller's protected tokens that a budget must hold: in tokens, which stays as it is, those of later rounds, too.
    public func protectedRows(_ frame: Frame, sinks: Int, aligned: Bool = true) -> Int {
        goesByRatio
            ? frame.protectedRows : frame.length.protected.mostRows(from: sinks, unit: frame.unit, aligned: aligned)
    }

    /// Rows of the protected tokens after the first `sinks`, whatever the recent tokens are in later rounds.
    public func protectedRows(_ length: CacheLength, sinks: Int = 0) -> Int {
        length.protected.mostRows(from: sinks, unit: block, aligned: true)
    }

    /// An error that says what the budget cannot hold and which would; the number that it proposes is accepted.
    /// - Parameter least: tokens of a head.
    public func refusal(_ length: CacheLength, least: Int, _ what: String) -> KVSieveError {
        if !goesByRatio {
            return KVSieveError(
                .budget, "budget \(tokens) cannot hold \(what); the smallest budget is \(least)")
        }
        let seen = length.seen
        guard least <= seen else {
            return KVSieveError(
                .budget,
                "ratio \(ratio) of \(seen) tokens cannot hold \(what); a prompt of \(least) tokens or more can, with ratio 1"
            )
        }
        return KVSieveError(
            .budget,
            "ratio \(ratio) of \(seen) tokens cannot hold \(what); the smallest ratio is"
                + " \(DecimalShare.least(for: least, of: seen))")
    }
}
