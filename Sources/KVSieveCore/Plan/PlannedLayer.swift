// One observed layer of a plan: its frame, how many units each head may keep, and the selection once it was made.

struct PlannedLayer {
    let frame: Frame
    /// Units each head may keep; they only shrink.
    private(set) var units: [Int]
    private var origin: Origin?
    private var selection: Selection?

    /// Size of the selection's memory, if it was made.
    var resultWords: Int? { selection?.words }

    /// A layer whose heads may keep every unit.
    init(_ frame: Frame, heads: Int, from origin: Origin?) {
        self.frame = frame
        self.origin = origin
        units = (0..<heads).map { frame.of($0).units }
    }

    mutating func shrink(to wanted: [Int]) {
        let smaller = zip(units, wanted).map { min($0, max($1, 0)) }
        if smaller != units {
            units = smaller
            selection = nil
        }
    }

    /// The selection, made now if the units changed since the last one.
    /// - Parameter scores: the layer's; nil only when nothing competes, or when the selection was made before they went.
    @discardableResult
    mutating func select(_ scores: LayerScores?, _ work: Workspace) throws(KVSieveError) -> Selection {
        if let selection { return selection }
        let made = try Selection(frame, scores ?? LayerScores(work.account), units: units, from: origin, work)
        selection = made
        return made
    }

    /// The selection is final.
    mutating func settle(_ scores: LayerScores?, _ work: Workspace) throws(KVSieveError) {
        try select(scores, work)
        origin = nil
    }
}
