// WindowKV's score of a window of tokens: the mean of its columns, or the mean of the largest of them, for each query head;
// then the mean over all Hq query heads. One ranking for the whole layer.

public enum WindowStatistic: Sendable {
    /// Mean of all tokens of the window.
    case mean
    /// Mean of the largest `count` tokens (all, if the window is shorter).
    case largest(Int)
}

extension HeadColumns {
    /// partial[head, w] = sum over this key/value head's query heads of the statistic of window w.
    public func addWindows(_ frame: Frame, _ statistic: WindowStatistic, into partial: LayerScores) {
        let frame = frame.of(head)
        let out = partial.row(head)
        for window in 0..<frame.units {
            let positions = frame.positions(ofUnit: window)
            var sum: Float = 0
            for row in 0..<sumRows {
                let columns = sums + row * tokens + positions.lowerBound
                switch statistic {
                case .mean: sum += Self.sum(columns, positions.count) / Float(positions.count)
                case .largest(let count):
                    let taken = min(count, positions.count)
                    sum += Self.sumOfLargest(columns, positions.count, taken) / Float(taken)
                }
            }
            out[window] = sum
        }
    }

    private static func sum(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum: Float = 0
        for j in 0..<count { sum += values[j] }
        return sum
    }

    /// Moves the largest `taken` to the front, in place: windows are short, and nobody reads them again.
    private static func sumOfLargest(_ values: UnsafeMutablePointer<Float>, _ count: Int, _ taken: Int) -> Float {
        var sum: Float = 0
        for place in 0..<taken {
            var best = place
            for j in (place + 1)..<max(count, place + 1) where values[j] > values[best] { best = j }
            let value = values[best]
            values[best] = values[place]
            values[place] = value
            sum += value
        }
        return sum
    }
}

extension LayerScores {
    /// This (1, units) = sum over the rows of `partial`, in order, divided by `count`.
    public func mean(of partial: LayerScores, over count: Int) throws(KVSieveError) {
        try reserve(rows: 1, units: partial.units)
        let out = row(0)
        for unit in 0..<partial.units {
            var sum: Float = 0
            for head in 0..<partial.rows { sum += partial.row(head)[unit] }
            out[unit] = sum / Float(count)
        }
    }
}
