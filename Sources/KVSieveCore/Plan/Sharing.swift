// One choice for several heads or layers, for engines that cannot keep them apart. Scores are averaged before they are ranked:
// what a union of the heads' own choices would keep is nearly everything.

enum Sharing: Int {
    case none
    /// The heads of a layer make one choice.
    case heads
    /// All layers make one; it is known when the last one was observed.
    case layers

    /// A method's rule of decoding, if its heads keep the same slots by it.
    func rule(_ rule: DecodeRule?, of method: StaticString, block: Int) throws(KVSieveError) -> DecodeRule? {
        guard block == 1 else {
            throw KVSieveError(
                .parameter,
                "block is \(block) and decoding 1: slots are freed one by one while decoding; expected block 1")
        }
        guard let rule, self != .none else { return rule }
        guard self == .heads else {
            throw KVSieveError(
                .parameter, "share is 2 and decoding 1: a layer that decodes chooses for itself; expected share 0 or 1")
        }
        guard rule.together || rule.evidence == .none else {
            throw KVSieveError(
                .parameter,
                "share is 1 and decoding 1: heads of \(method) choose apart while decoding; expected share 0")
        }
        return rule
    }
}
