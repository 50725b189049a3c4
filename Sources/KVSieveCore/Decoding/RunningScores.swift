// Sums of all score rows over a head's slots (H2O). In double: after 100,000 rows a float no longer notices one of 1e-3.

struct RunningScores: @unchecked Sendable {
    /// The one row of the head, (width + 1).
    let place: UnsafeMutablePointer<UnsafeMutablePointer<Double>>

    var sums: UnsafeMutablePointer<Double> { place.pointee }

    /// totals[s] = sum of all rows, `newest` among them, s <= living: the last of them is the token's that comes. Once more in
    /// float.
    func total(
        _ newest: UnsafePointer<Float>, living: Int, into totals: UnsafeMutablePointer<Double>,
        rounded: UnsafeMutablePointer<Float>
    ) {
        kernels.run_row(newest, sums, Int64(living), totals, rounded)
        totals[living] = Double(newest[living])
        rounded[living] = newest[living]
    }

    /// Takes over the totals in `spare`; the token that came last of them goes to `slot`.
    func push(living: Int, slot: Int, _ spare: UnsafeMutablePointer<UnsafeMutablePointer<Double>>) {
        swap(&place.pointee, &spare.pointee)
        sums[slot] = sums[living]
    }

    func pop(_ spare: UnsafeMutablePointer<UnsafeMutablePointer<Double>>) { swap(&place.pointee, &spare.pointee) }
}
