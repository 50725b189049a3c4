// The numbers that ranks send each other before the budget is divided: marks of heads, and the rows of which means are made. Every
// rank adds all rows in the order of the heads, as one process does.

/// How much of them a rank has. All zeros if no layer of it was scored.
struct JoinedSizes: Equatable {
    /// Floats that a head is marked with.
    var marks = 0
    /// Rows of a layer that go into a mean, and the most floats of a layer's rows.
    var meanRows = 0
    var meanFloats = 0

    init() {}

    /// What goes into one layer's message.
    init(of scores: LayerScores, heads: Int) {
        marks = scores.marks.count / heads
        guard scores.awaitMean || scores.isForAllHeads else { return }
        meanRows = scores.rows
        meanFloats = scores.entries
    }

    mutating func formMaximum(_ other: JoinedSizes) {
        marks = max(marks, other.marks)
        meanRows = max(meanRows, other.meanRows)
        meanFloats = max(meanFloats, other.meanFloats)
    }
}

extension JoinedLayers {
    /// Rows and floats of a row are told before the floats.
    private static var shapeBytes: Int { 16 }

    func reserveMarks(_ width: Int, _ work: Workspace) throws(KVSieveError) {
        marks = nil
        guard width > 0 else { return }
        marks = try markMemory.reserve(layers * heads)
        marks?.update(repeating: 0, count: layers * heads)
        try vectors.reserve(rows: heads, width: width)
        try work.distances.reserve(heads)
        try work.distanceSquares.reserve(heads)
        try exchange.reserve(4 * parts.mostLayers * parts.mostHeads * width)
    }

    /// One round, if a layer has marks.
    /// - Parameter width: the most floats that any rank marks a head with.
    func exchangeMarks(_ width: Int, _ work: Workspace) throws(KVSieveError) {
        if marks == nil { return }
        let ofLayer = parts.mostHeads * width
        let message = try exchange.message(4 * parts.mostLayers * ofLayer).assumingMemoryBound(to: Float.self)
        for (index, scores) in own.enumerated() {
            guard let scores else { continue }
            let given = scores.marks.count / part.heads
            for (place, mark) in scores.marks.enumerated() {
                message[index * ofLayer + place / given * width + place % given] = mark
            }
        }
        try exchange.send()
        for layer in 0..<layers where rankings[layer] != .nothing {
            try parts.forEachRank(ofLayer: layer) { (rank, part) throws(KVSieveError) in
                let rows = try exchange.message(of: rank).assumingMemoryBound(to: Float.self)
                for head in 0..<part.heads {
                    let row = rows + (layer - part.firstLayer) * ofLayer + head * width
                    for d in 0..<width where !row[d].isFinite { throw exchange.nonsense(rank) }
                    vectors.row(part.firstHead + head)?.update(from: row, count: width)
                }
            }
            try mark(
                layer, isSplit: parts.all.contains { $0.layerRange.contains(layer) && $0.heads < heads }, width, work)
        }
    }

    /// The vectors are those of all heads of a layer. Where one rank has them all, it has made their marks itself.
    private func mark(_ layer: Int, isSplit: Bool, _ width: Int, _ work: Workspace) throws(KVSieveError) {
        guard let out = marks.map({ $0 + layer * heads }) else { return }
        if isSplit {
            let table = HeadTable(vectors, work, .elements(width), rows: heads)
            for (head, distance) in try table.distancesOfRows().enumerated() { out[head] = distance }
        } else {
            for head in 0..<heads { out[head] = vectors.row(head)?.pointee ?? 0 }
        }
    }

    func reserveMeans(_ floats: Int) throws(KVSieveError) { try exchange.reserve(Self.shapeBytes + 4 * floats) }

    /// A round for each layer of the stage that has most, of those that some stage scores.
    /// - Parameters:
    ///   - floats: the most of any rank's layer.
    ///   - isMade: are the means of that layer made here?
    func exchangeMeans(
        _ floats: Int, _ work: Workspace, for isMade: (_ layer: Int) -> Bool
    ) throws(KVSieveError) {
        var made = 0
        for index in 0..<parts.mostLayers {
            guard parts.all.contains(where: { index < $0.layers && scores($0.firstLayer + index) }) else { continue }
            let message = try exchange.message(Self.shapeBytes + 4 * floats)
            if index < own.count, let scores = own[index] { Self.write(scores, to: message) }
            try exchange.send()
            for (rank, part) in parts.all.enumerated() where part.firstHead == 0 && index < part.layers {
                let layer = part.firstLayer + index
                guard scores(layer), isMade(layer), made < meanPool.count else { continue }
                if try makeMean(layer, floats, first: rank, of: meanPool[made], work) {
                    means[layer] = meanPool[made]
                    made += 1
                }
            }
        }
    }

    private static func write(_ scores: LayerScores, to message: UnsafeMutableRawPointer) {
        let width = scores.row(0).count
        message.assumingMemoryBound(to: Int.self)[0] = scores.rows
        message.assumingMemoryBound(to: Int.self)[1] = width
        let floats = (message + shapeBytes).assumingMemoryBound(to: Float.self)
        for row in 0..<scores.rows {
            let numbers = scores.row(row)
            if let start = numbers.baseAddress { (floats + row * width).update(from: start, count: numbers.count) }
        }
    }

    /// The mean of a layer's rows, in the order of the heads. False if no rank has scored it.
    private func makeMean(
        _ layer: Int, _ floats: Int, first: Int, of scores: LayerScores, _ work: Workspace
    ) throws(KVSieveError) -> Bool {
        let frame = frames[layer]
        let width = try exchange.message(of: first).load(fromByteOffset: 8, as: Int.self)
        if width == 0 { return false }
        // Units, or candidates of which units are made when they are added up.
        let isUnits = width == frame.units
        guard isUnits || width == frame.candidates.count else { throw exchange.nonsense(first) }
        let columns: HeadTable.Columns = isUnits ? .units(frame) : .candidates(frame)
        try scores.memory.reserve(rows: 1, width: frame.rows)
        let table = HeadTable(scores.memory, work, columns, rows: 1, rowsOfHead: 0)
        guard let out = table.start(0) else { return false }
        var count = 0
        try parts.forEachRank(ofLayer: layer) { (rank, part) throws(KVSieveError) in
            let message = try exchange.message(of: rank)
            let rows = message.load(as: Int.self)
            guard rows > 0, rows <= floats / width, message.load(fromByteOffset: 8, as: Int.self) == width else {
                throw exchange.nonsense(rank)
            }
            let numbers = (message + Self.shapeBytes).assumingMemoryBound(to: Float.self)
            for index in 0..<(rows * width) where numbers[index].isNaN { throw exchange.nonsense(rank) }
            for row in 0..<rows {
                let numbers = numbers + row * width
                if count == 0 {
                    out.update(from: numbers, count: width)
                } else {
                    for j in 0..<width { out[j] += numbers[j] }
                }
                count += 1
            }
        }
        if count > 1 { for j in 0..<width { out[j] /= Float(count) } }
        try scores.take(frame.unit > 1 ? table.windows(.mean) : table)
        scores.setApartProtected()
        return true
    }
}
