// Kept rows move byte by byte: packed, a head a row, in place; whatever the layouts and types.
import TestSupport
import Testing

@testable import KVSieveCore

/// A source of random bytes with a selection of random positions.
private struct Kept {
    let tensor: Tensor
    let selection: Selection
    let work = Workspace(threads: 1)

    init(heads: Int, tokens: Int, dim: Int, _ type: ElementType, _ layout: Layout, unit: Int = 1, seed: UInt64) throws {
        var random = SplitMix(seed)
        tensor = Tensor(heads: heads, tokens: tokens, dim: dim, type, layout)
        for j in 0..<tensor.bytes {
            tensor.memory.storeBytes(of: UInt8(truncatingIfNeeded: random.next()), toByteOffset: j, as: UInt8.self)
        }
        let frame = Frame(CacheLength(prompt: tokens), sinks: 2, recent: 3, unit: unit)
        let rows = (0..<heads).map { _ in RowKind.random.make(frame.units, &random) }
        let units = (0..<heads).map { _ in random.below(frame.units + 1) }
        selection = try Selection(frame, makeScores(work.account, rows), units: units, work)
    }

    /// The kept rows of each head, as bytes.
    var rows: [[[UInt8]]] { (0..<selection.heads).map { h in selection.copy(h).map { tensor.row(h, $0) } } }
}

/// Bytes of `tensor` as they must be after `rows` were written to the fronts of its heads.
private func written(_ before: [UInt8], _ tensor: Tensor, _ rows: [[[UInt8]]]) -> [UInt8] {
    var bytes = before
    for (head, rows) in rows.enumerated() {
        for (index, row) in rows.enumerated() {
            let place = tensor.place(head, index)
            bytes.replaceSubrange(place..<place + row.count, with: row)
        }
    }
    return bytes
}

private let dims = [1, 3, 8, 33]

