// Where the rows of heads are in one tensor (H, n, D) if some heads have fewer than n. The rest of their n rows is padding: it is
// neither read nor written.

public enum Alignment: Int, Sendable {
    /// Heads begin together, at row 0: the padding is behind.
    case begin
    /// Heads end together, at row n - 1, and new tokens follow all of them: the padding is in front.
    case end

    /// The first row of a head that has `rows` of the `longest` head's.
    @inline(__always)
    func first(_ rows: Int, of longest: Int) -> Int { self == .end ? longest &- rows : 0 }
}
