// Kept rows of `source` (H, T, D) to `target`, by bytes, whatever they hold. When the target is the source itself, a row never
// lands on one that is still to be read: heads go in order, and of each first the rows that move up, the last of them first, then
// the others, ascending. Either may be in blocks.

public enum Gather {
    /// - Parameter target: (1, >= total, D) packed, head after head; or (H, >= longest, D), a head a row; in place when it
    ///   begins where the source does with the same strides. Other rows of the `longest` are not written.
    public static func rows(
        of source: TensorView, by selection: Selection, to target: TensorView, _ alignment: Alignment = .begin
    ) throws(KVSieveError) {
        try check(source, selection, target)
        let rowBytes = source.rowBytes
        let contiguous = source.tokenStride == rowBytes && target.tokenStride == rowBytes
        let paged = source.table != nil || target.table != nil
        let rises = alignment == .end && target.coincides(with: source)
        for head in 0..<source.heads {
            let begin = Int(selection.offsets[head])
            let end = Int(selection.offsets[head + 1])
            let (targetHead, first) = first(of: head, selection, source, target, alignment)
            let rising = rises ? rising(head, selection, to: first) : 0
            for index in stride(from: begin + rising - 1, through: begin, by: -1) {
                let to = target.row(targetHead, first &+ index &- begin)
                to.copyMemory(from: source.row(head, Int(selection.rows[index])), byteCount: rowBytes)
            }
            var index = begin + rising
            while index < end {
                // Neighbours that stay neighbours move together, as far as both are in a block.
                let row = Int(selection.rows[index])
                let place = first &+ index &- begin
                // Rows of other blocks are far apart, and their pages too. Lines of longer rows would wait for each other.
                if paged && rowBytes <= 256 && index &+ 8 < end {
                    prefetchLines(source.row(head, Int(selection.rows[index &+ 8])), bytes: rowBytes)
                }
                var run = 1
                if contiguous && index &+ 1 < end && Int(selection.rows[index &+ 1]) == row &+ 1 {
                    var last = end
                    if paged {
                        last = min(
                            index &+ target.run(from: place, to: first &+ end &- begin),
                            index &+ source.run(from: row, to: source.tokens))
                    }
                    while index &+ run < last && Int(selection.rows[index &+ run]) == row &+ run { run &+= 1 }
                }
                let from = source.row(head, row)
                let to = target.row(targetHead, place)
                if from != to { to.copyMemory(from: from, byteCount: run &* rowBytes) }
                index &+= run
            }
        }
    }

    /// The target's head that takes a head's rows, and the first of its tokens that does.
    static func first(
        of head: Int, _ selection: Selection, _ source: TensorView, _ target: TensorView, _ alignment: Alignment
    ) -> (head: Int, token: Int) {
        let packed = target.heads == 1 && source.heads > 1
        if packed { return (0, Int(selection.offsets[head])) }
        return (head, alignment.first(selection.count(head), of: selection.longest))
    }

    /// How many of a head's rows move to a later row: the first ones, as the gaps between kept rows only add up.
    static func rising(_ head: Int, _ selection: Selection, to first: Int) -> Int {
        let rows = selection.rows + Int(selection.offsets[head])
        let count = selection.count(head)
        var rising = 0
        while rising < count, Int(rows[rising]) < first &+ rising { rising &+= 1 }
        return rising
    }

    static func check(
        _ source: TensorView, _ selection: Selection, _ target: TensorView
    ) throws(KVSieveError) {
        guard source.heads == selection.heads else {
            throw KVSieveError(
                .shape, "source.heads is \(source.heads); expected \(selection.heads), the model's kv_heads")
        }
        guard source.tokens == selection.frame.rows else {
            throw KVSieveError(
                .shape, "source.tokens is \(source.tokens); expected \(selection.frame.rows), the tokens observed")
        }
        guard source.type == target.type else {
            throw KVSieveError(
                .dtype, "target.dtype is \(target.type.name); expected \(source.type.name), the dtype of source")
        }
        guard source.dim == target.dim else {
            throw KVSieveError(.shape, "target.dim is \(target.dim); expected \(source.dim), the dim of source")
        }
        guard target.heads == source.heads || target.heads == 1 else {
            throw KVSieveError(
                .shape, "target.heads is \(target.heads); expected 1 (packed) or \(source.heads) (a head a row)")
        }
        let least = target.heads == source.heads ? selection.longest : selection.total
        guard target.tokens >= least else {
            throw KVSieveError(
                .shape,
                "target.tokens is \(target.tokens); expected at least \(least), "
                    + (target.heads == source.heads ? "the most that one head keeps" : "what all heads keep"))
        }
        try target.checkTarget()
        guard target.coincides(with: source) || !target.overlaps(source) else {
            throw KVSieveError(
                .layout, "target overlaps source at \(source.base) without being in place (same data and strides)")
        }
    }
}
