// What every kernel promises that multiplies query rows with keys: logits near the exact ones, maxima of what it wrote.
import TestSupport
import Testing

/// A product of `rows` query rows and `columns` keys, with the exact one to compare.
protocol ColumnProduct {
    var rows: Int { get }
    var columns: Int { get }
    /// Writes (columns, rows) logits and raises (rows) maxima; 1 if all are finite.
    func run(_ out: Guarded, _ maxima: Guarded) -> Int32
    /// The largest error of a logit, as a share of the sum of its terms' sizes.
    func furthest(_ out: Guarded) -> Double
}

extension ColumnProduct {
    func expectLogits(within error: Double, _ name: Comment) {
        let out = Guarded(columns * rows)
        let maxima = Guarded([Float](repeating: -.infinity, count: rows))
        #expect(run(out, maxima) == 1, name)
        #expect(furthest(out) <= error, name)
        let highest = (0..<rows).map { r in
            (0..<columns).reduce(-Float.infinity) { max($0, out.start[$1 * rows + r]) }
        }
        #expect(maxima.values == highest, name)
        #expect(out.intact && maxima.intact, name)
    }
}
