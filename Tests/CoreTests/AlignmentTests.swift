// Heads of several lengths that end together: what is made of a layer is what is made of it if they begin together, bit for bit
// (against naive double: the tests of each table). Kept rows end together in a target, and in place they move both ways.
import TestSupport
import Testing

@testable import KVSieveCore

/// Heads of `lengths` rows in tensors of the longest, which are NaN beside them.
private struct Ragged {
    static let lengths = [150, 90, 121], longest = 150, new = 70, dim = 12
    let alignment: Alignment
    let type: ElementType
    let layout: Layout

    func first(_ head: Int) -> Int { alignment == .end ? Self.longest - Self.lengths[head] : 0 }

    func rows(seed: UInt64) -> Tensor {
        var random = SplitMix(seed)
        let size = (heads: Self.lengths.count, tokens: Self.longest, dim: Self.dim)
        let tensor = Tensor(
            [Float](repeating: .nan, count: size.heads * size.tokens * size.dim), heads: size.heads,
            tokens: size.tokens, dim: size.dim, type, layout)
        for (head, rows) in Self.lengths.enumerated() {
            for token in 0..<rows {
                for (d, number) in random.eighths(Self.dim).enumerated() {
                    tensor.set(head, first(head) + token, d, number)
                }
            }
        }
        return tensor
    }

    /// Two query heads for each head, or one; each row sees so many columns as its token does.
    func attention(_ kind: GivenAttention.Kind, rows: Int, perHead: Int) throws -> (Tensor, GivenAttention) {
        var random = SplitMix(8)
        let heads = perHead * Self.lengths.count
        let tensor = Tensor(
            [Float](repeating: .nan, count: heads * rows * Self.longest), heads: heads, tokens: rows, dim: Self.longest,
            type, layout)
        for own in 0..<heads {
            let head = own / perHead
            for row in 0..<rows {
                let visible = Self.lengths[head] - (kind == .columnSums ? 0 : rows - 1 - row)
                for column in 0..<visible {
                    let number = Float(random.below(31) - (kind == .logits ? 15 : 0)) / 32
                    tensor.set(own, row, first(head) + column, number)
                }
            }
        }
        return (tensor, GivenAttention(kind, try tensor.view("attention")))
    }

    func layer(_ reads: Reads, _ tensors: LayerTensors, _ work: Workspace) throws -> Layer {
        let length = CacheLength(seen: 200, new: Self.new, heads: Self.lengths, ofModel: 361, alignment)
        let view = try LayerView(
            ModelShape(layers: 8, queryHeads: 6, heads: 3, headDim: Self.dim), layer: 5, length: length, reads: reads,
            tensors)
        return Layer(view, .whole(view.length), work, scores: TableMemory(work.account))
    }
}

private func numbers(_ table: HeadTable) -> [[Float]] { (0..<table.rows).map { table.copy($0) } }

/// Heads of `tokens` tokens that keep these rows.
private func selection(_ heads: [[Int]], tokens: Int, _ work: Workspace) throws -> Selection {
    let scores = heads.map { kept in (0..<tokens).map { Float(kept.contains($0) ? 1 : 0) } }
    return try Selection(
        Frame(CacheLength(prompt: tokens), sinks: 0, recent: 0), makeScores(work.account, scores),
        units: heads.map(\.count), work)
}

/// Of a tensor whose rows have one number.
private func column(_ tensor: Tensor, _ head: Int) -> [Float] {
    (0..<tensor.tokens).map { (tensor.memory + tensor.place(head, $0)).load(as: Float.self) }
}

@Suite struct AlignmentTests {
    @Test func theFirstRowOfAHeadByHand() {
        let length = CacheLength(seen: 50, new: 4, heads: [20, 13, 20], ofModel: 53, .end)
        #expect((0..<3).map(length.first) == [0, 7, 0])
        #expect((0..<3).map(length.before(2).first) == [0, 7, 0] && length.before(2).rows(1) == 11)
        #expect((0..<3).map(CacheLength(seen: 50, new: 4, heads: [20, 13, 20], ofModel: 53).first) == [0, 0, 0])
        #expect(CacheLength(prompt: 9).first(0) == 0)
    }

    @Test(arguments: elementTypes, Layout.allCases) func tablesOfALayerAreTheSame(
        _ type: ElementType, _ layout: Layout
    ) throws {
        var expected: [[[Float]]] = []
        for alignment in [Alignment.begin, .end] {
            for threads in [1, 2] {
                let heads = Ragged(alignment: alignment, type: type, layout: layout)
                let work = Workspace(threads: threads)
                let (keys, values) = (heads.rows(seed: 1), heads.rows(seed: 2))
                var random = SplitMix(3)
                let queries = Tensor(
                    random.eighths(6 * Ragged.new * Ragged.dim), heads: 6, tokens: Ragged.new, dim: Ragged.dim, type,
                    layout)
                let tensors = try LayerTensors(
                    queries: queries.view("queries"), keys: keys.view("keys"), values: values.view("values"))
                var found: [[[Float]]] = []
                for reads in [Reads.queries(.last(7)), .queries(.all)] {
                    let layer = try heads.layer(reads.andValues, tensors, work)
                    let attention = try layer.attention()
                    found.append(numbers(attention))
                    found.append(numbers(try layer.values(weightedBy: attention, best: 9)))
                    found.append(numbers(try layer.squaredValueNorms(pooled: 5)))
                    found.append(numbers(try layer.attentionOfQueryHeads { $0 }))
                }
                let layer = try heads.layer(.keys, LayerTensors(keys: keys.view("keys")), work)
                found.append(numbers(try layer.keyCosinesToMean()))
                #expect(found.allSatisfy { $0.allSatisfy { $0.allSatisfy(\.isFinite) } }, "\(alignment)")
                if expected.isEmpty { expected = found }
                #expect(found == expected, "\(alignment), \(threads) threads")
            }
        }
    }

