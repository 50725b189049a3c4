// Tokens that every head keeps because the caller said so, by position, and the rows of a layer's caches that have them. No
// cache ever lost one: the rows of a range follow one another. The memory is the plan's.

public struct ProtectedRows: @unchecked Sendable {
    /// What an earlier choice kept: head h has offsets[h + 1] - offsets[h] rows, then the positions from `seen` on.
    struct Kept {
        let offsets: UnsafePointer<Int64>
        let rows: Rows
        let seen: Int
        let heads: Int
        /// Keeps the memory of the pointers.
        let owner: AnyObject
    }

    /// How it is known which row a protected token is in.
    enum Rows {
        /// The positions of all rows: head h has those from offsets[h] on.
        case of(positions: UnsafePointer<Int32>)
        /// The row of the first token of each range that was protected then, (H, count), and the bounds of those ranges.
        case first(UnsafePointer<Int32>, bounds: UnsafePointer<Int64>, count: Int)
    }

    /// First position and end of each range, ascending; no two touch.
    private let bounds: UnsafePointer<Int64>?
    let count: Int
    private let owner: AnyObject?
    /// Nil for a prompt, whose rows are positions.
    private let kept: Kept?
    /// Whose rows are told; nil: those of the first head, which may not be those of the others.
    private let head: Int?

    /// None.
    init() { (bounds, count, owner, kept, head) = (nil, 0, nil, nil, nil) }

    /// - Parameter owner: keeps the memory of the bounds, two a range.
    init(_ bounds: UnsafePointer<Int64>, _ count: Int, owner: AnyObject) {
        (self.bounds, self.count, self.owner, kept, head) = (bounds, count, owner, nil, nil)
    }

    private init(_ other: ProtectedRows, kept: Kept?, head: Int?) {
        (bounds, count, owner) = (other.bounds, other.count, other.owner)
        (self.kept, self.head) = (kept, head)
    }

    var isEmpty: Bool { count == 0 }
    /// Are the rows of one head not those of another?
    var isByHead: Bool { count > 0 && kept != nil && head == nil }
    /// Heads that have rows of their own.
    var heads: Int { isByHead ? kept?.heads ?? 1 : 1 }
    /// The end of the last range.
    var end: Int { bounds.map { count > 0 ? Int($0[2 * count - 1]) : 0 } ?? 0 }

    /// Positions of the range `index`, 0 ..< count.
    func positions(_ index: Int) -> Range<Int> {
        guard let bounds else { return 0..<0 }
        return Int(bounds[2 * index])..<Int(bounds[2 * index + 1])
    }

    /// The same tokens in caches that have other rows.
    func among(_ kept: Kept?) -> ProtectedRows { isEmpty ? self : ProtectedRows(self, kept: kept, head: nil) }

    func of(_ head: Int) -> ProtectedRows { isByHead ? ProtectedRows(self, kept: kept, head: head) : self }

    /// The head's rows of the range `index`.
    func rows(_ index: Int) -> Range<Int> {
        let positions = positions(index)
        guard let kept else { return positions }
        let head = head ?? 0
        let (first, end) = (Int(kept.offsets[head]), Int(kept.offsets[head + 1]))
        guard positions.lowerBound < kept.seen else {
            let row = end - first + positions.lowerBound - kept.seen
            return row..<(row + positions.count)
        }
        let row: Int
        switch kept.rows {
        case .of(let all): row = Self.firstIndex(of: positions.lowerBound, in: all, first..<end) - first
        case .first(let rows, let bounds, let count):
            let range = (0..<count).first { positions.lowerBound < Int(bounds[2 * $0 + 1]) } ?? 0
            row = count > 0 ? Int(rows[head * count + range]) + positions.lowerBound - Int(bounds[2 * range]) : 0
        }
        return row..<(row + positions.count)
    }

    /// The first of the ascending `positions` that is not below `position`.
    static func firstIndex(
        of position: Int, in positions: UnsafePointer<Int32>, _ indices: Range<Int>
    ) -> Int {
        var (low, high) = (indices.lowerBound, indices.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if Int(positions[middle]) < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A number made of the ranges: equal lists have equal ones.
    var fingerprint: Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<count {
            for bound in [positions(index).lowerBound, positions(index).upperBound] {
                hash = (hash ^ UInt64(truncatingIfNeeded: bound)) &* 0x100_0000_01b3
            }
        }
        return Int(truncatingIfNeeded: hash)
    }

    /// The bounds of the ranges, two a range; valid as long as these rows are.
    var allBounds: UnsafePointer<Int64>? { bounds }

    /// The most rows, in this round and later ones, of the units that have a protected token from position `first` on.
    /// - Parameter aligned: units begin at multiples of `unit`; otherwise anywhere, as rows between ranges may go.
    func mostRows(from first: Int, unit: Int, aligned: Bool) -> Int {
        var units = 0
        var next = 0
        for index in 0..<count {
            let positions = positions(index)
            let begin = max(positions.lowerBound, first)
            guard begin < positions.upperBound else { continue }
            if aligned {
                let (one, end) = (max(begin / unit, next), (positions.upperBound - 1) / unit + 1)
                units += max(0, end - one)
                next = end
            } else {
                units += (positions.upperBound - begin + unit - 2) / unit + 1
            }
        }
        return units * unit
    }
}

extension ProtectedRows: Equatable {
    public static func == (one: ProtectedRows, other: ProtectedRows) -> Bool {
        one.count == other.count && one.head == other.head && one.kept?.offsets == other.kept?.offsets
            && (0..<one.count).allSatisfy { one.positions($0) == other.positions($0) }
    }
}