@Suite struct GatherTests {
    @Test(arguments: elementTypes, Layout.allCases) func aHeadARowIsTheRowsOfEachHead(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for (seed, dim) in dims.enumerated() {
            for targetLayout in Layout.allCases {
                for extra in [0, 4] {
                    let kept = try Kept(
                        heads: 4, tokens: 30, dim: dim, type, layout, unit: 1 + seed, seed: UInt64(seed))
                    let target = Tensor(heads: 4, tokens: kept.selection.longest + extra, dim: dim, type, targetLayout)
                    let expected = written(target.contents, target, kept.rows)
                    try Gather.rows(of: kept.tensor.view(), by: kept.selection, to: target.view("target"))
                    #expect(
                        target.contents == expected, "dim \(dim) to \(targetLayout), \(extra) more rows, seed \(seed)")
                }
            }
        }
    }

    @Test(arguments: elementTypes, Layout.allCases) func packedIsHeadAfterHead(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for (seed, dim) in dims.enumerated() {
            for targetLayout in Layout.allCases {
                for extra in [0, 4] {
                    let kept = try Kept(
                        heads: 4, tokens: 30, dim: dim, type, layout, unit: 1 + seed, seed: UInt64(seed))
                    let target = Tensor(heads: 1, tokens: kept.selection.total + extra, dim: dim, type, targetLayout)
                    let expected = written(target.contents, target, [kept.rows.flatMap { $0 }])
                    try Gather.rows(of: kept.tensor.view(), by: kept.selection, to: target.view("target"))
                    #expect(
                        target.contents == expected, "dim \(dim) to \(targetLayout), \(extra) more rows, seed \(seed)")
                }
            }
        }
    }

    @Test(arguments: elementTypes, Layout.allCases) func inPlaceIsTheCopyAndRowsBeyondAreAsTheyWere(
        _ type: ElementType, _ layout: Layout
    ) throws {
        for (seed, dim) in dims.enumerated() {
            for unit in [1, 5] {
                let kept = try Kept(heads: 4, tokens: 30, dim: dim, type, layout, unit: unit, seed: UInt64(seed))
                let expected = written(kept.tensor.contents, kept.tensor, kept.rows)
                let source = try kept.tensor.view()
                try Gather.rows(of: source, by: kept.selection, to: source)
                #expect(kept.tensor.contents == expected, "dim \(dim) unit \(unit), seed \(seed)")
            }
        }
    }

    /// In place the target may have fewer tokens, if what is kept fits.
    @Test func inPlaceAShorterTargetIsEnough() throws {
        let kept = try Kept(heads: 3, tokens: 30, dim: 4, .float32, .headMajor, seed: 5)
        let expected = written(kept.tensor.contents, kept.tensor, kept.rows)
        let source = try kept.tensor.view()
        let target = try TensorView(
            "target", base: source.base, heads: 3, tokens: kept.selection.longest, dim: 4,
            headStride: source.headStride,
            tokenStride: source.tokenStride, type: .float32)
        try Gather.rows(of: source, by: kept.selection, to: target)
        #expect(kept.tensor.contents == expected)
    }

    @Test func oneHeadIsPackedAndAHeadARowAtOnce() throws {
        let kept = try Kept(heads: 1, tokens: 30, dim: 4, .float32, .headMajor, seed: 6)
        let target = Tensor(heads: 1, tokens: kept.selection.total, dim: 4)
        try Gather.rows(of: kept.tensor.view(), by: kept.selection, to: target.view("target"))
        #expect(target.contents == kept.rows[0].flatMap { $0 })
        let source = try kept.tensor.view()
        try Gather.rows(of: source, by: kept.selection, to: source)
        #expect(kept.tensor.contents.starts(with: target.contents))
    }

    /// What is kept whole moves nowhere, in place.
    @Test func keepingEverythingInPlaceChangesNothing() throws {
        let work = Workspace(threads: 1)
        let tensor = Tensor((0..<60).map(Float.init), heads: 3, tokens: 5, dim: 4)
        let selection = try Selection(.whole(CacheLength(prompt: 5)), nil, units: [0, 0, 0], work)
        let before = tensor.contents
        try Gather.rows(of: tensor.view(), by: selection, to: tensor.view("target"))
        #expect(tensor.contents == before)
    }

    /// NaNs of every kind are bytes like others: nothing is computed with.
    @Test func bytesAreNotTouched() throws {
        let work = Workspace(threads: 1)
        let patterns: [UInt32] = [0x7f80_0001, 0xffff_ffff, 0x7fc1_2345, 0x8000_0000, 0x0000_0001, 0x7f80_0000]
        let tensor = Tensor(heads: 1, tokens: 6, dim: 1)
        for (j, bits) in patterns.enumerated() {
            tensor.memory.storeBytes(of: bits, toByteOffset: 4 * j, as: UInt32.self)
        }
        let selection = try Selection(.whole(CacheLength(prompt: 6)), nil, units: [0], work)
        let target = Tensor(heads: 1, tokens: 6, dim: 1)
        try Gather.rows(of: tensor.view(), by: selection, to: target.view("target"))
        #expect(target.contents == tensor.contents)
    }
}

@Suite struct GatherRefusalTests {
    /// Three heads of ten tokens that keep 7, 6 and 5 rows of four floats; nothing may be written when it is refused.
    private func refused(_ kind: KVSieveError.Kind, _ message: String, source: Tensor? = nil, target: Tensor) throws {
        let work = Workspace(threads: 1)
        let scores = try makeScores(work.account, [[Float]](repeating: [5, 4, 3, 2, 1], count: 3))
        let frame = Frame(CacheLength(prompt: 10), sinks: 2, recent: 3)
        let selection = try Selection(frame, scores, units: [2, 1, 0], work)
        let source = source ?? Tensor((0..<120).map(Float.init), heads: 3, tokens: 10, dim: 4)
        let before = target.contents
        expectRefusal(kind, message) {
            try Gather.rows(of: source.view("source"), by: selection, to: target.view("target"))
        }
        #expect(target.contents == before)
    }

