// The attention that all queries of a prompt pay to its keys, reduced to one number a key (H2O). When a sequence goes on the
// rows are those of its new tokens.
//
//     s[h, j] = (1/G) sum over the group's query heads and all rows i >= j of softmax_{j <= i}(scale * q_i . k_j)
//
// Rows are taken in blocks; a block of rows is the last window of the sequence as it was when they had come, so it is
// WindowAttention over that. Cost: T^2/2 logits a query head.

public struct AllQueryAttention {
    /// Query rows that go together: with the group's heads some vectors of rows, few tokens beyond the diagonal.
    private static let block = 64

    private let layer: LayerView

    public init(_ layer: LayerView) { self.layer = layer }

    /// The sums as work.intermediate, (H, n).
    func sums(_ work: Workspace) throws(KVSieveError) -> LayerScores {
        guard let queries = layer.queries, let keys = layer.keys else {
            throw KVSieveError(.null, "queries or keys are NULL, but layer \(layer.layer) reads them")
        }
        let sums = work.intermediate
        try sums.reserve(rows: layer.shape.heads, units: layer.length.longest)
        for head in 0..<layer.shape.heads { sums.row(head).update(repeating: 0) }
        // The longest first: buffers are reserved once, and threads that share its heads share those of all.
        var sideBySide = true
        var end = layer.length.new
        while end > 0 {
            let first = max(0, end - Self.block)
            let later = layer.length.new - end
            let part = LayerView(
                layer, before: later, queries: queries.tokens(first..<end),
                keys: keys.tokens(0..<(layer.length.longest - later)))
            sideBySide = try WindowAttention(part).forEachHead(work, sideBySide: sideBySide) { columns in
                columns.divide(by: columns.group)
                columns.add(to: sums)
            }
            end = first
        }
        work.statistics = .columns
        return sums
    }

    /// scores[h] = the candidates' sums.
    public func scores(_ frame: Frame, _ work: Workspace, into scores: LayerScores) throws(KVSieveError) {
        try scores.reserve(rows: layer.shape.heads, units: frame.units)
        let sums = try sums(work)
        for head in 0..<layer.shape.heads {
            guard let source = sums.row(head).baseAddress, let out = scores.row(head).baseAddress else { continue }
            let candidates = frame.of(head).candidates
            out.update(from: source + candidates.lowerBound, count: candidates.count)
        }
    }
}
