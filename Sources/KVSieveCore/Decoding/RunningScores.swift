// Sums of all score rows over a head's slots (H2O). In double: after 100,000 rows a float no longer notices one of 1e-3.

struct RunningScores: @unchecked Sendable {
    let width: Int
    /// (width).
    let sums: UnsafeMutablePointer<Double>

    /// In floats, as all memory of a head is counted.
    static func floats(width: Int) -> Int { 2 * width }

    func clear() { sums.update(repeating: 0, count: width) }

    /// totals[s] = sum of all rows, `newest` among them, s < count; and once more in float.
    func total(
        _ newest: UnsafePointer<Float>, _ count: Int, into totals: UnsafeMutablePointer<Double>,
        rounded: UnsafeMutablePointer<Float>
    ) {
        let known = min(count, width)
        for slot in 0..<known {
            let total = sums[slot] + Double(newest[slot])
            totals[slot] = total
            rounded[slot] = Float(total)
        }
        if count > known {
            totals[known] = Double(newest[known])
            rounded[known] = newest[known]
        }
    }

    /// Takes over the totals; the token that came last of them goes to `slot`.
    func push(_ totals: UnsafePointer<Double>, living: Int, slot: Int, journal: UnsafeMutablePointer<Double>) {
        journal.update(from: sums, count: width)
        sums.update(from: totals, count: living)
        sums[slot] = totals[living]
    }

    func pop(journal: UnsafePointer<Double>) { sums.update(from: journal, count: width) }
}