    @Test func aSourceOfOtherHeadsOrTokensIsRefused() throws {
        let target = Tensor(heads: 3, tokens: 10, dim: 4)
        try refused(
            .shape, "source.heads is 2; expected 3, the model's kv_heads", source: Tensor(heads: 2, tokens: 10, dim: 4),
            target: target)
        try refused(
            .shape, "source.tokens is 9; expected 10, the tokens observed", source: Tensor(heads: 3, tokens: 9, dim: 4),
            target: target)
    }

    @Test func aTargetOfAnotherTypeIsRefusedAlsoOfTheSameSize() throws {
        try refused(
            .dtype, "target.dtype is F16; expected F32, the dtype of source",
            target: Tensor(heads: 3, tokens: 10, dim: 4, .float16))
        try refused(
            .dtype, "target.dtype is BF16; expected F16, the dtype of source",
            source: Tensor(heads: 3, tokens: 10, dim: 4, .float16),
            target: Tensor(heads: 3, tokens: 10, dim: 4, .bfloat16))
    }

    @Test func aTargetOfOtherDimOrHeadsIsRefused() throws {
        try refused(
            .shape, "target.dim is 5; expected 4, the dim of source", target: Tensor(heads: 3, tokens: 10, dim: 5))
        try refused(
            .shape, "target.heads is 2; expected 1 (packed) or 3 (a head a row)",
            target: Tensor(heads: 2, tokens: 10, dim: 4))
        try refused(
            .shape, "target.heads is 4; expected 1 (packed) or 3 (a head a row)",
            target: Tensor(heads: 4, tokens: 10, dim: 4))
    }

    @Test func aTargetThatIsTooShortIsRefused() throws {
        try refused(
            .shape, "target.tokens is 6; expected at least 7, the most that one head keeps",
            target: Tensor(heads: 3, tokens: 6, dim: 4))
        try refused(
            .shape, "target.tokens is 17; expected at least 18, what all heads keep",
            target: Tensor(heads: 1, tokens: 17, dim: 4))
    }

    @Test func aTargetOverTheSourceThatIsNotInPlaceIsRefused() throws {
        let work = Workspace(threads: 1)
        let scores = try makeScores(work.account, [[1, 2, 3, 4, 5]])
        let selection = try Selection(Frame(CacheLength(prompt: 10), sinks: 2, recent: 3), scores, units: [1, 1], work)
        let tensor = Tensor((0..<400).map(Float.init), heads: 4, tokens: 25, dim: 4)
        func view(_ name: StaticString, heads: Int, tokens: Int, from token: Int, head: Int, step: Int) throws
            -> TensorView
        {
            try TensorView(
                name, base: tensor.memory + token * 16, heads: heads, tokens: tokens, dim: 4, headStride: head * 16,
                tokenStride: step * 16, type: .float32)
        }
        let source = try view("source", heads: 2, tokens: 10, from: 0, head: 20, step: 1)
        let before = tensor.contents
        let message = "target overlaps source at \(source.base) without being in place (same data and strides)"
        for target in [
            try view("target", heads: 2, tokens: 10, from: 1, head: 20, step: 1),
            try view("target", heads: 2, tokens: 10, from: 0, head: 30, step: 1),
            try view("target", heads: 2, tokens: 10, from: 0, head: 20, step: 2),
            try view("target", heads: 1, tokens: 12, from: 0, head: 20, step: 1),
            try view("target", heads: 1, tokens: 12, from: 9, head: 20, step: 1),
        ] {
            expectRefusal(.layout, message) { try Gather.rows(of: source, by: selection, to: target) }
        }
        #expect(tensor.contents == before)
        // Between the source's heads there is room for ten rows.
        try Gather.rows(
            of: source, by: selection, to: view("target", heads: 2, tokens: 10, from: 10, head: 20, step: 1))
        #expect(tensor.row(0, 10) == tensor.row(0, 0))
    }
}
