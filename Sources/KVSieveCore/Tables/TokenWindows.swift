// Candidates become units of several tokens: one number for each window of them.

public enum WindowStatistic: Sendable {
    /// Mean of all tokens of the window.
    case mean
    /// Mean of the largest `count` tokens (all, if the window is shorter).
    case largest(Int)
}

extension HeadTable {
    /// The statistic of each unit of the frame that the table's columns were cut to; the last window may be short.
    public func windows(_ statistic: WindowStatistic) -> HeadTable {
        guard case .candidates(let layerFrame) = columns else { return self }
        for row in 0..<rows {
            let frame = own(layerFrame, row)
            guard let first = memoryStart(row), let numbers = start(row) else { continue }
            // Window w is read from column w * unit on, and written to column w.
            for window in 0..<frame.units {
                let begin = window * frame.unit
                let count = min(frame.unit, frame.candidates.count - begin)
                switch statistic {
                case .mean: first[window] = Self.sum(numbers + begin, count) / Float(count)
                case .largest(let most):
                    let taken = min(most, count)
                    first[window] = Self.sumOfLargest(numbers + begin, count, taken) / Float(taken)
                }
            }
        }
        return with(.units(layerFrame))
    }

    private static func sum(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum: Float = 0
        for j in 0..<count { sum += values[j] }
        return sum
    }

    /// Moves the largest `taken` to the front, in place: windows are short, and are not read again.
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
