// How the keys of a head were rotated: rotary embedding turns pairs of numbers of a row by position * frequency. Which pairs, by
// which frequencies, and at which position a row of the cache is. Checked here; RotatedGather uses it.

public struct Rope: @unchecked Sendable {
    /// Which numbers of the rotated part are a pair.
    public enum Pairing: Int32, Sendable {
        /// d and d + dims / 2.
        case halves = 0
        /// 2d and 2d + 1.
        case neighbours = 1
    }

    /// At which position a row of the source is.
    public enum Positions: Int32, Sendable {
        /// Its token's: Selection.positions.
        case absolute = 0
        /// Its number in the cache: Selection.rows.
        case byRow = 1
    }

    let pairing: Pairing
    let positions: Positions
    let dims: Range<Int>
    /// One a pair, in the caller's memory.
    let frequencies: UnsafePointer<Float>

    var pairs: Int { dims.count / 2 }

    /// - Parameter dim: of the rows that are rotated.
    public init(
        pairing: Pairing, positions: Positions, first: Int, dims: Int, of dim: Int, frequencies: UnsafePointer<Float>
    ) throws(KVSieveError) {
        guard dims >= 2, dims % 2 == 0, dims <= dim else {
            throw KVSieveError(.shape, "rope.dims is \(dims); expected an even number, 2 ... \(dim), the dim of source")
        }
        guard first >= 0, first <= dim - dims else {
            throw KVSieveError(
                .shape, "rope.first is \(first); expected 0 ... \(dim - dims), so that \(dims) of \(dim) dims follow")
        }
        for pair in 0..<dims / 2 where !frequencies[pair].isFinite {
            throw KVSieveError(
                .nonfinite, "rope.frequencies[\(pair)] is \(frequencies[pair]); expected a finite number")
        }
        self.pairing = pairing
        self.positions = positions
        self.dims = first..<(first + dims)
        self.frequencies = frequencies
    }

    /// Of the pair's first number in a row, and from there to its second.
    func place(_ pair: Int) -> Int { dims.lowerBound &+ (pairing == .halves ? pair : 2 &* pair) }
    var apart: Int { pairing == .halves ? pairs : 1 }

    /// Cosines, then sines, of the angles by which rows are turned that move by `distance` positions.
    func angles(_ distance: Int, _ target: UnsafeMutablePointer<Double>) {
        for pair in 0..<pairs {
            let angle = Double(distance) * Double(frequencies[pair])
            target[pair] = cosine(angle)
            target[pairs &+ pair] = sine(angle)
        }
    }
}