    @Test(arguments: elementTypes, Layout.allCases) func soAreTablesOfGivenAttention(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for (kind, rows, perHead) in [
            (GivenAttention.Kind.logits, 9, 2), (.probabilities, 9, 2), (.columnSums, 1, 2), (.columnSums, 1, 1),
        ] {
            var expected: [[[Float]]] = []
            for alignment in [Alignment.begin, .end] {
                let heads = Ragged(alignment: alignment, type: type, layout: layout)
                let work = Workspace(threads: 1)
                let (tensor, given) = try heads.attention(kind, rows: rows, perHead: perHead)
                let layer = try heads.layer(
                    .queries(.last(9)), LayerTensors(attention: given, values: nil), work)
                var found = [numbers(try layer.attention())]
                if perHead == 2 { found.append(numbers(try layer.attentionOfQueryHeads { $0 })) }
                #expect(found.allSatisfy { $0.allSatisfy { $0.allSatisfy(\.isFinite) } }, "\(kind) \(alignment)")
                if expected.isEmpty { expected = found }
                #expect(found == expected, "\(kind) \(alignment)")
                withExtendedLifetime(tensor) {}
            }
        }
    }

    /// NaN in a row of its own: the sentence names the row of the tensor.
    @Test func aRowIsNamedAsTheTensorHasIt() throws {
        let heads = Ragged(alignment: .end, type: .float32, layout: .headMajor)
        let keys = heads.rows(seed: 1)
        keys.set(1, 60, 3, .nan)
        let layer = try heads.layer(.keys, LayerTensors(keys: keys.view("keys")), Workspace(threads: 1))
        expectRefusal(
            .nonfinite,
            "keys of layer 5, kv head 1, token 60 have NaN or infinity, or a squared norm that overflows"
        ) { _ = try layer.keyNorms() }
    }
}

@Suite struct AlignedGatherTests {
    /// Head 0 keeps four of five rows; the two or three of head 1 end where those do.
    @Test func byHand() throws {
        let work = Workspace(threads: 1)
        let cases: [(kept: [Int], target: [Float], place: [Float])] = [
            ([0, 1], [7, 7, 20, 21, 7, 7], [20, 21, 20, 21, 24]),
            ([3, 4], [7, 7, 23, 24, 7, 7], [20, 21, 23, 24, 24]),
            ([0, 1, 4], [7, 20, 21, 24, 7, 7], [20, 20, 21, 24, 24]),
            ([0, 2, 3], [7, 20, 22, 23, 7, 7], [20, 20, 22, 23, 24]),
        ]
        for (kept, expected, inPlace) in cases {
            let source = Tensor([10, 11, 12, 13, 14, 20, 21, 22, 23, 24], heads: 2, tokens: 5, dim: 1)
            let target = Tensor([Float](repeating: 7, count: 12), heads: 2, tokens: 6, dim: 1)
            let chosen = try selection([[0, 1, 3, 4], kept], tokens: 5, work)
            try Gather.rows(of: source.view(), by: chosen, to: target.view("target"), .end)
            #expect(column(target, 0) == [10, 11, 13, 14, 7, 7] && column(target, 1) == expected, "\(kept)")
            let packed = Tensor(heads: 1, tokens: chosen.total, dim: 1)
            try Gather.rows(of: source.view(), by: chosen, to: packed.view("target"), .end)
            #expect(column(packed, 0) == [10, 11, 13, 14] + kept.map { Float(20 + $0) })
            try Gather.rows(of: source.view(), by: chosen, to: source.view(), .end)
            #expect(column(source, 0) == [10, 11, 13, 14, 14] && column(source, 1) == inPlace, "\(kept)")
        }
    }

