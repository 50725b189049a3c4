// Which units of a frame have a protected token: they are kept whole, and do not compete.

extension Frame {
    /// Calls `body` with the units of one head that have a protected token, in order; runs of them that touch may come apart.
    func forEachProtected(_ body: (_ units: Range<Int>) -> Void) {
        Self.forEachProtected(length, candidates: candidates, unit: unit, body)
    }

    /// The last rows that hold `others` units that compete, and all protected ones among them.
    public func tail(_ others: Int) -> Int {
        var dropped = max(0, competing - others)
        var unit = 0
        var isFound = false
        forEachProtected { units in
            if isFound { return }
            if dropped < units.lowerBound - unit {
                isFound = true
            } else {
                dropped -= units.lowerBound - unit
                unit = units.upperBound
            }
        }
        return recent + max(0, candidates.count - (unit + dropped) * self.unit)
    }

    /// How many units of a head have a protected token, and how many rows they are: of the head that has most.
    static func protected(_ length: CacheLength, sinks: Int, recent: Int, unit: Int) -> (units: Int, rows: Int) {
        var most = (units: 0, rows: 0)
        for head in 0..<length.protected.heads {
            let own = length.of(head)
            let first = min(sinks, own.longest)
            let candidates = first..<max(first, own.longest - recent)
            var (units, end) = (0, 0)
            forEachProtected(own, candidates: candidates, unit: unit) {
                units += $0.count
                end = $0.upperBound
            }
            // The last unit may be short.
            let rows = units * unit - max(0, end * unit - candidates.count)
            most = (max(most.units, units), max(most.rows, rows))
        }
        return most
    }

    private static func forEachProtected(
        _ length: CacheLength, candidates: Range<Int>, unit: Int, _ body: (_ units: Range<Int>) -> Void
    ) {
        let protected = length.protected
        var next = 0
        for index in 0..<protected.count {
            let rows = protected.rows(index)
            let first = max(rows.lowerBound, candidates.lowerBound) - candidates.lowerBound
            let end = min(rows.upperBound, candidates.upperBound) - candidates.lowerBound
            if first >= end { continue }
            let begin = max(first / unit, next)
            next = (end - 1) / unit + 1
            if begin < next { body(begin..<next) }
        }
    }
}
