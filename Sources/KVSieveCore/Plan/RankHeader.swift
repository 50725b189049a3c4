// What each rank tells in the first round of finish(): its part of the model, its method and parameters, its sequence, and how much
// it will send. All ranks compare the same headers in the same order: they find the same fault.

struct RankHeader: Equatable {
    /// Parameters that are compared; no method has so many.
    static let mostParameters = 48
    static let words = 20 + mostParameters
    static var bytes: Int { 8 * words }

    /// Of the library.
    var version = 0
    var part = RankPart(firstLayer: 0, layers: 0, firstHead: 0, heads: 0)
    var layers = 0
    var heads = 0
    var group = 0
    var headDim = 0
    var scale: Float = 0
    var method = 0
    /// Rounds of the sequence so far, its tokens, and the new ones among them.
    var round = 0
    var seen = 0
    var new = 0
    /// How many ranges are protected, and a number made of their bounds.
    var protected = 0
    var protectedBounds = 0
    var sizes = JoinedSizes()

    func write(_ settings: Settings, to message: UnsafeMutableRawPointer) {
        let words = message.assumingMemoryBound(to: Int.self)
        (words[0], words[1], words[2], words[3]) = (part.firstLayer, part.layers, part.firstHead, part.heads)
        (words[4], words[5], words[6], words[7]) = (layers, heads, group, headDim)
        (words[8], words[9], words[10]) = (Int(scale.bitPattern), method, round)
        (words[11], words[12], words[13], words[14]) = (seen, new, protected, protectedBounds)
        (words[15], words[16], words[17]) = (sizes.marks, sizes.meanRows, sizes.meanFloats)
        words[18] = version
        let values = (message + 8 * 20).assumingMemoryBound(to: Double.self)
        for index in 0..<min(settings.count, Self.mostParameters) { values[index] = settings.value(index) }
    }

    /// Word 19 is not used.
    init(_ message: UnsafeRawPointer) {
        let words = message.assumingMemoryBound(to: Int.self)
        part = RankPart(firstLayer: words[0], layers: words[1], firstHead: words[2], heads: words[3])
        (layers, heads, group, headDim) = (words[4], words[5], words[6], words[7])
        scale = Float(bitPattern: UInt32(truncatingIfNeeded: words[8]))
        (method, round) = (words[9], words[10])
        (seen, new, protected, protectedBounds) = (words[11], words[12], words[13], words[14])
        (sizes.marks, sizes.meanRows, sizes.meanFloats) = (words[15], words[16], words[17])
        version = words[18]
    }

    init() {}

    /// Throws if this rank's header cannot be one of the same plan as that of rank 0.
    func check(_ rank: Int, _ first: RankHeader, mostTokens: Int) throws(KVSieveError) {
        func same(
            _ kind: KVSieveError.Kind, _ name: StaticString, _ own: Int, _ other: Int,
            _ text: (Int) -> String = String.init
        ) throws(KVSieveError) {
            guard own == other else {
                throw KVSieveError(
                    kind, "\(name) is \(text(own)) on rank \(rank) and \(text(other)) on rank 0; expected the same")
            }
        }
        try same(.state, "the version of the library", version, first.version)
        try same(.shape, "group.layers", layers, first.layers)
        try same(.shape, "group.heads", heads, first.heads)
        try same(.shape, "query_heads / kv_heads", group, first.group)
        try same(.shape, "model.head_dim", headDim, first.headDim)
        try same(.parameter, "model.scale", Int(scale.bitPattern), Int(first.scale.bitPattern)) {
            "\(Float(bitPattern: UInt32(truncatingIfNeeded: $0)))"
        }
        try same(.method, "the method", method, first.method)
        try same(.state, "the round of the sequence", round, first.round)
        try same(.shape, "the tokens seen", seen, first.seen)
        try same(.shape, "the new tokens", new, first.new)
        try same(.state, "the number of ranges of protected tokens", protected, first.protected)
        guard protectedBounds == first.protectedBounds else {
            throw KVSieveError(.state, "other tokens are protected on rank \(rank) than on rank 0; expected the same")
        }
        // Of rank 0, whose header is the first that is looked at, nothing is known yet.
        let isPart =
            layers >= 1 && heads >= 1 && (0...layers).contains(part.firstLayer) && (1...layers).contains(part.layers)
            && part.firstLayer <= layers - part.layers && (0...heads).contains(part.firstHead)
            && (1...heads).contains(part.heads) && part.firstHead <= heads - part.heads
        let isSize =
            (0...ModelShape.mostDim).contains(sizes.marks) && (0...ModelShape.mostHeads).contains(sizes.meanRows)
            && (0...(ModelShape.mostHeads * mostTokens)).contains(sizes.meanFloats)
        guard isPart, isSize else {
            throw KVSieveError(.group, "group.all_gather: the header that came of rank \(rank) is none of this library")
        }
    }

    /// Throws if a parameter differs from that of rank 0; threads may.
    static func checkParameters(
        _ rank: Int, _ settings: Settings, _ message: UnsafeRawPointer, _ first: UnsafeRawPointer,
        but threads: Parameter
    ) throws(KVSieveError) {
        let (own, other) = (message + 8 * 20, first + 8 * 20)
        for index in 0..<min(settings.count, mostParameters) where settings.parameter(index).id != threads.id {
            let values = (
                own.load(fromByteOffset: 8 * index, as: Double.self),
                other.load(fromByteOffset: 8 * index, as: Double.self)
            )
            guard values.0 == values.1 else {
                throw KVSieveError(
                    .parameter,
                    "\(settings.parameter(index).name) is \(values.0) on rank \(rank) and \(values.1) on rank 0;"
                        + " expected the same")
            }
        }
    }
}