    @Test(arguments: elementTypes + [.bytes, .q8], Layout.allCases) func inPlaceIsTheCopy(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for seed in 0..<20 as Range<UInt64> {
            var random = SplitMix(seed)
            let work = Workspace(threads: 1)
            let source = Tensor(heads: 4, tokens: 30, dim: 32, type, layout)
            for j in 0..<source.bytes {
                source.memory.storeBytes(of: UInt8(truncatingIfNeeded: random.next()), toByteOffset: j, as: UInt8.self)
            }
            // Many rows are neighbours, so that they move together.
            let kept = (0..<4).map { head in
                let share = 1 + random.below(9)
                return (0..<30).filter { $0 == 7 * head || ($0 + head) / 3 % 2 == 0 && random.below(10) < share }
            }
            let chosen = try selection(kept, tokens: 30, work)
            let rows = kept.enumerated().map { head, kept in kept.map { source.row(head, $0) } }
            var expected = source.contents
            for (head, rows) in rows.enumerated() {
                for (index, row) in rows.enumerated() {
                    let place = source.place(head, chosen.longest - rows.count + index)
                    expected.replaceSubrange(place..<place + row.count, with: row)
                }
            }
            try Gather.rows(of: source.view(), by: chosen, to: source.view(), .end)
            let isAsExpected = source.contents == expected
            #expect(isAsExpected, "seed \(seed), kept \(kept)")
        }
    }

    /// Rows that were kept count the padding in front; positions do not, and a rotation counts a head's own rows.
    @Test func rowsOfASequenceThatGoesOn() throws {
        let work = Workspace(threads: 2)
        let first = try selection([[0, 2, 4, 8, 9], [0, 6, 8, 9]], tokens: 10, work)
        let origins = RowOrigins(kept: first, seen: 10)
        let frequencies = UnsafeMutablePointer<Float>.allocate(capacity: 2)
        defer { frequencies.deallocate() }
        frequencies.initialize(from: [0.3, 0.7], count: 2)
        var turned: [[[UInt8]]] = []
        for alignment in [Alignment.begin, .end] {
            let length = CacheLength(seen: 13, new: 3, heads: [8, 7], ofModel: 15, alignment)
            let frame = Frame(length, sinks: 1, recent: 2)
            let scores = try makeScores(work.account, [[5, 1, 1, 1, 4], [1, 2, 3, 1]], columns: .units(frame))
            let kept = try Selection(frame, scores, units: [2, 1], from: origins, work)
            #expect([kept.copy(0), kept.copy(1)] == [[0, 2, 10, 11, 12], [0, 9, 11, 12]])
            let shift: Int32 = alignment == .end ? 1 : 0
            #expect((0..<9).map { kept.rows[$0] } == [0, 1, 5, 6, 7] + [0, 3, 5, 6].map { $0 + shift })
            for positions in [Rope.Positions.absolute, .byRow] {
                let rope = try Rope(
                    pairing: .halves, positions: positions, first: 0, dims: 4, of: 4,
                    frequencies: UnsafePointer(frequencies))
                let keys = Tensor((0..<64).map { Float($0) }, heads: 2, tokens: 8, dim: 4)
                // Head 1's own rows hold the same numbers.
                for row in 0..<7 { for d in 0..<4 { keys.set(1, row + Int(shift), d, Float(100 + 4 * row + d)) } }
                let target = Tensor(heads: 2, tokens: 5, dim: 4)
                try RotatedGather.rows(of: keys.view(), by: kept, to: target.view("target"), rope, work, alignment)
                let found = (0..<2).map { head in
                    (0..<(5 - head)).flatMap { target.row(head, $0 + (head == 1 ? Int(shift) : 0)) }
                }
                if alignment == .begin { turned.append(found) }
                #expect(found == turned[positions == .absolute ? 0 : 1], "\(alignment), \(positions)")
                try RotatedGather.rows(of: keys.view(), by: kept, to: keys.view(), rope, work, alignment)
                let again = (0..<2).map { head in
                    (0..<(5 - head)).flatMap { keys.row(head, $0 + (head == 1 ? Int(shift) : 0)) }
                }
                #expect(again == found, "\(alignment), \(positions), in place")
            }
        }
    }

    /// In place with rows that move to later ones.
    @Test func turnedRowsMoveBothWays() throws {
        let work = Workspace(threads: 2)
        let frequencies = UnsafeMutablePointer<Float>.allocate(capacity: 1)
        defer { frequencies.deallocate() }
        frequencies.initialize(to: 0.4)
        let rope = try Rope(
            pairing: .halves, positions: .absolute, first: 0, dims: 2, of: 2, frequencies: UnsafePointer(frequencies))
        for seed in 0..<20 as Range<UInt64> {
            var random = SplitMix(seed)
            let kept = (0..<3).map { head in (0..<12).filter { $0 == head || random.below(6) < head + 2 } }
            let chosen = try selection(kept, tokens: 12, work)
            let keys = Tensor(random.eighths(72), heads: 3, tokens: 12, dim: 2)
            let target = Tensor(heads: 3, tokens: chosen.longest, dim: 2)
            try RotatedGather.rows(of: keys.view(), by: chosen, to: target.view("target"), rope, work, .end)
            try RotatedGather.rows(of: keys.view(), by: chosen, to: keys.view(), rope, work, .end)
            for (head, rows) in kept.enumerated() {
                for row in (chosen.longest - rows.count)..<chosen.longest {
                    #expect(keys.row(head, row) == target.row(head, row), "seed \(seed), head \(head), row \(row)")
                }
            }
        }
    }
}
