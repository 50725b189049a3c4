// A sequence that is decoded: its layers take each token in order, all of them the same tokens.

final class DecodingSequence {
    private let layers: [DecodingLayer]
    /// Tokens seen: the next one's position.
    private(set) var seen: Int
    /// The next layer, and how many tokens this round has.
    private var next = 0
    private var round = 0
    /// Tokens of the last round that can be taken back.
    private var undoable = 0

    init(_ layers: [DecodingLayer], seen: Int) {
        self.layers = layers
        self.seen = seen
    }

    func layer(_ index: Int) -> DecodingLayer { layers[index] }

    /// Has layer `index` taken the tokens of a round that others have not?
    func seen(byLayer index: Int) -> Int { seen + (index < next ? round : 0) }

    func step(_ input: StepInput, _ work: Workspace, slot: UnsafeMutablePointer<Int32>) throws(KVSieveError) {
        guard input.layer == next else {
            throw KVSieveError(
                .state, "layer \(input.layer) took a step out of turn; the next is layer \(next) of \(layers.count)")
        }
        let layer = layers[next]
        guard next == 0 || input.new == round else {
            throw KVSieveError(
                .shape, "layer \(next) was given \(input.new) new tokens; expected \(round), as in the layers before"
            )
        }
        guard input.new <= layer.rule.recent else {
            throw KVSieveError(
                .shape,
                "\(input.new) new tokens in one step; expected at most \(layer.rule.recent), the recent tokens that never"
                    + " leave")
        }
        guard input.rows == layer.living + input.new else {
            throw KVSieveError(
                .shape,
                "keys, values and logits have \(input.rows) rows; expected \(layer.living) slots and \(input.new) new"
                    + " tokens")
        }
        guard seen + input.new <= Int(Int32.max) else {
            throw KVSieveError(.shape, "the sequence would have more than 2^31 - 1 tokens")
        }
        try layer.step(input, first: seen, work, slot: slot)
        round = input.new
        next += 1
        if next == layers.count {
            seen += round
            undoable = round
            next = 0
        }
    }

    func trim(_ count: Int) throws(KVSieveError) {
        guard next == 0 else {
            throw KVSieveError(.state, "trim came between layers; layer \(next) of \(layers.count) has not stepped yet")
        }
        guard (0...undoable).contains(count) else {
            throw KVSieveError(
                .shape, "\(count) tokens to trim; expected 0 ... \(undoable), what the last step brought")
        }
        if count == 0 { return }
        for layer in layers { try layer.undo(count, last: seen - 1) }
        seen -= count
        undoable -= count
    }
}
